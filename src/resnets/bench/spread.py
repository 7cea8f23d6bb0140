"""Medians and ranges of what was measured round by round."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """What several rounds gave.

    Attributes:
        values: one a round, in order.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        """The smallest value."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest value."""
        return max(self.values)

    def over(self, other: "Spread") -> "Spread":
        """Divide by another, round by round: a slow minute of the machine slows both."""
        pairs = zip(self.values, other.values, strict=True)
        return Spread(tuple(own / theirs for own, theirs in pairs))

    def to_json(self) -> dict[str, float | int | list[float]]:
        """Give median, range, count and the values."""
        return {
            "median": self.median,
            "least": self.least,
            "most": self.most,
            "n": len(self.values),
            "values": list(self.values),
        }


def spread(values: Sequence[float]) -> Spread:
    """Take the values of the rounds.

    Raises:
        ValueError: if there are none.
    """
    if not values:
        raise ValueError("a spread of no values")
    return Spread(tuple(values))
