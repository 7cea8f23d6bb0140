"""What the boxes and stripes of a network's picture mean."""

from collections.abc import Iterator

from resnets.networks.layers import Layer, Operation, Trace
from resnets.report.drawing import labels
from resnets.report.drawing.diagram import Box, Hue, Sign, Sketch, Text
from resnets.report.drawing.text import measure_width

SIZE = 11.5
LINE = 22.0
Item = tuple[Hue, str, str]
"""Hue, look (``chip``, ``stripe`` or ``sum``), words."""


def draw_legend(trace: Trace, room: float) -> Sketch:
    """Return a legend of what occurs in a network, in lines of at most ``room`` pixels."""
    sketch, x, y = Sketch(), 0.0, 0.0
    for hue, look, words in _list_items(trace):
        mark = 18.0 if look == "chip" else 8.0 if look == "stripe" else 18.0
        width = mark + 6 + measure_width(words, SIZE)
        if x and x + width > room:
            x, y = 0.0, y + LINE
        if look == "sum":
            sketch.add(Sign(x=x + 8, y=y, kind="plus", hue=hue, radius=7))
        elif look == "chip":
            sketch.add(Box(x=x, y=y - 6, width=16, height=12, hue=hue, radius=3))
        else:
            sketch.add(Box(x=x, y=y - 8, width=5, height=16, hue=hue, look="solid", radius=2))
        sketch.add(Text(x=x + mark + 4, y=y + 4, text=words, size=SIZE, faint=True))
        x += width + 22
    return sketch


def _list_items(trace: Trace) -> Iterator[Item]:
    """Yield what occurs, in the order of the trace but convolutions first."""
    layers: dict[Operation, Layer] = {}
    for layer in trace.layers:
        layers.setdefault(layer.operation, layer)
    convolutions = [layer for layer in trace.layers if layer.operation == "convolution"]
    yield "convolution", "chip", _explain_convolution(convolutions)
    for operation, layer in layers.items():
        hue = labels.find_hue(layer)
        if hue in ("norm", "activation"):
            yield hue, "stripe", labels.NAMES[operation]
    if "add" in layers:
        yield "plain", "sum", "sum"
    if "gated_add" in layers:
        yield "scale", "sum", "T × branch + (1 − T) × shortcut, T a gate: 1×1 convolution, sigmoid"
    if "scale" in layers:
        yield "scale", "chip", "SE: squeeze-and-excitation, channels squeezed to"
    if "shift" in layers:
        yield "shift", "chip", "shift of each channel by one pixel"
    if "pad_shortcut" in layers:
        yield "plain", "chip", "pad: subsampling, padding with channels of zeros"


def _explain_convolution(layers: list[Layer]) -> str:
    """Return how to read a convolution's box."""
    said = "convolution: kernel"
    said += " /stride" if any(layer.stride > 1 for layer in layers) else ""
    said += " *dilation" if any(layer.dilation > 1 for layer in layers) else ""
    said += ", channels put out"
    return said + (", with bias" if any(_has_bias(layer) for layer in layers) else "")


def _has_bias(layer: Layer) -> bool:
    return any(tensor.role == "bias" for tensor in layer.tensors)
