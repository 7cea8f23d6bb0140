"""The whole network: a band for each stage, its blocks from left to right, what it costs.

A convolution is a box with kernel and channels; norms and activations are stripes in their hue.
Neighbouring blocks that are alike are drawn once, with their number.
"""

from dataclasses import dataclass, field

from resnets.networks.layers import Layer, Trace
from resnets.report.drawing import labels, layer_row
from resnets.report.drawing.anatomy import find_blocks, group_alike
from resnets.report.drawing.diagram import Box, Diagram, Point, Sketch, Text
from resnets.report.drawing.headings import add_heading
from resnets.report.drawing.legend import draw_legend
from resnets.report.drawing.text import measure_width
from resnets.report.summary import format_shape

INDENT = 16.0
"""Space at both ends of a band."""

BETWEEN = 22.0
"""Space between bands, in which the line runs back."""

BAR = 84.0
"""Length of a bar that stands for the whole network."""

COLUMN = 26.0
"""Space between columns."""

OUT = 12.0
"""How far the line that runs back stands out at both ends."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """One part of the network.

    Attributes:
        title, subtitle: at its left.
        row: its layers.
        shape: of its output.
        parameters, multiply_adds: of all its layers.
    """

    title: str
    subtitle: str
    row: layer_row.LayerRow
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


def draw_network(trace: Trace) -> Diagram:
    """Return a diagram of a network, from top to bottom."""
    name, classes = trace.architecture.name or "network", trace.architecture.classes
    parts = list_bands(trace)
    drawn = _Bands(trace, parts).run()
    left, _, right, bottom = drawn.bounds
    drawn.place(draw_legend(trace, right - left), left, bottom + 26)
    said = (
        f"{format_shape(trace.layers[0].shape)} in, "
        f"{classes} {'class' if classes == 1 else 'classes'}: "
        f"{trace.parameters:,} parameters, {trace.multiply_adds:,} multiply-adds"
    )
    return add_heading(drawn, name, said, describe_bands(parts))


def describe_bands(parts: list[Band]) -> str:
    """Return a description of the picture."""
    told = [
        f"{band.title}{f', {band.subtitle}' if band.subtitle else ''}: "
        f"output {format_shape(band.shape)}, {band.parameters:,} parameters, "
        f"{band.multiply_adds:,} multiply-adds"
        for band in parts
    ]
    return f"From above to below: {'; '.join(told)}."


def list_bands(trace: Trace) -> list[Band]:
    """Return stem, stages and head."""
    stages = trace.architecture.stages
    chip = layer_row.Measures.of(trace)
    found = find_blocks(trace)
    given = f"input {format_shape(trace.layers[0].shape)}"
    rows = [
        _make_band(
            trace,
            "stem",
            given,
            layer_row.draw_layers(trace, _select_part(trace, "stem")[1:], chip),
        )
    ]
    for i, stage in enumerate(stages):
        own = [block for block in found if block.total.part == f"stage{i + 1}"]
        subtitle = labels.format_count(stage.depth, f"{stage.block.kind} block")
        row = layer_row.draw_stage(trace, group_alike(own), chip)
        rows.append(_make_band(trace, f"stage {i + 1}", subtitle, row))
    rows.append(
        _make_band(
            trace, "head", "", layer_row.draw_layers(trace, _select_part(trace, "head"), chip)
        )
    )
    return rows


def _select_part(trace: Trace, part: str) -> list[Layer]:
    return [layer for layer in trace.layers if layer.part == part]


def _make_band(trace: Trace, title: str, subtitle: str, row: layer_row.LayerRow) -> Band:
    layers = _select_part(trace, title.replace(" ", ""))
    return Band(
        title=title,
        subtitle=subtitle,
        row=row,
        shape=layers[-1].shape,
        parameters=sum(layer.parameters for layer in layers),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
    )


@dataclass
class _Bands:
    """Lays the bands out: titles, rows and costs in columns."""

    trace: Trace
    bands: list[Band]
    sketch: Sketch = field(default_factory=Sketch)
    begin: float = 0.0
    ends: tuple[float, ...] = ()

    def run(self) -> Sketch:
        titles = [measure_width(band.title, 14, bold=True) for band in self.bands]
        titles += [measure_width(band.subtitle, 11.5) for band in self.bands]
        self.begin = INDENT + max(titles) + COLUMN
        x = self.begin + max(band.row.length for band in self.bands) + OUT
        shapes = [format_shape(band.shape) for band in self.bands]
        widest = max(measure_width(shape, 13) for shape in shapes)
        for head, room in (("output", widest), ("parameters", BAR), ("multiply-adds", BAR)):
            x += COLUMN + max(room, measure_width(head, 11.5))
            self.ends = (*self.ends, x)
            self.sketch.add(Text(x=x, y=0, text=head, size=11.5, faint=True, anchor="end"))
        bottom, end = 10.0 - BETWEEN, None
        for band in self.bands:
            gap = bottom + BETWEEN / 2
            bottom, flow = self.band(band, bottom + BETWEEN)
            if end is not None:
                self.back(end, gap, (self.begin, flow))
            end = (self.begin + band.row.length, flow)
        return self.sketch

    def back(self, begin: Point, gap: float, end: Point) -> None:
        """Draw the line from where one band's ends to where the next one's begins."""
        (x, y), left = begin, end[0] - OUT
        turns = ((x + OUT, y), (x + OUT, gap), (left, gap), (left, end[1]))
        self.sketch.line(begin, *turns, end)

    def band(self, band: Band, y: float) -> tuple[float, float]:
        """Draw a band whose top is at ``y``; give the y of its bottom and of its line."""
        _, top, _, bottom = band.row.sketch.bounds
        half = max(-top, 22.0) + 12
        height = half + max(bottom, 22.0) + 12
        flow = y + half
        self.sketch.add(
            Box(x=0, y=y, width=self.ends[-1] + INDENT, height=height, look="panel", radius=8)
        )
        self.named(band, flow)
        self.costs(band, flow)
        self.sketch.place(band.row.sketch, self.begin, flow)
        return y + height, flow

    def named(self, band: Band, y: float) -> None:
        below = 0.0 if band.subtitle else 7.0
        self.sketch.add(Text(x=INDENT, y=y - 2 + below, text=band.title, size=14, bold=True))
        if band.subtitle:
            self.sketch.add(Text(x=INDENT, y=y + 15, text=band.subtitle, size=11.5, faint=True))

    def costs(self, band: Band, y: float) -> None:
        """Write shape and costs, with bars for the shares of the network's."""
        shape, *ends = self.ends
        text = format_shape(band.shape)
        self.sketch.add(Text(x=shape, y=y + 4.5, text=text, size=13, anchor="end"))
        pairs = (
            (band.parameters, self.trace.parameters),
            (band.multiply_adds, self.trace.multiply_adds),
        )
        for x, (cost, whole) in zip(ends, pairs, strict=True):
            text = labels.format_brief(cost)
            self.sketch.add(Text(x=x, y=y, text=text, size=13, anchor="end"))
            track = Box(x=x - BAR, y=y + 8, width=BAR, height=4, look="track", radius=2)
            self.sketch.add(track)
            if cost:
                share = max(BAR * cost / whole, 2.0)
                bar = Box(x=x - BAR, y=y + 8, width=share, height=4, look="bar", radius=2)
                self.sketch.add(bar)
