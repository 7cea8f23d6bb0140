"""A picture as a value: boxes, texts, lines and signs in their places, y downwards, in pixels.

``svg`` draws a diagram and ``png`` rasterises it. A mark's hue says what it stands for, never a
colour: the themes (``palette``) give those.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from resnets.report.drawing.text import measure_width

Hue = Literal["convolution", "norm", "activation", "pool", "dense", "shift", "scale", "plain"]
"""What a mark stands for; the same operation has the same hue in every picture."""

Point = tuple[float, float]
Bounds = tuple[float, float, float, float]
"""Left, top, right, bottom."""

ARROW = 7.0
"""Length of an arrow's head."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle with round corners.

    Attributes:
        look: ``tint``, an operation that bears text; ``solid``, one too small for it; ``panel``,
            what lies under a part of the picture; ``frame``, a dashed line around one;
            ``track`` and ``bar``, a share and what it is a share of.
    """

    x: float
    y: float
    width: float
    height: float
    hue: Hue = "plain"
    look: Literal["tint", "solid", "panel", "frame", "track", "bar"] = "tint"
    radius: float = 5.0

    @property
    def bounds(self) -> Bounds:
        """What it covers."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    def translate(self, dx: float, dy: float) -> "Box":
        """Return the same mark elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, kw_only=True)
class Text:
    """A line of text whose baseline begins, has its middle or ends at (x, y)."""

    x: float
    y: float
    text: str
    size: float = 12.0
    bold: bool = False
    faint: bool = False
    anchor: Literal["start", "middle", "end"] = "start"

    @property
    def bounds(self) -> Bounds:
        """What it covers, in the widest of the usual fonts."""
        width = measure_width(self.text, self.size, self.bold)
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.y - 0.76 * self.size, left + width, self.y + 0.24 * self.size

    def translate(self, dx: float, dy: float) -> "Text":
        """Return the same mark elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)


@dataclass(frozen=True, kw_only=True)
class Line:
    """Straight pieces with round corners, perhaps with an arrow's head at the last point."""

    points: tuple[Point, ...]
    arrow: bool = False
    radius: float = 8.0

    @property
    def bounds(self) -> Bounds:
        """What it covers."""
        xs, ys = [x for x, _ in self.points], [y for _, y in self.points]
        return min(xs), min(ys), max(xs), max(ys)

    def translate(self, dx: float, dy: float) -> "Line":
        """Return the same mark elsewhere."""
        return replace(self, points=tuple((x + dx, y + dy) for x, y in self.points))

    @property
    def corners(self) -> list[tuple[Point, Point, Point]]:
        """Each inner point with where its rounding begins and ends: (begin, point, end)."""
        found: list[tuple[Point, Point, Point]] = []
        for before, at, after in zip(self.points, self.points[1:], self.points[2:], strict=False):
            reach = min(self.radius, _measure(before, at) / 2, _measure(at, after) / 2)
            found.append((_step_towards(at, before, reach), at, _step_towards(at, after, reach)))
        return found

    @property
    def end(self) -> Point:
        """Where the line itself ends: at its last point, or at the back of its arrow's head."""
        last = self.points[-1]
        return _step_towards(last, self.points[-2], ARROW - 1) if self.arrow else last

    @property
    def head(self) -> tuple[Point, Point, Point] | None:
        """The triangle of the arrow's head, tip first."""
        if not self.arrow:
            return None
        (x, y), (fx, fy) = self.points[-1], _step_towards(self.points[-1], self.points[-2], ARROW)
        half = 0.5 * (1 - 0.08)
        dx, dy = half * (x - fx), half * (y - fy)
        return (x, y), (fx - dy, fy + dx), (fx + dy, fy - dx)


@dataclass(frozen=True, kw_only=True)
class Sign:
    """A circle around a plus or a cross; or a dot, where lines part."""

    x: float
    y: float
    kind: Literal["plus", "times", "dot"]
    hue: Hue = "plain"
    radius: float = 11.0

    @property
    def bounds(self) -> Bounds:
        """What it covers."""
        r = self.radius
        return self.x - r, self.y - r, self.x + r, self.y + r

    def translate(self, dx: float, dy: float) -> "Sign":
        """Return the same mark elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)

    @property
    def strokes(self) -> list[tuple[Point, Point]]:
        """The lines inside the circle."""
        if self.kind == "dot":
            return []
        r = 0.52 * self.radius
        if self.kind == "times":
            r *= 0.78
            pairs = (((-r, -r), (r, r)), ((-r, r), (r, -r)))
        else:
            pairs = (((-r, 0.0), (r, 0.0)), ((0.0, -r), (0.0, r)))
        return [
            ((self.x + ax, self.y + ay), (self.x + bx, self.y + by)) for (ax, ay), (bx, by) in pairs
        ]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An image of pixels.

    Attributes:
        png: its file; the same pixels the same bytes.
        text: what it shows, for those who do not see it.
        smooth: whether pixels larger than the diagram's are smoothed, or are squares.
    """

    x: float
    y: float
    width: float
    height: float
    png: bytes = field(repr=False)
    text: str
    smooth: bool = True

    @property
    def bounds(self) -> Bounds:
        """What it covers."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    def translate(self, dx: float, dy: float) -> "Picture":
        """Return the same mark elsewhere."""
        return replace(self, x=self.x + dx, y=self.y + dy)


Mark = Box | Text | Line | Sign | Picture


@dataclass(frozen=True, kw_only=True)
class Diagram:
    """A finished picture.

    Attributes:
        width, height: of what is seen; every mark lies within.
        title, description: for those who do not see it.
        marks: from the undermost to the uppermost.
    """

    width: float
    height: float
    title: str
    description: str
    marks: tuple[Mark, ...]


@dataclass
class Sketch:
    """Marks being put together, at coordinates of their own."""

    marks: list[Mark] = field(default_factory=list[Mark])

    def add(self, *marks: Mark) -> None:
        """Lay marks over what is there."""
        self.marks.extend(marks)

    def place(self, other: "Sketch", dx: float, dy: float) -> None:
        """Lay another sketch over this one, moved."""
        self.marks.extend(mark.translate(dx, dy) for mark in other.marks)

    def line(self, *points: Point, arrow: bool = False) -> None:
        """Draw a line."""
        self.add(Line(points=points, arrow=arrow))

    @property
    def bounds(self) -> Bounds:
        """What all marks cover."""
        found = [mark.bounds for mark in self.marks]
        return (
            min(left for left, _, _, _ in found),
            min(top for _, top, _, _ in found),
            max(right for _, _, right, _ in found),
            max(bottom for _, _, _, bottom in found),
        )

    def frame(self, title: str, description: str, margin: float = 24.0) -> Diagram:
        """Return a diagram of it, with a margin."""
        left, top, right, bottom = self.bounds
        marks = tuple(self._translate(margin - left, margin - top))
        width, height = right - left + 2 * margin, bottom - top + 2 * margin
        return Diagram(
            width=float(math.ceil(width)),
            height=float(math.ceil(height)),
            title=title,
            description=description,
            marks=marks,
        )

    def _translate(self, dx: float, dy: float) -> Iterator[Mark]:
        for mark in self.marks:
            yield mark.translate(dx, dy)


def _measure(a: Point, b: Point) -> float:
    return ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5


def _step_towards(a: Point, b: Point, distance: float) -> Point:
    """Return the point ``distance`` from ``a`` on the way to ``b``."""
    share = distance / (_measure(a, b) or 1.0)
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
