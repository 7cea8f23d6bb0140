"""The report as tables for people."""

from typing import TYPE_CHECKING

from resnets.bench.results import Part, Report, RowResult
from resnets.bench.work import Purpose
from resnets.tables import Column, Row, Rule, Table

if TYPE_CHECKING:
    from rich.console import RenderableType

NONE = "—"


def draw_report(found: Report) -> "RenderableType":
    """Draw everything that a run found."""
    from rich.console import Group

    a_machine, devices = found.machine, (row.device for row in found.rows if row.device)
    lines: list[RenderableType] = [
        f"{found.network} at {found.size}x{found.size}, "
        f"{found.channels} channel{'s' * (found.channels != 1)}, "
        f"{found.classes} classes; {found.date}",
        f"{a_machine['processor']}, {a_machine['processors']} processors; "
        + ", ".join(dict.fromkeys(devices)),
        ", ".join(f"{name} {version}" for name, version in _versions(found).items()),
        *(["interrupted: these are the rounds that were complete"] if found.interrupted else []),
    ]
    purposes: dict[Purpose, None] = dict.fromkeys(part.purpose for part in found.parts)
    for purpose in purposes:
        parts = [part for part in found.parts if part.purpose == purpose]
        rows = [row for part in parts for row in part.rows]
        for batch in dict.fromkeys(one.batch for row in rows for one in row.measured):
            lines += ["", draw_speeds(rows, batch, purpose)]
        if any(part.limits for part in parts):
            lines += ["", draw_limits(parts)]
        rounds = dict.fromkeys(str(part.rounds) for part in parts)
        lines += ["", f"n = {', '.join(rounds)} rounds; ratios are to the framework's first row"]
        lines += [
            f"{NONE} {row.framework}, {row.name}: {row.missing}" for row in rows if row.missing
        ]
    return Group(*lines)


def draw_speeds(rows: list[RowResult], batch: int, purpose: Purpose) -> Table:
    """Draw the rows at one batch: speed, ratio, fraction of the limit, memory."""
    columns = (
        Column(f"{purpose}, batch {batch}"),
        Column(""),
        Column("images/s", align_right=True),
        Column("range", align_right=True, drop_priority=2),
        *([Column("latency", align_right=True)] if purpose == "inference" else []),
        Column("ratio", align_right=True),
        Column("range", align_right=True, drop_priority=1),
        Column("of matrix", align_right=True, drop_priority=3),
        Column("memory", align_right=True),
    )
    lines: list[Row | Rule] = []
    for framework in dict.fromkeys(row.framework for row in rows):
        lines.append(Rule(framework))
        own = [row for row in rows if row.framework == framework]
        lines += [Row(_cells(row, batch, purpose), "bold" if row.ours else "") for row in own]
    return Table(columns, lines)


def _cells(row: RowResult, batch: int, purpose: Purpose) -> tuple[str, ...]:
    found = next((one for one in row.measured if one.batch == batch), None)
    latency = purpose == "inference"
    if found is None:
        return (row.name, NONE, *[NONE] * (6 + latency))
    speed, ratio = found.images_per_second, found.ratio
    return (
        row.name,
        row.precision,
        format_number(speed.median),
        f"{format_number(speed.least)}-{format_number(speed.most)}",
        *([f"{format_number(batch / speed.median * 1000)} ms"] if latency else []),
        NONE if ratio is None else f"{ratio.median:.2f}",
        "" if ratio is None else f"{ratio.least:.2f}-{ratio.most:.2f}",
        NONE if found.of_matrix is None else f"{found.of_matrix:.0%}",
        _format_memory(row),
    )


def draw_limits(parts: list[Part]) -> Table:
    """Draw the machine's limit: large matrix products."""
    columns = (
        Column("limit"),
        Column(""),
        Column("matrix, 10^9 multiply-adds/s", align_right=True),
        Column("range", align_right=True, drop_priority=1),
    )
    lines = [
        Row(
            (
                limit.framework,
                limit.precision,
                format_number(limit.matrix.median / 1e9),
                f"{format_number(limit.matrix.least / 1e9)}-"
                f"{format_number(limit.matrix.most / 1e9)}",
            ),
            "dim",
        )
        for part in parts
        for limit in part.limits
    ]
    return Table(columns, lines)


def format_number(value: float) -> str:
    """Write a number with three figures or more: 1,234, 97.1, 0.312."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _format_memory(row: RowResult) -> str:
    """Write the most memory of a row's process; a device's own where it has one."""
    found = row.device_memory_bytes or row.peak_memory_bytes
    return NONE if found is None else f"{found / 1e6:,.0f} MB"


def _versions(found: Report) -> dict[str, str]:
    versions = {"resnets": found.resnets}
    for row in found.rows:
        versions |= row.versions
    return versions
