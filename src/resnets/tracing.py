"""From an architecture to its layers: what follows from the description alone."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field

from resnets.architecture import Architecture, Stage
from resnets.errors import InvalidDescription, Problem
from resnets.layout import Layer, Operation, Role, Tensor, Trace

LARGEST_SIZE = 2**15


def trace(architecture: Architecture, size: int | tuple[int, int] = 224) -> Trace:
    """Follow an image of ``size`` (pixels: one number, or height and width) through the network.

    Raises:
        InvalidDescription: where the size is not a positive whole number of pixels.
    """
    height, width = size if isinstance(size, tuple) else (size, size)
    height, width = operator.index(height), operator.index(width)
    for pixels in (height, width):
        if not 1 <= pixels <= LARGEST_SIZE:
            message = f"{pixels} is not a number of pixels from 1 to {LARGEST_SIZE}"
            raise InvalidDescription("input size", [Problem("size", message)])
    return _Tracer(architecture, (architecture.channels, height, width)).run()


def tensors(architecture: Architecture) -> tuple[Tensor, ...]:
    """List every tensor of the network, in the order of computation."""
    return tuple(t for layer in trace(architecture, 32).layers for t in layer.tensors)


def blocks(stage: Stage, channels: int) -> Iterator[tuple[int, int, bool]]:
    """Yield (channels in, stride, whether the shortcut changes the shape) of a stage's blocks."""
    for i in range(stage.depth):
        stride = stage.stride if i == 0 else 1
        yield channels, stride, stride != 1 or channels != stage.width
        channels = stage.width


@dataclass(frozen=True)
class Names:
    """Canonical names of a family's parts; stages and blocks are counted into the templates."""

    stem: str
    stem_norm: str
    stem_relu: str
    pool: str
    block: str
    norm: str
    projection: str
    projection_norm: str
    last_norm: str
    last_relu: str
    mean_pool: str
    dense: str


# torchvision's and timm's ``resnet``.
RESNET = Names(
    stem="conv1",
    stem_norm="bn1",
    stem_relu="relu",
    pool="maxpool",
    block="layer{stage}.{block}",
    norm="bn",
    projection="downsample.0",
    projection_norm="downsample.1",
    last_norm="",
    last_relu="",
    mean_pool="avgpool",
    dense="fc",
)

# timm's ``resnetv2``; stages count from 0 there.
RESNET_V2 = Names(
    stem="stem.conv",
    stem_norm="",
    stem_relu="",
    pool="stem.pool",
    block="stages.{stage0}.blocks.{block}",
    norm="norm",
    projection="downsample.conv",
    projection_norm="",
    last_norm="norm",
    last_relu="relu",
    mean_pool="head.global_pool",
    dense="head.fc",
)


@dataclass
class _Tracer:
    """Writes down the layers one after the other; each method gives its output's name."""

    architecture: Architecture
    input_shape: tuple[int, int, int]
    layers: dict[str, Layer] = field(default_factory=dict[str, Layer])
    part: str = "stem"
    inside: str = ""

    @property
    def names(self) -> Names:
        return RESNET_V2 if self.architecture.preactivation else RESNET

    def run(self) -> Trace:
        a, names = self.architecture, self.names
        x = self.put("input", "input", (), self.input_shape)
        x = self.stem(x)
        if not a.preactivation:
            x = self.relu(names.stem_relu, self.norm(names.stem_norm, x))
        if a.stem.pool:
            x = self.max_pool(names.pool, x)
        channels = a.stem.width
        for i, stage in enumerate(a.stages):
            self.part = f"stage{i + 1}"
            for j, (_, stride, changes) in enumerate(blocks(stage, channels)):
                self.inside = names.block.format(stage=i + 1, stage0=i, block=j)
                block = self.block_before if a.preactivation else self.block_after
                x = block(f"{self.inside}.", x, stage, stride, changes)
            channels = stage.width
        self.part, self.inside = "head", ""
        if a.preactivation:
            x = self.relu(names.last_relu, self.norm(names.last_norm, x))
        x = self.put(names.mean_pool, "mean_pool", (x,), (channels,))
        # The last layer; pre-activation networks have it as a 1×1 convolution, as timm.
        self.dense(names.dense, x, channels, a.classes, (1, 1) if a.preactivation else ())
        return Trace(a, tuple(self.layers.values()))

    def stem(self, x: str) -> str:
        """One convolution, or ResNet-C's three: T. He et al. 2018, Figure 2b."""
        stem, name = self.architecture.stem, self.names.stem
        if not stem.deep:
            return self.convolution(name, x, stem.width, stem.kernel, stem.stride)
        for k, stride in ((0, stem.stride), (3, 1)):  # a sequence: convolution, norm, ReLU, …
            x = self.convolution(f"{name}.{k}", x, stem.width // 2, 3, stride)
            x = self.relu(f"{name}.{k + 2}", self.norm(f"{name}.{k + 1}", x))
        return self.convolution(f"{name}.6", x, stem.width, 3, 1)

    def block_after(self, at: str, x: str, stage: Stage, stride: int, changes: bool) -> str:
        """ReLU after the sum: He et al. 2015, Figures 2 and 5; Xie et al. 2016, Figure 3(c)."""
        norm, plan = self.names.norm, _convolutions(stage, stride)
        y = x
        for k, (width, kernel, s, groups) in enumerate(plan, 1):
            y = self.convolution(f"{at}conv{k}", y, width, kernel, s, groups)
            y = self.norm(f"{at}{norm}{k}", y)
            if k < len(plan):
                y = self.relu(f"{at}relu{k}", y)
        if stage.block.squeeze is not None:
            y = self.excited(f"{at}se", y, stage.block.squeeze)
        shortcut = self.shortcut(at, x, stage, stride) if changes else x
        return self.relu(f"{at}relu", self.add(f"{at}add", y, shortcut))

    def excited(self, at: str, x: str, squeeze: int) -> str:
        """Scale each channel by what the means of all say: Hu et al. 2017, Figure 3."""
        width = self.layers[x].shape[0]
        s = self.put(f"{at}.mean", "mean_pool", (x,), (width,))
        s = self.relu(f"{at}.relu", self.dense(f"{at}.fc1", s, width, squeeze, (1, 1)))
        s = self.dense(f"{at}.fc2", s, squeeze, width, (1, 1))
        s = self.put(f"{at}.sigmoid", "sigmoid", (s,), (width,))
        return self.put(f"{at}.scale", "scale", (x, s), self.layers[x].shape)

    def block_before(self, at: str, x: str, stage: Stage, stride: int, changes: bool) -> str:
        """ReLU before each convolution: He et al. 2016, Figures 1(b) and 4(e)."""
        norm, y, activated = self.names.norm, x, x
        for k, (width, kernel, s, groups) in enumerate(_convolutions(stage, stride), 1):
            y = self.relu(f"{at}relu{k}", self.norm(f"{at}{norm}{k}", y))
            activated = y if k == 1 else activated
            y = self.convolution(f"{at}conv{k}", y, width, kernel, s, groups)
        shortcut = self.shortcut(at, activated, stage, stride) if changes else x
        return self.add(f"{at}add", y, shortcut)

    def shortcut(self, at: str, x: str, stage: Stage, stride: int) -> str:
        """He et al. 2015, section 4.1: option A pads with zeros, option B projects."""
        if stage.block.shortcut == "padding":
            _, height, width = self.layers[x].shape
            shape = (stage.width, _reduced(height, stride), _reduced(width, stride))
            return self.put(f"{at}downsample", "pad_shortcut", (x,), shape, stride=stride)
        if stage.block.shortcut == "average_projection":
            return self.average_projection(f"{at}downsample", x, stage.width, stride)
        names = self.names
        y = self.convolution(f"{at}{names.projection}", x, stage.width, 1, stride)
        bare = stage.block.shortcut == "bare_projection" or not names.projection_norm
        return y if bare else self.norm(f"{at}{names.projection_norm}", y)

    def average_projection(self, at: str, x: str, width: int, stride: int) -> str:
        """T. He et al. 2018, Figure 2c; a window that hangs over the edge means what it covers."""
        channels, height, across = self.layers[x].shape
        if stride > 1:
            # The first window begins at the edge: -(-pixels // stride) windows, none but padding.
            shape = (channels, _reduced(height, stride), _reduced(across, stride))
            x = self.put(f"{at}.0", "average_pool", (x,), shape, kernel=2, stride=stride)
        return self.norm(f"{at}.2", self.convolution(f"{at}.1", x, width, 1, 1))

    def convolution(
        self, name: str, x: str, width: int, kernel: int, stride: int, groups: int = 1
    ) -> str:
        c_in, height, across = self.layers[x].shape
        shape = (width, _reduced(height, stride), _reduced(across, stride))
        weight = Tensor(f"{name}.weight", (width, c_in // groups, kernel, kernel), "kernel")
        bias = Tensor(f"{name}.bias", (width,), "bias")
        return self.put(
            name,
            "convolution",
            (x,),
            shape,
            own=(weight, bias) if self.architecture.bias else (weight,),
            kernel=kernel,
            stride=stride,
            groups=groups,
            multiply_adds=weight.size * shape[1] * shape[2],
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
        return self.put(name, "norm", (x,), shape, own=own)

    def relu(self, name: str, x: str) -> str:
        return self.put(name, "relu", (x,), self.layers[x].shape)

    def add(self, name: str, x: str, shortcut: str) -> str:
        return self.put(name, "add", (x, shortcut), self.layers[x].shape)

    def max_pool(self, name: str, x: str) -> str:
        channels, height, width = self.layers[x].shape
        shape = (channels, _reduced(height, 2), _reduced(width, 2))
        return self.put(name, "max_pool", (x,), shape, kernel=3, stride=2)

    def dense(
        self, name: str, x: str, features: int, width: int, extent: tuple[int, ...] = ()
    ) -> str:
        """A matrix product; some families keep the matrix as a 1×1 convolution's kernel."""
        weight = Tensor(f"{name}.weight", (width, features, *extent), "dense")
        own = (weight, Tensor(f"{name}.bias", (width,), "bias"))
        return self.put(name, "dense", (x,), (width,), own=own, multiply_adds=weight.size)

    def put(
        self,
        name: str,
        operation: Operation,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
        *,
        own: tuple[Tensor, ...] = (),
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        multiply_adds: int = 0,
    ) -> str:
        self.layers[name] = Layer(
            name=name,
            operation=operation,
            inputs=inputs,
            shape=shape,
            part=self.part,
            block=self.inside,
            tensors=own,
            kernel=kernel,
            stride=stride,
            padding=0 if operation == "average_pool" else kernel // 2,
            groups=groups,
            multiply_adds=multiply_adds,
        )
        return name


def _convolutions(stage: Stage, stride: int) -> tuple[tuple[int, int, int, int], ...]:
    """Width, kernel, stride and groups of a block's convolutions."""
    block, width = stage.block, stage.width
    inner = block.inner_width(width)
    if block.kind == "basic":
        return (inner, 3, stride, 1), (width, 3, 1, 1)
    first, second = (stride, 1) if block.stride_in == "1x1" else (1, stride)
    return (inner, 1, first, 1), (inner, 3, second, block.groups), (width, 1, 1, 1)


def _reduced(pixels: int, stride: int) -> int:
    """Pixels put out by an odd kernel with padding kernel // 2."""
    return (pixels - 1) // stride + 1
