"""A run's records as lines of points: what its curves are drawn from."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Point = tuple[float, float]

MOST_POINTS = 1200
"""Points that a line is thinned to: more are not seen, and make the file large."""

_SIZES = ((1e15, "quadrillions"), (1e12, "trillions"), (1e9, "billions"), (1e6, "millions"))


@dataclass(frozen=True)
class Curves:
    """The lines of a run: points whose x is in epochs, or in steps before the first epoch ends.

    Attributes:
        unit: of x, in words: ``epoch`` or ``step``, or multiply-adds.
        steps: loss of each step; many are thinned to means of neighbours.
        training: the mean of each epoch, at its middle; before the first ends, of neighbours.
        best: the point of ``accuracy`` that was kept; None where there is none.
        growths: where the network became deeper, and its blocks from then on, such as ``2-2-2``.
        compute: multiply-adds of the training after each epoch, from (0, 0) on; that point alone
            where they are not known of every epoch.
    """

    unit: str
    steps: list[Point]
    rate: list[Point]
    training: list[Point]
    validation: list[Point]
    accuracy: list[Point]
    best: Point | None
    growths: list[tuple[float, str]]
    compute: list[Point]

    @staticmethod
    def from_records(records: Sequence[Mapping[str, Any]]) -> "Curves":
        """Collect the lines; of several records of a step or an epoch, the last counts."""
        steps = {int(r["step"]): r for r in records if r.get("event") == "step"}
        epochs = {int(r["epoch"]): r for r in records if r.get("event") == "epoch"}
        last = epochs[max(epochs)] if epochs else None
        per = int(last["step"]) / int(last["epoch"]) if last else 1.0
        losses = _collect_points(steps, "loss", per=per)
        accuracy = _collect_points(epochs, "validation_accuracy")
        compute = _collect_points(epochs, "multiply_adds")
        best = max((epoch for epoch, r in epochs.items() if r.get("best")), default=0)
        return Curves(
            unit="epoch" if epochs else "step",
            steps=thin_points(losses, MOST_POINTS),
            rate=thin_points(
                _collect_points(steps, "rate", per=per) or _collect_points(epochs, "rate"),
                MOST_POINTS,
            ),
            training=[(x - 0.5, y) for x, y in _collect_points(epochs, "training_loss")]
            or thin_points(losses, 40),
            validation=_collect_points(epochs, "validation_loss"),
            accuracy=accuracy,
            best=next((point for point in accuracy if point[0] == best), None),
            growths=[
                (float(r["epoch"]), "-".join(map(str, r["depths"])))
                for r in records
                if r.get("event") == "growth"
            ],
            compute=[(0.0, 0.0), *(compute if len(compute) == len(epochs) else ())],
        )

    def by_compute(self) -> "Curves | None":
        """Give the lines with the multiply-adds spent as their x; None where they are not known.

        Networks change between epochs only: within one every step costs the same.
        """
        total = self.compute[-1][1]
        if total <= 0:
            return None
        size, name = magnitude(total)

        def rescale(points: list[Point]) -> list[Point]:
            return [(self._multiply_adds_at(x) / size, y) for x, y in points]

        return Curves(
            unit=f"multiply-adds of the training, {name}",
            steps=rescale(self.steps),
            rate=rescale(self.rate),
            training=rescale(self.training),
            validation=rescale(self.validation),
            accuracy=rescale(self.accuracy),
            best=None,
            growths=[(self._multiply_adds_at(x) / size, depths) for x, depths in self.growths],
            compute=[],
        )

    def _multiply_adds_at(self, x: float) -> float:
        """Multiply-adds up to ``x`` epochs; beyond the last that has ended, at its pace."""
        at = min(bisect_right([epoch for epoch, _ in self.compute], x), len(self.compute) - 1)
        (before, least), (after, most) = self.compute[at - 1], self.compute[at]
        return least + (most - least) * (x - before) / (after - before)


def magnitude(number: float) -> tuple[float, str]:
    """Give the power of a thousand to write a number of multiply-adds in, and its name."""
    return next(((size, name) for size, name in _SIZES if number >= size), _SIZES[-1])


def thin_points(points: list[Point], most: int) -> list[Point]:
    """Take means of neighbouring points, so that at most ``most`` are left."""
    share = math.ceil(len(points) / most)
    if share <= 1:
        return points
    groups = [points[i : i + share] for i in range(0, len(points), share)]
    return [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]


def _collect_points(
    records: Mapping[int, Mapping[str, Any]], key: str, *, per: float = 1.0
) -> list[Point]:
    """Give the finite values of ``key`` in order."""
    found = ((at / per, records[at].get(key)) for at in sorted(records))
    return [(x, float(y)) for x, y in found if y is not None and math.isfinite(y)]
