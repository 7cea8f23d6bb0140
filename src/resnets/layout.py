"""What follows from an architecture alone: its layers in order, their tensors, shapes and costs.

``trace`` lists the layers as a program: each names the layers it reads. The tables, the
pictures, the NumPy definition (``reference``) and the initial weights all walk this one list;
the native modules of the frameworks are written by hand and are tested against it.

Tensor names, shapes and layout are torchvision's and timm's: kernels [out, in / groups, height,
width], dense [out, in].
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from resnets.architecture import Architecture, Stage
from resnets.errors import InvalidDescription, Problem

Role = Literal["kernel", "dense", "bias", "scale", "shift", "mean", "variance"]
Operation = Literal[
    "input", "convolution", "norm", "relu", "max_pool", "pad_shortcut", "add", "mean_pool", "dense"
]

LARGEST_SIZE = 2**15


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
        name: canonical, such as ``layer2.0.conv1``; ``layer2.0`` is a block, ``layer2`` a stage.
        operation: what it does.
        inputs: names of the layers it reads, in order.
        shape: of its output for one image: (channels, height, width), or (features,).
        tensors: its parameters and running statistics.
        kernel, stride, padding, groups: of convolutions and max-pools.
        multiply_adds: of convolutions and dense layers for one image; 0 elsewhere.
    """

    name: str
    operation: Operation
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    tensors: tuple[Tensor, ...] = ()
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
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

        Convolutions, norms, max-pools and dense layers keep what they read, a ReLU what it puts
        out; sums and means keep nothing. An array kept by two layers counts once.
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


def trace(architecture: Architecture, size: int | tuple[int, int] = 224) -> Trace:
    """Follow an image of ``size`` (pixels: one number, or height and width) through the network.

    Raises:
        InvalidDescription: where the size is not a positive whole number of pixels.
    """
    height, width = (size, size) if isinstance(size, int) else size
    for pixels in (height, width):
        if not 1 <= pixels <= LARGEST_SIZE:
            message = f"{pixels} is not a number of pixels from 1 to {LARGEST_SIZE}"
            raise InvalidDescription("input size", [Problem("size", message)])
    return _Tracer(architecture, height, width).run()


def tensors(architecture: Architecture) -> tuple[Tensor, ...]:
    """List every tensor of the network, in the order of computation."""
    return tuple(t for layer in trace(architecture, 32).layers for t in layer.tensors)


def blocks(stage: Stage, channels: int) -> Iterator[tuple[int, int, bool]]:
    """Yield (channels in, stride, whether the shortcut changes the shape) of a stage's blocks."""
    for i in range(stage.depth):
        stride = stage.stride if i == 0 else 1
        yield channels, stride, stride != 1 or channels != stage.width
        channels = stage.width


@dataclass
class _Tracer:
    """Writes down the layers one after the other; each method returns its output's name."""

    architecture: Architecture
    height: int
    width: int
    layers: dict[str, Layer] = field(default_factory=dict[str, Layer])

    def run(self) -> Trace:
        a = self.architecture
        self.put(Layer(name="input", operation="input", inputs=(), shape=self.input_shape()))
        x = self.convolution("conv1", "input", a.stem.width, a.stem.kernel, a.stem.stride)
        x = self.relu("relu", self.norm("bn1", x))
        if a.stem.pool:
            x = self.max_pool("maxpool", x)
        channels = a.stem.width
        for i, stage in enumerate(a.stages):
            for j, (c_in, stride, changes) in enumerate(blocks(stage, channels)):
                x = self.block(f"layer{i + 1}.{j}", x, c_in, stage, stride, changes)
            channels = stage.width
        x = self.put(Layer(name="avgpool", operation="mean_pool", inputs=(x,), shape=(channels,)))
        self.dense("fc", x, channels, a.classes)
        return Trace(a, tuple(self.layers.values()))

    def input_shape(self) -> tuple[int, ...]:
        return (self.architecture.channels, self.height, self.width)

    def put(self, layer: Layer) -> str:
        self.layers[layer.name] = layer
        return layer.name

    def convolution(
        self, name: str, x: str, width: int, kernel: int, stride: int, groups: int = 1
    ) -> str:
        c_in, height, across = self.layers[x].shape
        padding = kernel // 2
        shape = (width, _reduced(height, stride), _reduced(across, stride))
        weight = Tensor(f"{name}.weight", (width, c_in // groups, kernel, kernel), "kernel")
        bias = Tensor(f"{name}.bias", (width,), "bias")
        return self.put(
            Layer(
                name=name,
                operation="convolution",
                inputs=(x,),
                shape=shape,
                tensors=(weight, bias) if self.architecture.bias else (weight,),
                kernel=kernel,
                stride=stride,
                padding=padding,
                groups=groups,
                multiply_adds=weight.size * shape[1] * shape[2],
            )
        )

    def norm(self, name: str, x: str) -> str:
        shape = self.layers[x].shape
        roles: tuple[tuple[str, Role], ...] = (
            ("weight", "scale"),
            ("bias", "shift"),
            ("running_mean", "mean"),
            ("running_var", "variance"),
        )
        own = tuple(Tensor(f"{name}.{part}", (shape[0],), role) for part, role in roles)
        return self.put(Layer(name=name, operation="norm", inputs=(x,), shape=shape, tensors=own))

    def relu(self, name: str, x: str) -> str:
        shape = self.layers[x].shape
        return self.put(Layer(name=name, operation="relu", inputs=(x,), shape=shape))

    def max_pool(self, name: str, x: str) -> str:
        channels, height, width = self.layers[x].shape
        shape = (channels, _reduced(height, 2), _reduced(width, 2))
        layer = Layer(
            name=name,
            operation="max_pool",
            inputs=(x,),
            shape=shape,
            kernel=3,
            stride=2,
            padding=1,
        )
        return self.put(layer)

    def block(self, name: str, x: str, c_in: int, stage: Stage, stride: int, changes: bool) -> str:
        """He et al. 2015, Figure 2 and Figure 5; Xie et al. 2016, Figure 3(c)."""
        block, width = stage.block, stage.width
        inner = block.inner_width(width)
        first = stride if block.kind == "basic" or block.stride_in == "1x1" else 1
        kernel = 3 if block.kind == "basic" else 1
        y = self.convolution(f"{name}.conv1", x, inner, kernel, first)
        y = self.relu(f"{name}.relu1", self.norm(f"{name}.bn1", y))
        if block.kind == "basic":
            y = self.norm(f"{name}.bn2", self.convolution(f"{name}.conv2", y, width, 3, 1))
        else:
            second = stride // first
            y = self.convolution(f"{name}.conv2", y, inner, 3, second, block.groups)
            y = self.relu(f"{name}.relu2", self.norm(f"{name}.bn2", y))
            y = self.norm(f"{name}.bn3", self.convolution(f"{name}.conv3", y, width, 1, 1))
        shortcut = self.shortcut(f"{name}.downsample", x, stage, stride) if changes else x
        total = Layer(
            name=f"{name}.add",
            operation="add",
            inputs=(y, shortcut),
            shape=self.layers[y].shape,
        )
        return self.relu(f"{name}.relu", self.put(total))

    def shortcut(self, name: str, x: str, stage: Stage, stride: int) -> str:
        """He et al. 2015, section 4.1: option A pads with zeros, option B projects."""
        if stage.block.shortcut == "padding":
            _, height, width = self.layers[x].shape
            shape = (stage.width, _reduced(height, stride), _reduced(width, stride))
            layer = Layer(
                name=name, operation="pad_shortcut", inputs=(x,), shape=shape, stride=stride
            )
            return self.put(layer)
        y = self.convolution(f"{name}.0", x, stage.width, 1, stride)
        return y if stage.block.shortcut == "bare_projection" else self.norm(f"{name}.1", y)

    def dense(self, name: str, x: str, features: int, classes: int) -> str:
        weight = Tensor(f"{name}.weight", (classes, features), "dense")
        bias = Tensor(f"{name}.bias", (classes,), "bias")
        return self.put(
            Layer(
                name=name,
                operation="dense",
                inputs=(x,),
                shape=(classes,),
                tensors=(weight, bias),
                multiply_adds=weight.size,
            )
        )


def _kept(layer: Layer) -> tuple[str, ...]:
    """Names of the layers whose output the backward pass of ``layer`` reads."""
    if layer.operation in ("convolution", "norm", "max_pool", "dense"):
        return layer.inputs
    return (layer.name,) if layer.operation == "relu" else ()


def _reduced(pixels: int, stride: int) -> int:
    """Pixels put out by an odd kernel with padding kernel // 2."""
    return (pixels - 1) // stride + 1
