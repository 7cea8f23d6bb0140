"""A convolution in groups as the parallel paths that it is: Xie et al. 2016, Figure 3(b)."""

from dataclasses import dataclass

from resnets.networks.layers import Layer, Trace
from resnets.report.drawing import labels
from resnets.report.drawing.anatomy import Anatomy
from resnets.report.drawing.diagram import Sign, Sketch, Text
from resnets.report.drawing.layer_box import LayerBox, find_common_width
from resnets.report.drawing.side_column import GAP
from resnets.report.drawing.text import measure_width

SHOWN = 4
"""Paths drawn of many, half of them on either side."""

NUMBER = 12.5
"""Size of the text that says how many there are."""

BETWEEN = 16.0
"""Space between paths."""


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Layers that fall apart into paths with nothing in common.

    Attributes:
        layers: of the branch, to the convolution in groups.
        boxes: what each path consists of.
        count: number of paths.
        channels: put out by all together.
    """

    layers: tuple[Layer, ...]
    boxes: tuple[LayerBox, ...]
    count: int
    channels: int

    def sketch(self) -> Sketch:
        """Draw the paths from where the branch parts to where it is one again, around x = 0."""
        sketch, total = Sketch(), labels.format_count(self.count, "path")
        width = find_common_width(self.boxes, 84.0)
        pitch = width + BETWEEN
        shown = min(self.count, SHOWN)
        places = [(i - (shown - 1) / 2) * pitch for i in range(shown)]
        if self.count > SHOWN:
            # Dots in the middle, as many paths left of them as right.
            apart = (
                max(measure_width(total, NUMBER, bold=True) + 2 * BETWEEN - BETWEEN, pitch / 2) / 2
            )
            places = [x + (apart if x > 0 else -apart) for x in places]
        end = self._draw(sketch, places, width)
        if self.count > SHOWN:
            self._dots(sketch, end / 2, total)
        joined = LayerBox(heading=f"concatenation, {labels.format_count(self.channels, 'channel')}")
        sketch.place(joined.draw(max(joined.width, 176.0)), 0, end)
        return sketch

    def _draw(self, sketch: Sketch, places: list[float], width: float) -> float:
        """Draw the columns at ``places``, the lines to and from them; give the y of their end."""
        end = 0.0
        for x in places:
            y = 2.0 * GAP - 4
            sketch.line((0, 0), (0, 14), (x, 14), (x, y), arrow=True)
            for i, box in enumerate(self.boxes):
                if i:
                    sketch.line((x, y), (x, y + GAP), arrow=True)
                    y += GAP
                sketch.place(box.draw(width), x, y)
                y += box.height
            end = y + 2.0 * GAP
            sketch.line((x, y), (x, y + 16), (0, y + 16), (0, end), arrow=True)
        return end

    def _dots(self, sketch: Sketch, y: float, total: str) -> None:
        for i in (-1, 0, 1):
            sketch.add(Sign(x=10 * i, y=y - 10, kind="dot", radius=2.4))
        sketch.add(Text(x=0, y=y + 14, text=total, size=NUMBER, bold=True, anchor="middle"))


def find_paths(trace: Trace, block: Anatomy) -> Paths | None:
    """Return the part of a block's branch that falls apart into paths; None without groups.

    From the first convolution to the one in groups all does, for each path takes of the first the
    channels that it needs; but not a group norm, whose groups need not be the paths'.
    """
    convolution = block.grouped
    if convolution is None:
        return None
    layers = list(block.branch.layers)
    first = next(i for i, layer in enumerate(layers) if layer.operation == "convolution")
    layers = layers[first : layers.index(convolution) + 1]
    if any(layer.operation == "group_norm" for layer in layers):
        layers = [convolution]
    count = convolution.groups
    return Paths(
        layers=tuple(layers),
        boxes=tuple(_make_path_box(trace, layer, count) for layer in layers),
        count=count,
        channels=convolution.shape[0],
    )


def _make_path_box(trace: Trace, layer: Layer, count: int) -> LayerBox:
    """Write a box of one path, whose channels are a share of the layer's."""
    channels = labels.count_channels_read(trace, layer)
    name = labels.format_heading(layer, channels).removesuffix(" convolution")
    if layer.operation != "convolution":
        return LayerBox(heading=name.removeprefix("batch "), hue=labels.find_hue(layer))
    read = channels // count if layer.groups > 1 else channels
    lines = [f"{read} → {layer.shape[0] // count}"]
    lines += [f"stride {layer.stride}"] if layer.stride > 1 else []
    lines += [f"dilation {layer.dilation}"] if layer.dilation > 1 else []
    return LayerBox(heading=name, details=tuple(lines), hue="convolution")
