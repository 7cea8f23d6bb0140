"""Rounds: who takes a turn when, and which rounds count.

In a round everyone takes one turn, one after the other; the order turns round by round, so that
nobody always comes after the same neighbour. A round in which another process took a core is
disturbed. That shows in two ways: the processor time of a turn over its wall time falls below the
best that the same turn has had (that of a probe also below 1), or the rate of the probe of the
machine's limit falls below its median. A
disturbed round is set aside and another is taken, up to twice as many rounds in all; where that
does not suffice the least disturbed ones are kept, and their number is told.
"""

import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

LEAST_SHARE = 0.85
"""Of the best processor time over wall time; below it a turn is disturbed."""

LEAST_PROBE = 0.85
"""Of the median of the probe's rates."""

FEWEST = 3
"""A median and a range need so many rounds."""


@dataclass(frozen=True)
class Turn:
    """What one turn gave.

    Attributes:
        rate: images or multiply-adds a second.
        share: processor time over wall time; None where the processor's time does not tell, as
            on a GPU.
        probe: whether it is a probe of the limit, whose rate should not change.
        parts: seconds of the parts of it, by name, where it has any.
    """

    rate: float
    share: float | None = None
    probe: bool = False
    parts: Mapping[str, float] = field(default_factory=dict[str, float])


Round = Mapping[Hashable, Turn]
"""The turns of a round by whose they are."""


@dataclass(frozen=True)
class Gathered:
    """The rounds that count.

    Attributes:
        kept: in the order in which they were taken.
        discarded: how many disturbed rounds were set aside.
        disturbed: how many of the kept ones are disturbed, because there were not enough others.
        interrupted: whether Ctrl-C ended them before there were enough.
    """

    kept: tuple[Round, ...]
    discarded: int
    disturbed: int
    interrupted: bool = False


def rotated(items: Sequence[T], number: int) -> list[T]:
    """Give the order of round ``number``, from 0."""
    shift = number % len(items) if items else 0
    return [*items[shift:], *items[:shift]]


def quiet(rounds: Sequence[Round]) -> list[float]:
    """Say how undisturbed each round was: 1 and more is undisturbed, below 1 is disturbed.

    It is the least, over the round's turns, of what its share and its probe have of what they
    should have at least.
    """
    shares: dict[Hashable, float] = {}
    probes: dict[Hashable, list[float]] = {}
    for one in rounds:
        for key, turn in one.items():
            if turn.share is not None:
                # A probe does nothing but compute: at least one processor is its own when quiet.
                least_best = 1.0 if turn.probe else 0.0
                shares[key] = max(turn.share, shares.get(key, least_best))
            if turn.probe:
                probes.setdefault(key, []).append(turn.rate)
    medians = {key: statistics.median(rates) for key, rates in probes.items()}

    def least(one: Round) -> float:
        found = [
            turn.share / (LEAST_SHARE * shares[key])
            for key, turn in one.items()
            if turn.share is not None and shares[key]
        ]
        found += [
            turn.rate / (LEAST_PROBE * medians[key]) for key, turn in one.items() if turn.probe
        ]
        return min(found, default=1.0)

    return [least(one) for one in rounds]


def gather(take: Callable[[int], Round], wanted: int) -> Gathered:
    """Take rounds until ``wanted`` of them are undisturbed, or twice as many are taken.

    All rounds are judged anew after each: the first ones are known to be disturbed only once a
    quiet one has been seen. Ctrl-C leaves those that are complete.

    Raises:
        KeyboardInterrupt: after Ctrl-C, where fewer than ``FEWEST`` are complete.
    """
    rounds: list[Round] = []
    interrupted = False
    while True:
        scores = quiet(rounds)
        good = [k for k, score in enumerate(scores) if score >= 1]
        if len(good) >= wanted or len(rounds) >= 2 * wanted:
            break
        try:
            rounds.append(take(len(rounds)))
        except KeyboardInterrupt:
            if len(rounds) < FEWEST:
                raise
            interrupted = True
            break
    order = sorted(range(len(rounds)), key=lambda k: (-min(scores[k], 1.0), k))
    kept = sorted(order[:wanted])
    disturbed = sum(scores[k] < 1 for k in kept)
    chosen = tuple(rounds[k] for k in kept)
    return Gathered(chosen, len(rounds) - len(kept), disturbed, interrupted)
