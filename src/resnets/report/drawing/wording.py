"""What the pictures call things: layers in full and in short, numbers, blocks."""

from resnets.networks.layers import Layer, Operation, Trace
from resnets.report.drawing.anatomy import Anatomy
from resnets.report.drawing.diagram import Hue
from resnets.report.summary import shape_text

HUES: dict[Operation, Hue] = {
    "convolution": "convolution",
    "norm": "norm",
    "group_norm": "norm",
    "relu": "activation",
    "leaky_relu": "activation",
    "elu": "activation",
    "silu": "activation",
    "gelu": "activation",
    "max_pool": "pool",
    "average_pool": "pool",
    "mean_pool": "pool",
    "dense": "dense",
    "shift": "shift",
    "sigmoid": "scale",
    "scale": "scale",
    "gated_add": "scale",
}
"""An operation's hue; what is not here is plain."""

NAMES: dict[Operation, str] = {
    "norm": "batch norm",
    "group_norm": "group norm",
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "elu": "ELU",
    "silu": "SiLU",
    "gelu": "GELU",
    "mean_pool": "mean-pool",
    "pad_shortcut": "zero padding",
}
"""Operations that are not called what they are in JSON."""


def hue(layer: Layer) -> Hue:
    """Give the hue of a layer."""
    return HUES.get(layer.operation, "plain")


def heading(layer: Layer, channels: int) -> str:
    """Say what a layer is: ``3×3 convolution``."""
    kernel = f"{layer.kernel}×{layer.kernel}"
    if layer.operation == "convolution":
        return f"{kernel} convolution"
    if layer.operation in ("max_pool", "average_pool"):
        return f"{kernel} {layer.operation.replace('_', '-')}"
    if layer.operation == "group_norm":
        return f"group norm, {counted(layer.groups, 'group')}"
    if layer.operation == "pad_shortcut" and layer.shape[0] == channels:
        return "subsampling"
    return NAMES.get(layer.operation, layer.operation)


def details(layer: Layer, channels: int) -> list[str]:
    """Say the rest of it, phrase by phrase: channels from and to, stride, groups, dilation."""
    said: list[str] = []
    out = layer.shape[0]
    if layer.operation == "convolution":
        change = f"{channels} → {out}" if channels != out else f"{out}"
        said.append(f"{change} channel{'' if out == 1 else 's'}")
    elif layer.operation == "dense":
        said.append(f"{channels} → {out}")
    elif layer.operation == "shift":
        said.append(f"each channel by {counted(layer.dilation, 'pixel')}")
    if layer.stride > 1:
        said.append(f"stride {layer.stride}")
    if layer.operation == "pad_shortcut" and out > channels:
        said.append(f"{out - channels} channels of zeros")
    if layer.operation == "convolution":
        said += [counted(layer.groups, "group")] if layer.groups > 1 else []
        said += [f"dilation {layer.dilation}"] if layer.dilation > 1 else []
        said += ["bias"] if any(tensor.role == "bias" for tensor in layer.tensors) else []
    return said


def channels_read(trace: Trace, layer: Layer) -> int:
    """Count the channels, or features, that a layer reads."""
    return trace.named[layer.inputs[0]].shape[0]


def shape(given: tuple[int, ...]) -> str:
    """Write a shape: ``64 × 56 × 56``."""
    return shape_text(given)


def brief(number: int) -> str:
    """Write a number in three digits: ``1.22 M``."""
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        # 999,950 is 1.00 M, not 1000 k.
        if number >= 0.9995 * size:
            return f"{_three(number / size)} {unit}"
    return str(number)


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def counted(number: int, thing: str) -> str:
    """Write ``1 group``, ``2 groups``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def kind(trace: Trace, block: Anatomy) -> str:
    """Say what kind of block it is: ``bottleneck block, projection shortcut``."""
    stage = trace.architecture.stages[int(block.total.part.removeprefix("stage")) - 1]
    said = f"{stage.block.kind} block"
    if trace.architecture.preactivation:
        said = f"pre-activation {said}"
    operations = {layer.operation for layer in block.shortcut.layers}
    if "pad_shortcut" in operations:
        said += ", padded shortcut"
    elif "average_pool" in operations:
        said += ", averaged and projected shortcut"
    elif operations:
        said += ", projected shortcut"
    else:
        said += ", identity shortcut"
    return f"{said}, gated" if block.gate else said
