"""Cards: the boxes of a block's picture, one a layer, with what the layer is written in them."""

from collections.abc import Iterable
from dataclasses import dataclass

from resnets.networks.layers import Layer, Trace
from resnets.report.drawing import wording
from resnets.report.drawing.diagram import Box, Hue, Sketch, Text
from resnets.report.drawing.lettering import width_of, wrapped

HEADING = 13.0
DETAIL = 11.5
PADDING = 14.0
LINE = 16.0
ROOM = 190.0
"""Pixels that a line of details is wrapped at."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What stands in a box.

    Attributes:
        heading, details: the first line, and the others.
        hue: of the operation.
        pile: whether more boxes peep out behind it, as for a convolution in groups.
    """

    heading: str
    details: tuple[str, ...] = ()
    hue: Hue = "plain"
    pile: bool = False

    @property
    def width(self) -> float:
        """Pixels that its texts need across."""
        bold = bool(self.details)
        lines = (width_of(line, DETAIL) for line in self.details)
        return max(width_of(self.heading, HEADING, bold), *lines, 0.0) + 2 * PADDING

    @property
    def height(self) -> float:
        """Pixels that its lines need."""
        return 26.0 if not self.details else 28.0 + LINE * len(self.details)

    def sketch(self, width: float) -> Sketch:
        """Draw it around x = 0, from y = 0 down, ``width`` wide."""
        sketch, height = Sketch(), self.height
        for back in (6.0, 3.0) if self.pile else ():
            sketch.add(self._box(width, back, back))
        sketch.add(self._box(width, 0.0, 0.0))
        y = 0.5 * (height - LINE * len(self.details)) + 0.35 * HEADING
        bold = bool(self.details)
        sketch.add(
            Text(x=0, y=y, text=self.heading, size=HEADING, bold=bold, anchor="middle"),
        )
        for line in self.details:
            y += LINE
            sketch.add(Text(x=0, y=y, text=line, size=DETAIL, anchor="middle"))
        return sketch

    def _box(self, width: float, dx: float, dy: float) -> Box:
        return Box(x=dx - width / 2, y=dy, width=width, height=self.height, hue=self.hue)


def card(trace: Trace, layer: Layer) -> Card:
    """Write a layer's card."""
    channels = wording.channels_read(trace, layer)
    return Card(
        heading=wording.heading(layer, channels),
        details=tuple(wrapped(wording.details(layer, channels), DETAIL, ROOM)),
        hue=wording.hue(layer),
        pile=layer.operation == "convolution" and layer.groups > 1,
    )


def common_width(cards: Iterable[Card], least: float = 0.0) -> float:
    """Give the width that all cards of a column take."""
    return max([least, *(card.width for card in cards)])
