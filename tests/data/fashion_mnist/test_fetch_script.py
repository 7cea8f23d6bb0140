"""``scripts/fetch_fashion_mnist.py``, with stand-ins for apt-get and dpkg-deb."""

import gzip
import hashlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from resnets.data.fashion_mnist import loading
from resnets.data.fashion_mnist.download import PublishedFile

SCRIPT = Path(__file__).parents[3] / "scripts" / "fetch_fashion_mnist.py"
PIXELS, LABELS = bytes([0, 0, 8, 3, *(0, 0, 0, 1) * 3, 9]), bytes([0, 0, 8, 1, 0, 0, 0, 1, 7])
FILES = tuple(
    PublishedFile(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    for name, content in (("a", PIXELS), ("b", LABELS), ("c", PIXELS), ("d", LABELS))
)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, no mirror, and a dpkg-deb that unpacks the files."""
    spec = importlib.util.spec_from_file_location("fetch_fashion_mnist", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(loading, "FILES", FILES)
    monkeypatch.setattr(loading, "MIRRORS", ())
    monkeypatch.setattr(loading, "DEBIAN_FOLDER", Path("/nowhere/files"))
    monkeypatch.setenv("RESNETS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    package = tmp_path / "package"
    package.mkdir()
    for file, content in zip(FILES, (PIXELS, LABELS, PIXELS, LABELS), strict=True):
        (package / f"{file.name}.gz").write_bytes(gzip.compress(content))
    stand_in(tmp_path / "dpkg-deb", f'mkdir -p "$3/nowhere" && cp -r {package} "$3/nowhere/files"')
    return module


@pytest.fixture
def eager() -> Iterator[None]:
    """A user at the keyboard, who would answer yes to anything."""
    kept = os.dup(0)
    reading, writing = os.pipe()
    os.write(writing, b"yes\n" * 9)
    os.dup2(reading, 0)
    yield
    os.dup2(kept, 0)
    for descriptor in (kept, reading, writing):
        os.close(descriptor)


def stand_in(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.mark.usefixtures("eager")
def test_falls_back_to_lists_of_its_own(tmp_path: Path, script: ModuleType) -> None:
    log = tmp_path / "log"
    stand_in(
        tmp_path / "apt-get",
        f'echo "$@" >> {log}; if read line; then echo "E: asked" >&2; exit 9; fi\n'
        'case "$*" in *Dir::State::Lists=*download*) touch p_1_all.deb;;\n'
        '*) echo "E: out of reach" >&2; exit 100;; esac',
    )
    script.main()
    assert loading.load().training.labels.tolist() == [7]
    first, update, second = log.read_text().splitlines()
    assert "Dir::State" not in first
    private = [part for part in update.split() if part.startswith("Dir::")]
    assert len(private) == 3
    assert all(part in second for part in private)
    assert not any(Path(part.split("=")[1]).exists() for part in private)
    stand_in(tmp_path / "apt-get", f"echo again >> {log}")
    script.main()
    assert "again" not in log.read_text()


def test_says_what_was_tried(tmp_path: Path, script: ModuleType) -> None:
    stand_in(tmp_path / "apt-get", 'echo "W: odd" >&2; echo "E: no network" >&2; exit 100')
    with pytest.raises(SystemExit) as caught:
        script.main()
    assert "E: no network" in str(caught.value)
    assert str(tmp_path / "data" / "fashion-mnist") in str(caught.value)


def test_a_damaged_file_is_not_written_over(tmp_path: Path, script: ModuleType) -> None:
    stand_in(tmp_path / "apt-get", "touch p_1_all.deb")
    script.main()
    damaged = tmp_path / "data" / "fashion-mnist" / "b"
    damaged.write_bytes(b"")
    with pytest.raises(SystemExit, match="expected 9 bytes, found 0"):
        script.main()
    assert damaged.read_bytes() == b""


def test_no_such_tool(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit, match="apt-get is not on this machine"):
        script.main()
