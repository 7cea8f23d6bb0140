"""A network's layers in order, with their tensors, shapes and costs: what ``trace`` gives.

The layers are a program: each names the layers it reads. The tables, the pictures, the NumPy
definition (``reference``) and the initial weights all walk this one list; the native modules of
the frameworks are written by hand and are tested against it.

Tensor names, shapes and layout are torchvision's and timm's: kernels [out, in / groups, height,
width], dense [out, in].
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from resnets.networks.architecture import Architecture

Role = Literal["kernel", "dense", "bias", "gate_bias", "scale", "shift", "mean", "variance"]
Operation = Literal[
    "input",
    "convolution",
    "norm",
    "group_norm",
    "relu",
    "leaky_relu",
    "elu",
    "silu",
    "gelu",
    "max_pool",
    "average_pool",
    "mean_pool",
    "pad_shortcut",
    "add",
    "dense",
    "sigmoid",
    "scale",
    "shift",
    "gated_add",
]


@dataclass(frozen=True)
class Tensor:
    """One array of a network: its canonical name, its shape and what it is for."""

    name: str
    shape: tuple[int, ...]
    role: Role

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_parameter(self) -> bool:
        """True for parameters, False for the running statistics."""
        return self.role not in ("mean", "variance")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One operation of the network.

    Attributes:
        name: canonical, such as ``layer2.0.conv1``.
        part: ``stem``, ``stage1``, ``stage2`` and so on, or ``head``.
        block: canonical name of the block it belongs to, such as ``layer2.0``; empty outside.
        operation: what it does.
        inputs: names of the layers it reads, in order.
        shape: of its output for one image: (channels, height, width), or (features,).
        tensors: its parameters and running statistics.
        kernel, stride, padding, groups, dilation: of convolutions, shifts, pools and group norms.
        multiply_adds: of convolutions and dense layers for one image; 0 elsewhere.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    part: str = "stem"
    block: str = ""
    tensors: tuple[Tensor, ...] = ()
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    dilation: int = 1
    multiply_adds: int = 0

    @cached_property
    def parameters(self) -> int:
        """Number of learned values."""
        return sum(t.size for t in self.tensors if t.is_parameter)

    @property
    def output_size(self) -> int:
        """Number of values put out for one image."""
        return math.prod(self.shape)


class ReceptiveField(NamedTuple):
    """The pixels that a layer's value depends on, along either axis of the image.

    Attributes:
        first, last: the outermost of them for the value at place 0, in pixels of the image;
            pixels beyond its edges, where zeros are, count.
        stride: pixels from one value's field to its neighbour's.
    """

    first: int
    last: int
    stride: int

    @property
    def size(self) -> int:
        """Pixels from the first to the last."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Trace:
    """All layers of a network for one input size, in the order of computation."""

    architecture: Architecture
    layers: tuple[Layer, ...]

    @cached_property
    def by_name(self) -> dict[str, Layer]:
        """The layers by name."""
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def features(self) -> dict[str, str]:
        """Names of the intermediate results, each with the name of the layer that gives it.

        ``stem``, ``stage1``, ``stage2`` and so on, ``pooled``, ``logits``.
        """
        last = {layer.part: layer.name for layer in self.layers if layer.part != "head"}
        pool = next(
            layer.name
            for layer in self.layers
            if layer.operation == "mean_pool" and layer.part == "head"
        )
        return {**last, "pooled": pool, "logits": self.layers[-1].name}

    @cached_property
    def parameters(self) -> int:
        """Learned values of the network."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of convolutions and dense layers for one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @cached_property
    def saved_for_backward(self) -> frozenset[str]:
        """Names of the layers whose output a training step keeps for the backward pass.

        Convolutions, norms, pools, dense layers, scalings, gated sums, SiLU and GELU keep what
        they read, the other activations and a sigmoid what they put out; sums, means and shifts
        keep nothing. An array kept by two layers counts once.
        """
        return frozenset(name for layer in self.layers for name in _saved_by(layer))

    @cached_property
    def activations(self) -> int:
        """Values that one image's training step keeps for the backward pass."""
        return sum(self.by_name[name].output_size for name in self.saved_for_backward)

    @property
    def conv_activations(self) -> int:
        """Values put out by convolutions and dense layers for one image.

        What timm calls activations; pycls adds what max-pools put out (Radosavovic et al. 2020,
        section 3).
        """
        counted = ("convolution", "dense")
        return sum(layer.output_size for layer in self.layers if layer.operation in counted)

    @cached_property
    def receptive_fields(self) -> dict[str, ReceptiveField | None]:
        """The receptive field of every layer, by name; None where it is the whole image.

        A window of k values, dilated by d, adds d * (k - 1) times the stride so far; strides
        multiply; a sum has the union of the fields of what it adds, which is the larger one where
        they share their centre (Araujo et al. 2019, "Computing Receptive Fields of Convolutional
        Neural Networks", Distill, doi 10.23915/distill.00021).

        A mean over the map reads the whole image, and so does what is scaled by such means. Group
        norms have means of their own; batch norms are taken as they are after training, with
        running statistics.
        """
        found: dict[str, ReceptiveField | None] = {}
        for layer in self.layers:
            found[layer.name] = _receptive_field(layer, found)
        return found

    @property
    def receptive_field(self) -> ReceptiveField | None:
        """The receptive field of the last stage's maps; None where it is the whole image."""
        return self.receptive_fields[self.features[f"stage{len(self.architecture.stages)}"]]


SAVES_INPUT = frozenset[Operation](
    [
        *("convolution", "norm", "group_norm", "max_pool", "average_pool", "dense", "scale"),
        *("gated_add", "silu", "gelu"),
    ]
)
"""Operations whose backward pass reads what they read."""

SAVES_OUTPUT = frozenset[Operation](["relu", "leaky_relu", "elu", "sigmoid"])
"""Operations whose backward pass reads what they put out."""

READS_WHOLE_MAP = frozenset[Operation](["mean_pool", "group_norm"])
"""Operations each of whose values depends on whole maps."""


def _saved_by(layer: Layer) -> tuple[str, ...]:
    """Names of the layers whose output the backward pass of ``layer`` reads."""
    if layer.operation in SAVES_INPUT:
        return layer.inputs
    return (layer.name,) if layer.operation in SAVES_OUTPUT else ()


def _receptive_field(
    layer: Layer, before: dict[str, ReceptiveField | None]
) -> ReceptiveField | None:
    """Grow the fields of what a layer reads by its window."""
    if layer.operation in READS_WHOLE_MAP:
        return None
    field = before[layer.inputs[0]] if layer.inputs else ReceptiveField(0, 0, 1)
    for name in layer.inputs[1:]:
        other = before[name]
        if field is None or other is None:
            return None
        field = ReceptiveField(
            min(field.first, other.first), max(field.last, other.last), field.stride
        )
    if field is None or (layer.kernel == 1 and layer.stride == 1):
        return field
    # A shift moves the channels in nine equal runs (``reference.shift``); fewer stay in place.
    still = layer.operation == "shift" and layer.shape[0] < 9
    padding, reach = (0, 0) if still else (layer.padding, layer.dilation * (layer.kernel - 1))
    first = field.first - padding * field.stride
    last = field.last + (reach - padding) * field.stride
    return ReceptiveField(first, last, field.stride * layer.stride)
