"""The boxes in the picture of a block: one for each layer, with its name and details."""

from collections.abc import Iterable
from dataclasses import dataclass

from resnets.networks.layers import Layer, Trace
from resnets.report.drawing import labels
from resnets.report.drawing.diagram import Box, Hue, Sketch, Text
from resnets.report.drawing.text import measure_width, wrap_phrases

HEADING = 13.0
DETAIL = 11.5
PADDING = 14.0
LINE = 16.0
ROOM = 190.0
"""Pixels that a line of details is wrapped at."""


@dataclass(frozen=True, kw_only=True)
class LayerBox:
    """The content of a box.

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
        """Width in pixels that its texts need."""
        bold = bool(self.details)
        lines = (measure_width(line, DETAIL) for line in self.details)
        return max(measure_width(self.heading, HEADING, bold), *lines, 0.0) + 2 * PADDING

    @property
    def height(self) -> float:
        """Height in pixels that its lines need."""
        return 26.0 if not self.details else 28.0 + LINE * len(self.details)

    def draw(self, width: float) -> Sketch:
        """Return a sketch of it around x = 0, from y = 0 down, ``width`` wide."""
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


def make_layer_box(trace: Trace, layer: Layer) -> LayerBox:
    """Return the box of a layer."""
    channels = labels.count_channels_read(trace, layer)
    return LayerBox(
        heading=labels.format_heading(layer, channels),
        details=tuple(wrap_phrases(labels.list_details(layer, channels), DETAIL, ROOM)),
        hue=labels.find_hue(layer),
        pile=layer.operation == "convolution" and layer.groups > 1,
    )


def find_common_width(boxes: Iterable[LayerBox], least: float = 0.0) -> float:
    """Return the width that all boxes of a column take."""
    return max([least, *(box.width for box in boxes)])
