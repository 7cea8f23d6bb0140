"""Rounds that count: those in which other work took a processor are set aside and repeated.

A disturbed round shows in two ways: the processor time of a turn over its wall time falls below the
best that the same turn has had (that of a matrix product also below 1), or the rate of the matrix
product that is the machine's limit falls below its median. Another round is then taken, up to twice
as many in all. Where that does not suffice the least disturbed ones are kept, and counted.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from resnets.bench.measurement import FEWEST_ROUNDS, Round

LEAST_SHARE = 0.85
"""Of the best processor time over wall time; below it a turn is disturbed."""

LEAST_RATE = 0.85
"""Of the median of the probe's rates."""

PROBE = "matrix fp32"
"""The task whose rate should not change."""


@dataclass
class QuietRounds:
    """Takes rounds for ``resnets.bench.measure``; counts what was disturbed.

    Attributes:
        set_aside: how many disturbed rounds were repeated, in each part.
        disturbed: how many of the rounds kept are disturbed, because there were not enough others.
    """

    set_aside: list[int]
    disturbed: list[int]

    def __call__(self, take: Callable[[int], Round], count: int) -> tuple[Sequence[Round], bool]:
        """Take rounds until ``count`` of them are quiet, or twice as many are taken.

        All rounds are judged again after each one: that the first ones were disturbed shows only
        once a quiet one has been seen. Ctrl-C leaves those that are complete.
        """
        rounds: list[Round] = []
        interrupted = False
        while True:
            scores = score_rounds(rounds)
            if sum(score >= 1 for score in scores) >= count or len(rounds) >= 2 * count:
                break
            try:
                rounds.append(take(len(rounds)))
            except KeyboardInterrupt:
                if len(rounds) < FEWEST_ROUNDS:
                    raise
                interrupted = True
                break
        order = sorted(range(len(rounds)), key=lambda k: (-min(scores[k], 1.0), k))
        kept = sorted(order[:count])
        self.set_aside.append(len(rounds) - len(kept))
        self.disturbed.append(sum(scores[k] < 1 for k in kept))
        return [rounds[k] for k in kept], interrupted

    def describe(self) -> str:
        """Return a line for people."""
        line = f"{sum(self.set_aside)} rounds were disturbed by other work and set aside"
        if any(self.disturbed):
            line += (
                f"; {sum(self.disturbed)} of those kept are disturbed too: "
                "look at the ratios and their ranges, not at images/s"
            )
        return line


def score_rounds(rounds: Sequence[Round]) -> list[float]:
    """Score each round: 1 and more is quiet, below 1 is disturbed.

    The score is the least, over the round's turns, of share and rate over what they should be.
    """
    shares: dict[Any, float] = {}
    probes: dict[Any, list[float]] = {}
    for one in rounds:
        for key, turn in one.items():
            probe = key[1] == PROBE
            if turn.processor_share is not None:
                # A probe does nothing but compute: when quiet, one processor is its own.
                shares[key] = max(turn.processor_share, shares.get(key, 1.0 if probe else 0.0))
            if probe:
                probes.setdefault(key, []).append(turn.rate)
    medians = {key: statistics.median(rates) for key, rates in probes.items()}

    def score(one: Round) -> float:
        found = [
            turn.processor_share / (LEAST_SHARE * shares[key])
            for key, turn in one.items()
            if turn.processor_share is not None and shares[key]
        ]
        found += [turn.rate / (LEAST_RATE * medians[k]) for k, turn in one.items() if k in medians]
        return min(found, default=1.0)

    return [score(one) for one in rounds]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/training_step.py")
