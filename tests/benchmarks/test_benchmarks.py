"""The scripts of ``benchmarks/`` say what they are; asked that, they measure nothing."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ASKED = """
import contextlib, io, json, runpy, sys
for script in sys.argv[2:]:
    sys.argv = [script, "--help"]
    said = io.StringIO()
    code = None
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    heavy = sorted({"torch", "jax", "tensorflow", "mxnet", "matplotlib"} & set(sys.modules))
    print(json.dumps([script, code, said.getvalue(), heavy]))
"""


def test_help_comes_at_once() -> None:
    scripts = sorted(BENCHMARKS.glob("*.py"), key=lambda path: (_needs_torch(path), path))
    command = [sys.executable, "-c", f"import sys; sys.path[0] = {str(BENCHMARKS)!r}\n{ASKED}"]
    before = sorted((BENCHMARKS / "results").iterdir())
    ended = subprocess.run(
        [*command, "", *map(str, scripts)], capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stderr
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [one[0] for one in told] == list(map(str, scripts))
    for script, code, said, heavy in told:
        assert code == 0 and said.startswith("usage: "), script
        assert len(said.split()) > 15, script
        assert not heavy or _needs_torch(Path(script)), (script, heavy)
    assert sorted((BENCHMARKS / "results").iterdir()) == before


def _needs_torch(path: Path) -> bool:
    """Of what these measure torch is a part, in every line; and parts are not run by themselves."""
    return path.stem.startswith(("gpu", "peer_networks"))


def test_a_part_of_another_script_names_it() -> None:
    for part, whole in (("cost_figure", "cost.py"), ("growth_figure", "growth.py")):
        ended = subprocess.run(
            [sys.executable, str(BENCHMARKS / f"{part}.py")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 2 and f"benchmarks/{whole}" in ended.stderr
