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
from typing import Literal

from resnets.architecture import Architecture

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
    def learned(self) -> bool:
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

    @property
    def parameters(self) -> int:
        """Number of learned values."""
        return sum(t.size for t in self.tensors if t.learned)

    @property
    def activation(self) -> int:
        """Number of values put out for one image."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Trace:
    """All layers of a network for one input size, in the order of computation."""

    architecture: Architecture
    layers: tuple[Layer, ...]

    @cached_property
    def named(self) -> dict[str, Layer]:
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

    @property
    def parameters(self) -> int:
        """Learned values of the network."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of convolutions and dense layers for one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @cached_property
    def kept(self) -> frozenset[str]:
        """Names of the layers whose output a training step keeps for the backward pass.

        Convolutions, norms, pools, dense layers, scalings, gated sums, SiLU and GELU keep what
        they read, the other activations and a sigmoid what they put out; sums, means and shifts
        keep nothing. An array kept by two layers counts once.
        """
        return frozenset(name for layer in self.layers for name in _kept(layer))

    @property
    def activations(self) -> int:
        """Values that one image's training step keeps for the backward pass."""
        return sum(self.named[name].activation for name in self.kept)

    @property
    def conv_activations(self) -> int:
        """Values put out by convolutions for one image: what pycls and timm call activations."""
        return sum(layer.activation for layer in self.layers if layer.operation == "convolution")


READ_AGAIN = frozenset[Operation](
    [
        *("convolution", "norm", "group_norm", "max_pool", "average_pool", "dense", "scale"),
        *("gated_add", "silu", "gelu"),
    ]
)
"""Operations whose backward pass reads what they read."""

PUT_OUT = frozenset[Operation](["relu", "leaky_relu", "elu", "sigmoid"])
"""Operations whose backward pass reads what they put out."""


def _kept(layer: Layer) -> tuple[str, ...]:
    """Names of the layers whose output the backward pass of ``layer`` reads."""
    if layer.operation in READ_AGAIN:
        return layer.inputs
    return (layer.name,) if layer.operation in PUT_OUT else ()
