"""``check``: the frameworks that are here, and what they differ by."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from resnets.cli.flags import Flag
from resnets.errors import RunError
from resnets.terminal import note, print_drawn, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from resnets.inference.parity import Comparison, Framework, Results

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

    Exit code 1 where a framework or an environment that was asked for cannot be used, or differs
    by more than the limits: 1e-5 for logits in fp32, 1e-9 for a step in fp64 (MXNet 1e-7).

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
    from resnets import backends
    from resnets.inference import parity

    unknown = [name for name in frameworks if name not in backends.NAMES]
    if unknown:
        known = ", ".join(backends.NAMES)
        raise RunError(f"no framework is called {', '.join(unknown)} (there are {known})")
    names = tuple(dict.fromkeys(frameworks)) or backends.NAMES
    here, results = parity.measured_here(names, note)
    if save is not None:
        parity.save(results, save)
    for path in dict.fromkeys(against):
        results += parity.load(path)
    empty: list[Path] = []
    for path in dict.fromkeys(python):
        found = _elsewhere(path)
        results += found
        empty += () if found else (path,)
    lines = parity.compared(results)
    failed = [one for one in here if one.error and one.name in frameworks]
    if json:
        print_json(_json(here, results, lines))
    else:
        print_drawn(_drawn(here, results, lines, explained_already=failed))
    for one in failed:
        note(f"error: {one.error}")
    for path in empty:
        note(f"error: {path}: no framework can be used there; {path} -m resnets check says why")
    if not (results or failed or empty):
        note("error: no framework can be used here")
    if failed or empty or not results or not all(line.equal for line in lines):
        raise SystemExit(1)


def _elsewhere(python: Path) -> "list[Results]":
    """Measure in another environment, and read what it wrote."""
    from resnets.inference import parity

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.safetensors"
        command = [str(python), "-m", "resnets", "check", "--save", str(path), "--json"]
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=sys.stderr, check=False)
        except OSError as error:
            raise RunError(f"cannot run {python}: {error.strerror}") from error
        if not path.is_file():
            raise RunError(f"{python} -m resnets check failed with status {done.returncode}")
        return parity.load(path, str(python))


def _json(
    here: "Sequence[Framework]", results: "Sequence[Results]", lines: "Sequence[Comparison]"
) -> Any:
    return {
        "frameworks": [
            {
                "name": f.name,
                "versions": dict(f.versions),
                "devices": list(f.devices),
                "error": f.error or None,
                "environment": f.environment or None,
            }
            for f in _all(here, results)
        ],
        "comparisons": [
            {
                "network": line.network,
                "framework": line.framework,
                "version": line.version or None,
                "environment": line.environment or None,
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


def _all(here: "Sequence[Framework]", results: "Sequence[Results]") -> "list[Framework]":
    """Give the frameworks found here, then those of other environments."""
    return [*here, *(r.framework for r in results if r.framework.environment)]


def _drawn(
    here: "Sequence[Framework]",
    results: "Sequence[Results]",
    lines: "Sequence[Comparison]",
    explained_already: "Sequence[Framework]",
) -> "RenderableType":
    """Draw what there is; below it why the rest cannot be used, and what was measured."""
    from rich.console import Group
    from rich.text import Text

    labels = _labels(_all(here, results))
    below = [one.error for one in here if one.error and one not in explained_already]
    parts: list[RenderableType] = [_frameworks(_all(here, results), labels)]
    if below:
        parts += ["", Text("\n".join(below), "dim")]
    if lines:
        names = ", ".join(networks := list(dict.fromkeys(line.network for line in lines)))
        title = f"largest relative difference on {len(networks)} networks: {names}"
        parts += ["", Text(title, "dim"), "", _parity(results[0].framework, lines, labels)]
    return Group(*parts)


def _labels(found: "Sequence[Framework]") -> dict[tuple[str, str], str]:
    """Give what frameworks are called, by name and environment: numbered where names repeat."""
    names = [one.name for one in found]
    return {
        (one.name, one.environment): (
            one.name
            if names.count(one.name) == 1
            else f"{one.name} [{names[: i + 1].count(one.name)}]"
        )
        for i, one in enumerate(found)
    }


def _frameworks(
    found: "Sequence[Framework]", labels: Mapping[tuple[str, str], str]
) -> "RenderableType":
    from resnets.tables import Column, Row, Table

    last = "environment" if any(one.environment for one in found) else ""
    rows = [
        Row(
            (
                labels[one.name, one.environment],
                ", ".join(f"{n} {v}" for n, v in one.versions.items()) or "not installed",
                ", ".join(one.devices) or ("cannot be used" if one.error and one.versions else ""),
                one.environment,
            ),
            "" if one.devices else "dim",
        )
        for one in found
    ]
    return Table(tuple(map(Column, ("framework", "version", "devices", last))), rows)


def _parity(
    first: "Framework", lines: "Sequence[Comparison]", labels: Mapping[tuple[str, str], str]
) -> "RenderableType":
    """Draw the largest difference of each framework of each environment, over the networks."""
    from resnets.tables import Column, Row, Table

    groups: dict[tuple[str, ...], list[Comparison]] = {}
    for line in lines:
        other = labels[first.name, first.environment] if line.against == first.name else "NumPy"
        key = (labels[line.framework, line.environment], other, line.what)
        groups.setdefault(key, []).append(line)
    rows: list[Row] = []
    for key, own in groups.items():
        worst = max(own, key=lambda line: (not line.equal, line.difference or 0.0))
        verdict = "equal" if worst.equal else f"differs: {worst.network}"
        cells = (*key, f"{worst.difference:.1e}", f"{worst.limit:.0e}", verdict)
        rows.append(Row(cells, "" if worst.equal else "bold red"))
    columns = (
        *map(Column, ("framework", "against", "what")),
        *(Column(title, right=True) for title in ("difference", "limit")),
        Column(""),
    )
    return Table(columns, rows)
