"""The package's front door."""

import doctest
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import resnets
from resnets.cli import app as command_line


def test_every_public_name_is_there() -> None:
    for name in resnets.__all__:
        assert getattr(resnets, name).__doc__, name
    with pytest.raises(AttributeError, match="resnest"):
        resnets.resnest  # noqa: B018


def test_the_example_of_the_docstring() -> None:
    assert doctest.testmod(resnets).failed == 0


def test_importing_the_package_imports_neither_numpy_nor_a_framework() -> None:
    program = "import sys, resnets; print({'numpy', 'torch', 'rich'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_package_alone_imports_nothing_of_its_own() -> None:
    """So that Ctrl-C while the rest is imported finds the command's entry there."""
    program = "import sys, resnets; print([name for name in sys.modules if 'resnets.' in name])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert set(resnets.__all__) <= set(dir(resnets))


def _script() -> str:
    """What the installed command ``resnets`` runs."""
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    module, _, function = tomllib.loads(text)["project"]["scripts"]["resnets"].partition(":")
    return f"from {module} import {function}; {function}()"


@pytest.mark.parametrize("module", ["cyclopts", "resnets.cli"])
@pytest.mark.parametrize("command", [["-m", "resnets"], ["-c", _script()]])
def test_interrupted_while_the_command_line_is_imported(
    command: list[str], module: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
    )
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, *command, "models"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_command_that_is_interrupted_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("resnets.data.cache.pack_cache.list_packs", interrupted)
    app = command_line.app
    monkeypatch.setattr(command_line, "app", lambda: app(["data"]))
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "interrupted\n")
