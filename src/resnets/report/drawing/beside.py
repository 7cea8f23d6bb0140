"""What stands beside a branch: columns of boxes, a line to each and a line away from it."""

from dataclasses import dataclass

from resnets.report.drawing.cards import Card, common_width
from resnets.report.drawing.diagram import Point, Sketch

GAP = 20.0
"""Length of an arrow between two boxes."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """Boxes one below the other around a line."""

    cards: tuple[Card, ...]

    @property
    def width(self) -> float:
        """Pixels across; none for a line without boxes."""
        return common_width(self.cards)

    @property
    def height(self) -> float:
        """Pixels down, with the arrows between the boxes."""
        return sum(card.height + GAP for card in self.cards) - GAP if self.cards else 0.0

    @property
    def room(self) -> float:
        """Pixels down from the line that leads to it to the one that leads away."""
        return self.height + 2 * GAP

    def draw(self, sketch: Sketch, x: float, begin: Point, limit: float) -> tuple[Point, ...]:
        """Draw it at ``x``, midway between the height of ``begin`` and ``limit``.

        Gives the points of the line that leads away, which the caller ends.
        """
        lead = (begin, (x, begin[1]))
        if not self.cards:
            return lead
        y = (begin[1] + limit - self.height) / 2
        sketch.line(*lead, (x, y), arrow=True)
        for i, card in enumerate(self.cards):
            if i:
                sketch.line((x, y - GAP), (x, y), arrow=True)
            sketch.place(card.sketch(self.width), x, y)
            y += card.height + GAP
        return ((x, y - GAP),)
