"""From turns to figures: medians, ratios round by round, fractions of the limit."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from resnets.bench.contenders import Contender
from resnets.bench.convolutions import step_multiply_adds
from resnets.bench.results import Limit, Measured, Part, RowResult
from resnets.bench.rounds import Gathered
from resnets.bench.spread import Spread, spread
from resnets.bench.work import Work


class Told(Protocol):
    """What a row's process has told; ``measuring.Running`` says what is what."""

    contender: Contender
    ready: dict[str, Any] | None
    missing: str
    died: bool
    memory: dict[str, Any]
    shares: dict[str, Any]


def part_of(told: Sequence[Told], taken: Gathered, work: Work) -> Part:
    """Put a group's figures together."""

    def rates(index: int, task: str) -> Spread:
        return spread([one[index, task].rate for one in taken.kept])

    limits: list[Limit] = []
    for index, one in enumerate(told):
        if one.contender.name == "limit" and one.ready is not None:
            limits += _limits(index, one, taken, work, rates)
    rows = [
        _row(index, told, limits, work, rates)
        for index, one in enumerate(told)
        if one.contender.name != "limit"
    ]
    return Part(
        purpose=work.purpose,
        rounds=len(taken.kept),
        discarded=taken.discarded,
        disturbed=taken.disturbed,
        rows=tuple(rows),
        limits=tuple(limits),
    )


Rates = Callable[[int, str], Spread]
"""A task's rates over the rounds, by the number of the process and the task's name."""


def _limits(index: int, told: Told, taken: Gathered, work: Work, rates: Rates) -> list[Limit]:
    assert told.ready is not None
    found: list[Limit] = []
    for precision in told.ready["precision"].split():
        for batch in work.batches():
            task = f"convolutions {precision} batch {batch}"
            parts = [one[index, task].parts for one in taken.kept]
            seconds = {name: statistics.median(p[name] for p in parts) for name in parts[0]}
            found.append(
                Limit(
                    framework=told.contender.framework,
                    precision=precision,
                    batch=batch,
                    matrix=rates(index, f"matrix {precision}"),
                    convolutions=rates(index, task),
                    seconds=seconds,
                )
            )
    return found


def _row(
    index: int, told: Sequence[Told], limits: Sequence[Limit], work: Work, rates: Rates
) -> RowResult:
    one = told[index]
    contender, ready = one.contender, one.ready
    if ready is None:
        return RowResult(
            framework=contender.framework,
            name=contender.name,
            ours=contender.ours,
            missing=one.missing,
            died=one.died,
        )
    # The framework's first row is the peer, also where it could not be had.
    peer = next(i for i, t in enumerate(told) if t.contender.framework == contender.framework)
    measured: list[Measured] = []
    for batch in work.batches():
        speed = rates(index, f"batch {batch}")
        has_peer = peer != index and told[peer].ready is not None
        same = (contender.framework, ready["precision"], batch)
        limit = next((x for x in limits if (x.framework, x.precision, x.batch) == same), None)
        measured.append(
            Measured(
                batch=batch,
                images_per_second=speed,
                ratio=speed.over(rates(peer, f"batch {batch}")) if has_peer else None,
                peer=told[peer].contender.name if has_peer else "",
                **_fractions(speed, limit, work),
            )
        )
    return RowResult(
        framework=contender.framework,
        name=contender.name,
        ours=contender.ours,
        device=ready["device"],
        precision=ready["precision"],
        versions=ready["versions"],
        first_step_seconds=ready["first_step_seconds"],
        peak_memory_bytes=one.memory.get("peak"),
        device_memory_bytes=one.memory.get("device_peak"),
        shares=one.shares.get("shares"),
        shares_missing=one.shares.get("reason", ""),
        measured=tuple(measured),
    )


def _fractions(speed: Spread, limit: Limit | None, work: Work) -> dict[str, float]:
    """Take the fractions round by round, as all ratios."""
    if limit is None:
        return {}
    an_image = step_multiply_adds(work.trace(), training=work.purpose == "training")
    return {
        "of_matrix": speed.over(limit.matrix).median * an_image,
        "of_convolutions": speed.over(limit.convolutions).median,
    }
