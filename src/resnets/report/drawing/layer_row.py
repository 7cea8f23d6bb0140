"""Layers and blocks drawn small, from left to right along a line at y = 0."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from resnets.networks.layers import Layer, Trace
from resnets.report.drawing import labels
from resnets.report.drawing.anatomy import Anatomy, Run, Way, find_blocks
from resnets.report.drawing.diagram import Box, Line, Sign, Sketch, Text
from resnets.report.drawing.text import measure_width

LEAD = 12.0
"""Line seen between two boxes."""

FIRST = 22.0
"""The same before the first, with an arrow's head; a shortcut parts from it."""

PARTING = 6.0
"""How far along such a line a shortcut parts from it."""

STRIPE = 5.0
"""Width of a norm's or an activation's stripe."""

GLUE = 2.0
"""Space between a box and the stripes that belong to it."""

PILE = 4.0
"""How far the boxes behind a convolution in groups peep out."""

SMALL = 22.0
"""Height of a box on a shortcut."""

SIGN = 9.0
"""Radius of a sum's circle."""

SIZES = (12.0, 11.5, 10.0)
"""Sizes of a chip's lines."""


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """A row of layers: its marks, along y = 0 from x = 0, and how long it is."""

    sketch: Sketch
    length: float


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What all boxes of a picture share.

    Attributes:
        width: of a convolution's box.
        scaling: of a squeeze-and-excitation's.
        height: of every box on the line.
    """

    width: float
    scaling: float
    height: float

    @property
    def rise(self) -> float:
        """How far above the line a shortcut runs."""
        return self.height / 2 + 8 + SMALL / 2

    @staticmethod
    def of(trace: Trace) -> "Measures":
        """Return the measures that suit every convolution of a network."""
        found = find_blocks(trace)
        beside = {x.name for b in found for x in (*b.shortcut.layers, *_list_gate(b))}
        texts = [
            format_chip(layer)
            for layer in trace.layers
            if layer.operation == "convolution" and layer.name not in beside
        ]
        scalings = [_format_excitation(way) for b in found for way in b.excitations.values()]
        lines = max(map(len, texts))
        return Measures(
            width=max(map(measure_chip, texts)),
            scaling=max(map(measure_chip, scalings), default=0.0),
            height=38.0 if lines < 3 else 52.0,
        )


def draw_layers(trace: Trace, layers: Iterable[Layer], measures: Measures) -> LayerRow:
    """Return a row of layers that follow one another."""
    row = _RowPainter(measures=measures, before=trace.architecture.preactivation)
    for layer in layers:
        row.layer(layer)
    return row.finish()


def draw_stage(trace: Trace, found: Sequence[Run], measures: Measures) -> LayerRow:
    """Return a row of the blocks of a stage."""
    row = _RowPainter(measures=measures, before=trace.architecture.preactivation)
    for run in found:
        if run.count == 1:
            row.block(run.block)
        else:
            row.repeated(run)
    return row.finish()


def format_chip(layer: Layer) -> tuple[str, ...]:
    """Return a layer's text in two or three short lines: ``3×3 /2``, ``128``, ``32 groups``."""
    kernel = f"{layer.kernel}×{layer.kernel}{_format_steps(layer)}"
    match layer.operation:
        case "convolution":
            groups = (f"{layer.groups} groups",) if layer.groups > 1 else ()
            return (kernel, str(layer.shape[0]), *groups)
        case "max_pool":
            return (kernel, "max-pool")
        case "dense":
            return ("dense", str(layer.shape[0]))
        case "shift":
            return (f"shift{_format_steps(layer)}",)
        case _:
            return (labels.NAMES.get(layer.operation, layer.operation),)


def format_small(layer: Layer) -> str:
    """Return the text of a layer of a shortcut in one line: ``1×1 /2``."""
    if layer.operation == "pad_shortcut":
        return f"pad{_format_steps(layer)}"
    mean = " mean" if layer.operation == "average_pool" else ""
    return f"{layer.kernel}×{layer.kernel}{mean}{_format_steps(layer)}"


def measure_chip(lines: Sequence[str]) -> float:
    """Return the width of a box with these lines."""
    widths = (
        measure_width(text, size, bold=not i)
        for i, (text, size) in enumerate(zip(lines, SIZES, strict=False))
    )
    return max(widths) + 14.0


def _list_gate(block: Anatomy) -> tuple[Layer, ...]:
    return block.gate.layers if block.gate else ()


def _format_excitation(way: Way) -> tuple[str, ...]:
    """Return the text of a squeeze-and-excitation with the channels it squeezes to."""
    squeeze = next(layer for layer in way.layers if layer.operation == "dense")
    return ("SE", str(squeeze.shape[0]))


def _format_steps(layer: Layer) -> str:
    stride = f" /{layer.stride}" if layer.stride > 1 else ""
    return stride + (f" *{layer.dilation}" if layer.dilation > 1 else "")


@dataclass
class _RowPainter:
    """Draws from left to right.

    Attributes:
        before: whether norms and activations belong to the convolution after them.
        x: where the next thing begins.
        last: what was drawn last.
        parts: where lines part after a layer, by the layer's name.
        excitations: of the block that is being drawn.
    """

    measures: Measures
    before: bool
    sketch: Sketch = field(default_factory=Sketch)
    x: float = 0.0
    last: str = ""
    parts: dict[str, float] = field(default_factory=dict[str, float])
    excitations: dict[str, Way] = field(default_factory=dict[str, Way])

    def finish(self) -> LayerRow:
        self.sketch.marks.insert(0, Line(points=((0, 0), (self.x, 0))))
        return LayerRow(sketch=self.sketch, length=self.x)

    def layer(self, layer: Layer, parting: bool = False) -> None:
        """Draw one layer; ``parting``: a line parts right after it."""
        hue = labels.find_hue(layer)
        if hue in ("norm", "activation"):
            self.stripe(layer)
        else:
            self.chip(layer)
        if parting:
            self.parts[layer.name] = self.x + LEAD / 2
            self.last = "part"

    def lead(self, glued: bool) -> None:
        """Go on to the next thing."""
        if self.last:
            self.x += GLUE if glued else LEAD
            return
        self.x += FIRST
        self.sketch.line((self.x - FIRST / 2, 0), (self.x, 0), arrow=True)

    def stripe(self, layer: Layer) -> None:
        self.lead(self.last == "stripe" or (self.last in ("chip", "sign") and not self.before))
        height = self.measures.height
        self.sketch.add(self.bar(layer, self.x, 0, height))
        self.x += STRIPE
        self.last = "stripe"

    def bar(self, layer: Layer, x: float, y: float, height: float) -> Box:
        hue = labels.find_hue(layer)
        top = y - height / 2
        return Box(x=x, y=top, width=STRIPE, height=height, hue=hue, look="solid", radius=2)

    def chip(self, layer: Layer) -> None:
        self.lead(self.last == "stripe" and self.before)
        scaling = self.excitations.get(layer.name)
        lines = _format_excitation(scaling) if scaling else format_chip(layer)
        widths = {"convolution": self.measures.width, "scale": self.measures.scaling}
        width = widths.get(layer.operation) or measure_chip(lines)
        self.card(lines, width, labels.find_hue(layer), layer.groups > 1)
        self.x += width + (PILE if layer.groups > 1 else 0.0)
        self.last = "chip"

    def card(self, lines: Sequence[str], width: float, hue: "labels.Hue", pile: bool) -> None:
        height = self.measures.height
        for back in (PILE, PILE / 2, 0.0) if pile else (0.0,):
            box = Box(x=self.x + back, y=back - height / 2, width=width, height=height, hue=hue)
            self.sketch.add(box)
        pitch = 14.5
        y = -pitch * (len(lines) - 1) / 2 + 4.2
        for i, text in enumerate(lines):
            self.sketch.add(
                Text(
                    x=self.x + width / 2,
                    y=y,
                    text=text,
                    size=SIZES[i],
                    bold=not i,
                    anchor="middle",
                )
            )
            y += pitch

    def block(self, block: Anatomy) -> None:
        """Draw a block with its shortcut above."""
        self.excitations = block.excitations
        self.parts[block.source.name] = self.x + PARTING
        self.last = ""
        for layer in block.branch.layers:
            self.layer(layer, parting=layer.name == block.shortcut.source)
        begin = self.parts[block.shortcut.source]
        beside = self.beside(block.shortcut.layers)
        self.x = max(self.x + LEAD + SIGN, begin + beside.length + 2 * LEAD)
        self.shortcut(begin, beside)
        hue = labels.find_hue(block.total)
        self.sketch.add(Sign(x=self.x, y=0, kind="plus", hue=hue, radius=SIGN))
        self.x += SIGN
        self.last = "sign"
        for layer in block.after:
            self.layer(layer)
        self.x += LEAD / 2

    def shortcut(self, begin: float, beside: LayerRow) -> None:
        """Draw the line over the branch to the sum at ``x``, and what stands on it."""
        rise, end = -self.measures.rise, self.x
        self.sketch.line((begin, 0), (begin, rise), (end, rise), (end, -SIGN), arrow=True)
        self.sketch.place(beside.sketch, (begin + end - beside.length) / 2, rise)

    def beside(self, layers: Iterable[Layer]) -> LayerRow:
        """Draw a shortcut's layers from x = 0 on, around y = 0."""
        sketch, x = Sketch(), 0.0
        for layer in layers:
            hue = labels.find_hue(layer)
            if hue == "norm":
                x += GLUE
                sketch.add(self.bar(layer, x, 0, SMALL))
                x += STRIPE
                continue
            x += LEAD if x else 0.0
            text = format_small(layer)
            width = measure_width(text, 11) + 12
            sketch.add(Box(x=x, y=-SMALL / 2, width=width, height=SMALL, hue=hue, radius=4))
            sketch.add(Text(x=x + width / 2, y=4, text=text, size=11, anchor="middle"))
            x += width
        return LayerRow(sketch=sketch, length=x)

    def repeated(self, run: Run) -> None:
        """Draw a block in a frame, and how often it stands there."""
        self.x += LEAD if self.x else 0.0
        left = self.x
        self.block(run.block)
        top, half = -self.measures.rise - SMALL / 2 - 3, self.measures.height / 2
        self.sketch.add(
            Box(
                x=left,
                y=top,
                width=self.x - left,
                height=half + 9 - top,
                look="frame",
                radius=8,
            )
        )
        text = f"× {run.count}"
        self.sketch.add(Text(x=self.x + 8, y=-8, text=text, size=15, bold=True))
        self.x += 8 + measure_width(text, 15, bold=True)
