"""A column of boxes beside a branch, with a line that leads to it and one that leads away."""

from dataclasses import dataclass

from resnets.report.drawing.diagram import Point, Sketch
from resnets.report.drawing.layer_box import LayerBox, find_common_width

GAP = 20.0
"""Length of an arrow between two boxes."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """Boxes one below the other around a line."""

    boxes: tuple[LayerBox, ...]

    @property
    def width(self) -> float:
        """Pixels across; none for a line without boxes."""
        return find_common_width(self.boxes)

    @property
    def height(self) -> float:
        """Pixels down, with the arrows between the boxes."""
        return sum(box.height + GAP for box in self.boxes) - GAP if self.boxes else 0.0

    @property
    def room(self) -> float:
        """Pixels down from the line that leads to it to the one that leads away."""
        return self.height + 2 * GAP

    def draw(self, sketch: Sketch, x: float, begin: Point, limit: float) -> tuple[Point, ...]:
        """Draw it at ``x``, midway between the height of ``begin`` and ``limit``.

        Gives the points of the line that leads away, which the caller ends.
        """
        lead = (begin, (x, begin[1]))
        if not self.boxes:
            return lead
        y = (begin[1] + limit - self.height) / 2
        sketch.line(*lead, (x, y), arrow=True)
        for i, box in enumerate(self.boxes):
            if i:
                sketch.line((x, y - GAP), (x, y), arrow=True)
            sketch.place(box.draw(self.width), x, y)
            y += box.height + GAP
        return ((x, y - GAP),)
