"""One residual block in full: the branch downwards, the shortcut and the gate to its right.

In the manner of *Dive into Deep Learning*, Figures 8.6.2, 8.6.3 and 8.6.5, and of He et al. 2015,
Figure 2; data flow downwards, as in the papers.
"""

from dataclasses import dataclass, field

from resnets.networks.layers import Layer, Trace
from resnets.report.drawing import labels
from resnets.report.drawing.anatomy import Anatomy, Way
from resnets.report.drawing.diagram import Box, Diagram, Sign, Sketch, Text
from resnets.report.drawing.headings import add_heading
from resnets.report.drawing.layer_box import LayerBox, find_common_width, make_layer_box
from resnets.report.drawing.paths import Paths, find_paths
from resnets.report.drawing.side_column import GAP, Column
from resnets.report.drawing.text import measure_width
from resnets.report.summary import format_shape

WIDE_GAP = 36.0
"""Length of an arrow that has a label beside it, or from which a line parts."""

FRAME_GAP = 44.0
"""Length of the arrow that leads out of a frame."""

PARTING = 15.0
"""How far below a box a line parts from such an arrow."""

SIDE = 32.0
"""Space between columns."""

LABEL = 11.5
"""Size of the labels beside arrows."""

SIGN = 12.0
"""Radius of the circle around a plus or a cross."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a block is drawn where that is not its own affair.

    Attributes:
        summed: whether with shortcut and sum, or as a plain block.
        paths: whether convolutions in groups are drawn as parallel paths.
        begins, ends: what input and output are called.
        frame: what comes out of the branch, which then has a frame around it; empty for none.
    """

    summed: bool = True
    paths: bool = False
    begins: str = "input"
    ends: str = "output"
    frame: str = ""


def sketch_block(trace: Trace, block: Anatomy, style: Style) -> Sketch:
    """Return a sketch of a block around x = 0, from y = 0 down."""
    return _Placer(trace, block, style).run()


@dataclass
class _Placer:
    """Goes down the branch and notes where lines part; then draws what stands beside it.

    Attributes:
        width: of the branch's boxes.
        parts: how far down lines part after a layer, by the layer's name.
        reach: how far the branch and its labels go to the right.
        left: how far what belongs to it goes to the left.
        y: how far down the picture goes by now.
        splits: the branch's layers that are drawn as parallel paths, if any.
    """

    trace: Trace
    block: Anatomy
    style: Style
    sketch: Sketch = field(default_factory=Sketch)
    width: float = 0.0
    parts: dict[str, float] = field(default_factory=dict[str, float])
    reach: float = 0.0
    left: float = 0.0
    y: float = 0.0
    splits: Paths | None = None

    def run(self) -> Sketch:
        block, style = self.block, self.style
        self.width = find_common_width(self.make_boxes((*block.branch.layers, *block.after)), 176.0)
        self.reach = self.width / 2 + 6
        self.splits = find_paths(self.trace, block) if style.paths else None
        self.name_end(style.begins, block.source.shape)
        self.arrow_after(block.source, block.branch.layers[0])
        top = self.y
        self.branch()
        if style.frame:
            self.draw_frame(top, self.y - FRAME_GAP)
        if style.summed:
            self.total()
        for layer in block.after:
            self.arrow(GAP) if style.summed else None
            self.put(self.make_box(layer))
        self.arrow(GAP)
        self.name_end(style.ends, block.shape)
        return self.sketch

    def make_box(self, layer: Layer) -> LayerBox:
        return make_layer_box(self.trace, layer)

    def make_boxes(self, layers: tuple[Layer, ...]) -> tuple[LayerBox, ...]:
        return tuple(map(self.make_box, layers))

    def column(self, way: Way) -> Column:
        return Column(boxes=self.make_boxes(way.layers))

    def name_end(self, name: str, shape: tuple[int, ...]) -> None:
        """Write what goes in or comes out, in the middle."""
        text = f"{name}:  {format_shape(shape)}"
        self.sketch.add(Text(x=0, y=self.y + 16, text=text, size=13, anchor="middle"))
        self.y += 23

    def put(self, box: LayerBox) -> None:
        """Draw a box in the branch's column."""
        self.sketch.place(box.draw(self.width), 0, self.y)
        self.y += box.height

    def arrow(self, length: float, head: bool = True) -> None:
        self.sketch.line((0, self.y), (0, self.y + length), arrow=head)
        self.y += length

    def branch(self) -> None:
        """Draw the branch's layers, each with the arrow after it."""
        layers = list(self.block.branch.layers)
        paths = self.splits
        while layers:
            layer = layers.pop(0)
            if paths and layer is paths.layers[0]:
                self.paths(paths)
                layer = paths.layers[-1]
                del layers[: len(paths.layers) - 1]
            elif layer.operation == "scale":
                self.draw_scaling(layer)
            else:
                self.put(self.make_box(layer))
            self.arrow_after(layer, layers[0] if layers else None)

    def paths(self, paths: Paths) -> None:
        drawn = paths.sketch()
        _, _, right, bottom = drawn.bounds
        self.sketch.place(drawn, 0, self.y)
        self.reach = max(self.reach, right)
        self.y += bottom

    def arrow_after(self, layer: Layer, following: Layer | None) -> None:
        """Draw the arrow after a layer, long enough for what happens beside it."""
        label = self.label(layer, following)
        parting = layer.name in self.sources()
        self.parts[layer.name] = self.y + PARTING
        # A plain block begins as the residual block beside it does.
        first = layer is self.block.source and bool(self.style.frame)
        length = WIDE_GAP if label or parting or first else GAP
        length = FRAME_GAP if label and label == self.style.frame else length
        length = max(length, self.next_sign(layer, following) - SIGN - self.y)
        if label and label == self.style.frame:
            self.sketch.add(Text(x=10, y=self.y + 27, text=label, size=13))
        elif label:
            self.sketch.add(Text(x=9, y=self.y + 21, text=label, size=LABEL, faint=True))
            self.reach = max(self.reach, 9 + measure_width(label, LABEL))
        parted = self.splits is not None and following is self.splits.layers[0]
        self.arrow(length, head=not parted)
        if parting:
            self.sketch.add(Sign(x=0, y=self.parts[layer.name], kind="dot", radius=2.6))

    def label(self, layer: Layer, following: Layer | None) -> str:
        """Say the shape where it changes, or what comes out of a branch with a frame."""
        if following is None and self.style.frame:
            return self.style.frame
        if layer is self.block.source:
            return ""
        changes = layer.shape != self.trace.by_name[layer.inputs[0]].shape
        return format_shape(layer.shape) if changes else ""

    def sources(self) -> set[str]:
        """Names of the layers after which lines part from the branch's."""
        block = self.block
        ways = list(block.excitations.values())
        if self.style.summed:
            ways += [block.shortcut, *([block.gate] if block.gate else [])]
        return {way.source for way in ways}

    def next_sign(self, layer: Layer, following: Layer | None) -> float:
        """Give the least y of the sign that follows a layer, for what comes in beside; or 0."""
        if following is not None:
            if following.operation != "scale":
                return 0.0
            column = self.column(self.block.excitations[following.name])
            return self.parts[layer.name] + column.room
        ways = [self.block.shortcut, self.block.gate] if self.style.summed else []
        return max(
            (self.parts[way.source] + self.column(way).room for way in ways if way), default=0.0
        )

    def draw_frame(self, top: float, bottom: float) -> None:
        """Draw the frame around the branch."""
        right = max(self.width / 2 + 14, self.reach + 8)
        left = min(-right, self.left - 14)
        self.sketch.marks.insert(
            0,
            Box(
                x=left,
                y=top - 10,
                width=right - left,
                height=bottom - top + 18,
                look="frame",
                radius=10,
            ),
        )
        self.reach = right

    def draw_scaling(self, layer: Layer) -> None:
        """Draw a scaling's cross, and left of the branch the way to its factors."""
        way = self.block.excitations[layer.name]
        column, centre = self.column(way), self.y + SIGN
        x = -(self.width / 2 + SIDE + column.width / 2)
        self.left = min(self.left, x - column.width / 2)
        away = column.draw(self.sketch, x, (0, self.parts[way.source]), centre)
        self.sketch.line(*away, (x, centre), (-SIGN, centre), arrow=True)
        self.sketch.add(Sign(x=0, y=centre, kind="times", hue="scale", radius=SIGN))
        self.y = centre + SIGN

    def total(self) -> None:
        """Draw the sum with all that reaches it from the right."""
        block, left = self.block, self.reach + SIDE
        crosses = self.y + SIGN
        gate = self.column(block.gate) if block.gate else Column(boxes=())
        gate_x = left + gate.width / 2
        left += gate.width + SIDE if gate.boxes else 0.0
        column = self.column(block.shortcut)
        x = left + column.width / 2
        begin = (0.0, self.parts[block.shortcut.source])
        away = column.draw(self.sketch, x, begin, crosses)
        if not column.boxes:
            middle = (begin[1] + crosses) / 2
            self.sketch.add(Text(x=x + 10, y=middle, text="identity", size=LABEL, faint=True))
        if block.gate:
            self.sketch.line(*away, (x, crosses - SIGN), arrow=True)
            self.draw_gate(gate, block.gate, gate_x, x)
            self.arrow(GAP)
            away = ((x, crosses + SIGN),)
        centre = self.y + SIGN
        self.sketch.line(*away, (x, centre), (SIGN, centre), arrow=True)
        self.sketch.add(Sign(x=0, y=centre, kind="plus", radius=SIGN))
        self.y = centre + SIGN

    def draw_gate(self, gate: Column, way: Way, x: float, shortcut: float) -> None:
        """Draw the gate at ``x`` and its crosses on the branch and on the shortcut."""
        centre, begin = self.y + SIGN, (x, self.parts[way.source])
        ((_, bottom),) = gate.draw(self.sketch, x, begin, centre)
        self.sketch.add(Sign(x=x, y=begin[1], kind="dot", radius=2.6))
        for end, towards, factor in ((0.0, SIGN, "T"), (shortcut, -SIGN, "1 − T")):
            self.sketch.line((x, bottom), (x, centre), (end + towards, centre), arrow=True)
            self.sketch.add(Sign(x=end, y=centre, kind="times", hue="scale", radius=SIGN))
            middle = (x + end) / 2
            text = Text(x=middle, y=centre - 6, text=factor, size=LABEL, anchor="middle")
            self.sketch.add(text)
        self.y = centre + SIGN


def draw_block(trace: Trace, block: Anatomy, *, paths: bool = False) -> Diagram:
    """Return a diagram of one block; ``paths`` shows groups as parallel paths."""
    drawn = sketch_block(trace, block, Style(paths=paths))
    return add_heading(drawn, *make_titles(trace, block), describe_block(trace, block))


def make_titles(trace: Trace, block: Anatomy) -> tuple[str, str]:
    """Return title and subtitle."""
    costs = (
        f"{sum(layer.parameters for layer in block.layers):,} parameters, "
        f"{sum(layer.multiply_adds for layer in block.layers):,} multiply-adds"
    )
    name = trace.architecture.name or "network"
    return f"{name} · {block.name}", f"{labels.describe_kind(trace, block)}: {costs}"


def describe_block(trace: Trace, block: Anatomy) -> str:
    """Return a description of the picture."""
    ways = [("branch", block.branch), ("shortcut", block.shortcut)]
    ways += [("gate", block.gate)] if block.gate else []
    told = [
        f"{name}: {', '.join(_describe_layer(trace, layer) for layer in way.layers) or 'identity'}"
        for name, way in ways
    ]
    after = "".join(f", then {_describe_layer(trace, layer)}" for layer in block.after)
    return (
        f"From {format_shape(block.source.shape)} to {format_shape(block.shape)}. "
        f"{'; '.join(told)}; their sum{after}."
    )


def _describe_layer(trace: Trace, layer: Layer) -> str:
    channels = labels.count_channels_read(trace, layer)
    return " ".join([labels.format_heading(layer, channels), *labels.list_details(layer, channels)])
