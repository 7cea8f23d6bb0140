"""``check``: the frameworks that are here, and what they differ by."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from resnets.errors import RunError
from resnets.flags import Flag
from resnets.terminal import note, print_drawn, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from resnets.checking import Comparison, Results

Several = Parameter(consume_multiple=True, negative=())


def check(
    frameworks: Annotated[tuple[str, ...], Several] = (),
    /,
    *,
    python: Annotated[tuple[Path, ...], Several] = (),
    against: Annotated[tuple[Path, ...], Several] = (),
    save: Path | None = None,
    json: Flag = False,
) -> None:
    """Show the frameworks found, and measure how far they are from the same function.

    Exit code 1 where a framework that was asked for cannot be used, or differs by more than the
    limits: 1e-5 for logits in fp32, 1e-9 for a step in fp64 (MXNet 1e-7).

    Parameters
    ----------
    frameworks
        torch, jax, tensorflow, mxnet. Default: those that are installed.
    python
        Other environments' Python, in which resnets is installed too: their frameworks join in.
    against
        Files that --save wrote, perhaps on another machine.
    save
        Write what was measured here.
    json
        Print everything as JSON.
    """
    from resnets import backends, checking

    unknown = [name for name in frameworks if name not in backends.NAMES]
    if unknown:
        known = ", ".join(backends.NAMES)
        raise RunError(f"no framework is called {', '.join(unknown)} (there are {known})")
    here = [checking.found(name) for name in frameworks or backends.NAMES]
    usable = [framework for framework in here if not framework.error]
    results = [checking.measured(framework, note) for framework in usable]
    if save is not None:
        checking.save(results, save)
    for path in against:
        results += checking.load(path)
    for path in python:
        results += _elsewhere(path)
    lines = checking.compared(results)
    missing = [framework for framework in here if framework.error]
    if json:
        print_json(_json(here, results, lines))
    else:
        print_drawn(_table(here, results, lines))
    failed = [framework for framework in missing if framework.name in frameworks]
    if failed or not all(line.equal for line in lines) or not results:
        raise SystemExit(1)


def _elsewhere(python: Path) -> "list[Results]":
    """Measure in another environment, and read what it wrote."""
    from resnets import checking

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.safetensors"
        command = [str(python), "-m", "resnets", "check", "--save", str(path), "--json"]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.stderr, check=False)
        except OSError as error:
            raise RunError(f"cannot run {python}: {error.strerror}") from error
        if not path.is_file():
            raise RunError(f"{python} -m resnets check failed with status {done.returncode}")
        return checking.load(path)


def _json(here: Sequence[Any], results: "Sequence[Results]", lines: "Sequence[Comparison]") -> Any:
    return {
        "frameworks": [
            {
                "name": f.name,
                "versions": dict(f.versions),
                "devices": list(f.devices),
                "error": f.error or None,
            }
            for f in (*here, *(r.framework for r in results if r.framework not in here))
        ],
        "comparisons": [
            {
                "network": line.network,
                "framework": line.framework,
                "against": line.against,
                "what": line.what,
                # JSON has no number that is none.
                "difference": line.difference if line.difference == line.difference else None,
                "limit": line.limit,
                "equal": line.equal,
            }
            for line in lines
        ],
    }


def _table(
    here: Sequence[Any], results: "Sequence[Results]", lines: "Sequence[Comparison]"
) -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from resnets.columns import Column, Row, Table

    frameworks = Table(
        (Column("framework"), Column("version"), Column("devices")),
        [
            Row(
                (
                    f.name,
                    ", ".join(f"{n} {v}" for n, v in f.versions.items()) or "not installed",
                    ", ".join(f.devices) or (f.error if f.versions else ""),
                ),
                "" if f.devices else "dim",
            )
            for f in (*here, *(r.framework for r in results if r.framework not in here))
        ],
    )
    names = list(dict.fromkeys(line.network for line in lines))
    pairs = list(dict.fromkeys((line.framework, line.against, line.what) for line in lines))
    found = {(line.network, line.framework, line.against, line.what): line for line in lines}
    rows: list[Row] = []
    for framework, against, what in pairs:
        own = [found[name, framework, against, what] for name in names]
        worst = max(own, key=lambda line: (not line.equal, line.difference or 0.0))
        verdict = "equal" if worst.equal else f"differs: {worst.network}"
        cells = (framework, against, what, f"{worst.difference:.1e}", f"{worst.limit:.0e}", verdict)
        rows.append(Row(cells, "" if worst.equal else "bold red"))
    parity = Table(
        (
            Column("framework"),
            Column("against"),
            Column("what"),
            Column("difference", right=True),
            Column("limit", right=True),
            Column(""),
        ),
        rows,
    )
    title = f"largest relative difference on {len(names)} networks: {', '.join(names)}"
    return Group(frameworks, "", Text(title, "dim"), "", parity)
