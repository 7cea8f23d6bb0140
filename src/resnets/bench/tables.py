"""The report as tables for people."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from resnets.bench.results import Limit, Measured, Part, Report, RowResult
from resnets.bench.spread import Spread
from resnets.tables import Column, Row, Rule, Table

if TYPE_CHECKING:
    from rich.console import RenderableType

NONE = "—"
PRODUCT = "matrix, 10^9 multiply-adds/s"
ALONE = "convolutions, images/s"
KINDS = ("convolutions", "norms, activations", "optimiser", "data", "other")


def report(found: Report) -> "RenderableType":
    """Draw everything that a run found."""
    from rich.console import Group

    a_machine = found.machine
    lines: list[RenderableType] = [
        f"{found.network} at {found.size}x{found.size}, "
        f"{found.channels} channel{'s' * (found.channels != 1)}, "
        f"{found.classes} classes; {found.date}",
        f"{a_machine['processor']}, {a_machine['processors']} processors; "
        + ", ".join(dict.fromkeys(row.device for row in found.rows if row.device)),
        ", ".join(f"{name} {version}" for name, version in _versions(found).items()),
        *(["interrupted: these are the rounds that were complete"] if found.interrupted else []),
    ]
    for part in found.parts:
        for batch in _batches(part):
            lines += ["", speeds(part, batch)]
        lines += ["", limits(part)] if part.limits else []
        lines += ["", shares(part)] if any(row.shares for row in part.rows) else []
        lines += ["", *notes(part)]
    return Group(*lines)


def speeds(part: Part, batch: int) -> Table:
    """Draw a part's rows at one batch: speed, ratio, fractions of the limit, memory."""
    columns = (
        Column(f"{part.purpose}, batch {batch}"),
        Column(""),
        Column("images/s", right=True),
        Column("range", right=True, spare=2),
        *([Column("latency", right=True)] if part.purpose == "inference" else []),
        Column("ratio", right=True),
        Column("range", right=True, spare=1),
        Column("of conv.", right=True),
        Column("of matrix", right=True, spare=3),
        Column("memory", right=True),
    )
    lines: list[Row | Rule] = []
    for framework in dict.fromkeys(row.framework for row in part.rows):
        lines.append(Rule(framework))
        own = [row for row in part.rows if row.framework == framework]
        lines += [Row(_cells(row, batch, part), "bold" if row.ours else "") for row in own]
    return Table(columns, lines)


def _cells(row: RowResult, batch: int, part: Part) -> tuple[str, ...]:
    found = next((one for one in row.measured if one.batch == batch), None)
    latency = part.purpose == "inference"
    if found is None:
        return (row.name, NONE, *[NONE] * (7 + latency))
    speed = found.images_per_second
    return (
        row.name,
        row.precision,
        number(speed.median),
        f"{number(speed.least)}-{number(speed.most)}",
        *([milliseconds(batch / speed.median)] if latency else []),
        *_ratio(found),
        percent(found.of_convolutions),
        percent(found.of_matrix),
        memory(row),
    )


def _ratio(found: Measured) -> tuple[str, str]:
    if found.ratio is None:
        return NONE, ""
    ratio: Spread = found.ratio
    return f"{ratio.median:.2f}", f"{ratio.least:.2f}-{ratio.most:.2f}"


def limits(part: Part) -> Table:
    """Draw the machine's limit: large matrix products, the network's convolutions alone."""

    def cells(limit: Limit) -> tuple[str, ...]:
        each, rate = limit.matrix, limit.convolutions
        return (
            limit.framework,
            limit.precision,
            str(limit.batch),
            number(each.median / 1e9),
            f"{number(each.least / 1e9)}-{number(each.most / 1e9)}",
            number(rate.median),
            f"{number(rate.least)}-{number(rate.most)}",
        )

    columns = (
        Column("limit"),
        Column(""),
        Column("batch", right=True),
        Column(PRODUCT, right=True),
        Column("range", right=True, spare=1),
        Column(ALONE, right=True),
        Column("range", right=True, spare=1),
    )
    return Table(columns, [Row(cells(limit), "dim") for limit in part.limits])


def shares(part: Part) -> Table:
    """Draw where a step's time goes, of the rows that can tell."""
    rows = [row for row in part.rows if row.shares]
    columns = (Column("where a step's time goes"), *(Column(k, right=True) for k in KINDS))
    lines = [
        Row(
            (
                f"{row.framework}, {row.name}, {row.precision}",
                *(percent((row.shares or {}).get(kind)) for kind in KINDS),
            )
        )
        for row in rows
    ]
    return Table(columns, lines)


def notes(part: Part) -> Iterator[str]:
    """Say what the tables cannot: rounds, and why something is missing."""
    yield (
        f"{part.rounds} rounds; {part.discarded} more were disturbed by other work and set aside"
    )
    if part.disturbed:
        yield (
            f"the machine was not quiet: {part.disturbed} of the rounds kept are disturbed too; "
            "look at the ratios and their ranges, not at images/s"
        )
    for row in part.rows:
        if row.missing:
            yield f"{NONE} {row.framework}, {row.name}: {row.missing}"
    reasons = {
        (row.framework, row.shares_missing): None
        for row in part.rows
        if row.shares_missing and not row.missing
    }
    if part.purpose == "training":
        for framework, reason in reasons:
            yield f"{NONE} where {framework}'s step goes: {reason}"


def number(value: float) -> str:
    """Write a number with three figures or more: 1,234, 97.1, 0.312."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def milliseconds(seconds: float) -> str:
    """Write seconds as milliseconds."""
    return f"{number(seconds * 1000)} ms"


def percent(share: float | None) -> str:
    """Write a share; a dash where it is not known."""
    return NONE if share is None else f"{share:.0%}"


def memory(row: RowResult) -> str:
    """Write the most memory of a row's process; a device's own where there is one."""
    found = row.device_memory_bytes or row.peak_memory_bytes
    return NONE if found is None else f"{found / 1e6:,.0f} MB"


def _versions(found: Report) -> dict[str, str]:
    versions = {"resnets": found.resnets}
    for row in found.rows:
        versions |= row.versions
    return versions


def _batches(part: Part) -> list[int]:
    return list(dict.fromkeys(one.batch for row in part.rows for one in row.measured))
