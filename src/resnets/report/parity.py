"""What ``resnets check`` prints: the frameworks found, and how far they differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from resnets.inference.parity import Deviation, Framework, FrameworkResults
from resnets.tables import Column, Row, Table


def parity_json(
    here: Sequence[Framework], results: Sequence[FrameworkResults], *, lines: Sequence[Deviation]
) -> dict[str, Any]:
    """Return the frameworks and the comparisons as JSON values."""
    return {
        "frameworks": [
            {
                "name": f.name,
                "versions": dict(f.versions),
                "devices": list(f.devices),
                "error": f.error or None,
                "environment": f.environment or None,
            }
            for f in _list_frameworks(here, results)
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


def _list_frameworks(
    here: Sequence[Framework], results: Sequence[FrameworkResults]
) -> list[Framework]:
    """Return the frameworks found here, then those of other environments."""
    return [*here, *(r.framework for r in results if r.framework.environment)]


def draw_parity(
    here: Sequence[Framework],
    results: Sequence[FrameworkResults],
    *,
    lines: Sequence[Deviation],
    explained: Sequence[Framework] = (),
) -> RenderableType:
    """Return a table of the frameworks, why some cannot be used, and a table of differences.

    ``explained`` are frameworks whose errors are printed elsewhere.
    """
    labels = _make_labels(_list_frameworks(here, results))
    below = [one.error for one in here if one.error and one not in explained]
    parts: list[RenderableType] = [_draw_frameworks(_list_frameworks(here, results), labels)]
    if below:
        parts += ["", Text("\n".join(below), "dim")]
    if lines:
        names = ", ".join(networks := list(dict.fromkeys(line.network for line in lines)))
        title = f"largest relative difference on {len(networks)} networks: {names}"
        parts += [
            "",
            Text(title, "dim"),
            "",
            _draw_differences(results[0].framework, lines, labels),
        ]
    return Group(*parts)


def _make_labels(found: Sequence[Framework]) -> dict[tuple[str, str], str]:
    """Return labels by name and environment, numbered where names repeat."""
    names = [one.name for one in found]
    return {
        (one.name, one.environment): (
            one.name
            if names.count(one.name) == 1
            else f"{one.name} [{names[: i + 1].count(one.name)}]"
        )
        for i, one in enumerate(found)
    }


def _draw_frameworks(
    found: Sequence[Framework], labels: Mapping[tuple[str, str], str]
) -> RenderableType:
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


def _draw_differences(
    first: Framework, lines: Sequence[Deviation], labels: Mapping[tuple[str, str], str]
) -> RenderableType:
    """Return a table of the largest difference of each framework over the networks."""
    groups: dict[tuple[str, ...], list[Deviation]] = {}
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
        *(Column(title, align_right=True) for title in ("difference", "limit")),
        Column(""),
    )
    return Table(columns, rows)
