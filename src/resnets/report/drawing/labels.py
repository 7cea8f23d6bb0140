"""The texts of the pictures: layers in full and in short, numbers, blocks."""

from resnets.networks.layers import Layer, Operation, Trace
from resnets.report.drawing.anatomy import Anatomy
from resnets.report.drawing.diagram import Hue

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


def find_hue(layer: Layer) -> Hue:
    """Return the hue of a layer."""
    return HUES.get(layer.operation, "plain")


def format_heading(layer: Layer, channels: int) -> str:
    """Return what a layer is: ``3×3 convolution``."""
    kernel = f"{layer.kernel}×{layer.kernel}"
    if layer.operation == "convolution":
        return f"{kernel} convolution"
    if layer.operation in ("max_pool", "average_pool"):
        return f"{kernel} {layer.operation.replace('_', '-')}"
    if layer.operation == "group_norm":
        return f"group norm, {format_count(layer.groups, 'group')}"
    if layer.operation == "pad_shortcut" and layer.shape[0] == channels:
        return "subsampling"
    return NAMES.get(layer.operation, layer.operation)


def list_details(layer: Layer, channels: int) -> list[str]:
    """Return the details of a layer: channels read and put out, stride, groups, dilation."""
    said: list[str] = []
    out = layer.shape[0]
    if layer.operation == "convolution":
        change = f"{channels} → {out}" if channels != out else f"{out}"
        said.append(f"{change} channel{'' if out == 1 else 's'}")
    elif layer.operation == "dense":
        said.append(f"{channels} → {out}")
    elif layer.operation == "shift":
        said.append(f"each channel by {format_count(layer.dilation, 'pixel')}")
    if layer.stride > 1:
        said.append(f"stride {layer.stride}")
    if layer.operation == "pad_shortcut" and out > channels:
        said.append(f"{out - channels} channels of zeros")
    if layer.operation == "convolution":
        said += [format_count(layer.groups, "group")] if layer.groups > 1 else []
        said += [f"dilation {layer.dilation}"] if layer.dilation > 1 else []
        said += ["bias"] if any(tensor.role == "bias" for tensor in layer.tensors) else []
    return said


def count_channels_read(trace: Trace, layer: Layer) -> int:
    """Return how many channels, or features, a layer reads."""
    return trace.by_name[layer.inputs[0]].shape[0]


def format_brief(number: int) -> str:
    """Return a number in three digits: ``1.22 M``."""
    for unit, size in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        # 999,950 is 1.00 M, not 1000 k.
        if number >= 0.9995 * size:
            return f"{_format_three(number / size)} {unit}"
    return str(number)


def _format_three(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def format_count(number: int, thing: str) -> str:
    """Return ``1 group``, ``2 groups``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def describe_kind(trace: Trace, block: Anatomy) -> str:
    """Return the kind of a block: ``bottleneck block, projection shortcut``."""
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
