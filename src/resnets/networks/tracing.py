"""From an architecture to its layers: what follows from the description alone."""

import operator
from dataclasses import dataclass, field, replace
from functools import cache

from resnets.errors import InvalidDescription, Problem
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import BlockGeometry, ConvolutionSpec, block_geometries, convolutions
from resnets.networks.layers import Layer, Operation, Role, Tensor, Trace
from resnets.networks.naming import REGNET, NamingScheme, naming_scheme
from resnets.networks.spec import Stage

LARGEST_SIZE = 2**15

# A norm's tensors: names and roles.
LEARNED: tuple[tuple[str, Role], ...] = (("weight", "scale"), ("bias", "shift"))
RUNNING: tuple[tuple[str, Role], ...] = (("running_mean", "mean"), ("running_var", "variance"))


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


@dataclass
class _Tracer:
    """Writes down the layers one after the other; each method gives its output's name."""

    architecture: Architecture
    input_shape: tuple[int, int, int]
    layers: dict[str, Layer] = field(default_factory=dict[str, Layer])
    part: str = "stem"
    block: str = ""

    @property
    def names(self) -> NamingScheme:
        return naming_scheme(self.architecture)

    def run(self) -> Trace:
        a, names = self.architecture, self.names
        x = self.add_layer("input", "input", inputs=(), shape=self.input_shape)
        x = self.stem(x)
        if not a.preactivation:
            x = self.activation(names.stem_activation, self.norm(names.stem_norm, x))
        if a.stem.pool:
            x = self.max_pool(names.pool, x)
        for i, (stage, row) in enumerate(zip(a.stages, block_geometries(a), strict=True)):
            self.part = f"stage{i + 1}"
            for j, place in enumerate(row):
                self.block = names.block.format(stage=i + 1, stage0=i, block=j)
                block = self.preactivation_block if a.preactivation else self.postactivation_block
                x = block(f"{self.block}.", x, stage, place)
        self.part, self.block = "head", ""
        channels = a.stages[-1].width
        if a.preactivation:
            x = self.activation(names.last_activation, self.norm(names.last_norm, x))
        x = self.add_layer(names.mean_pool, "mean_pool", inputs=(x,), shape=(channels,))
        # The last layer; pre-activation networks have it as a 1×1 convolution, as timm.
        self.dense(names.dense, x, width=a.classes, extent=(1, 1) if a.preactivation else ())
        return Trace(a, tuple(self.layers.values()))

    def stem(self, x: str) -> str:
        """One convolution, or ResNet-C's three: T. He et al. 2018, Figure 2b."""
        stem, name = self.architecture.stem, self.names.stem
        whole = ConvolutionSpec(width=stem.width, kernel=stem.kernel, stride=stem.stride)
        if not stem.deep:
            return self.convolution(name, x, spec=whole)
        first = replace(whole, width=stem.width // 2)
        # A sequence: convolution, norm, activation, convolution, …
        for k, plan in ((0, first), (3, replace(first, stride=1))):
            x = self.convolution(f"{name}.{k}", x, spec=plan)
            x = self.activation(f"{name}.{k + 2}", self.norm(f"{name}.{k + 1}", x))
        return self.convolution(f"{name}.6", x, spec=replace(whole, stride=1))

    def postactivation_block(self, at: str, x: str, stage: Stage, geometry: BlockGeometry) -> str:
        """ReLU after the sum: He et al. 2015, Figures 2 and 5; Xie et al. 2016, Figure 3(c)."""
        names, plans, block, y = self.names, convolutions(stage, geometry), stage.block, x
        for k, plan in enumerate(plans, 1):
            if block.kind == "shift" and k == 2:
                y = self.shift(f"{at}shift", y, dilation=geometry.dilations[0])
            y = self.convolution(at + _fill_index(names.convolution, k), y, spec=plan)
            y = self.norm(at + _fill_index(names.norm, k), y)
            if k < len(plans):
                y = self.activation(at + _fill_index(names.activation, k), y)
            if plan.kernel == 3 and block.squeeze_at == "3x3":
                y = self.squeeze_excitation(
                    at + names.excitation, y, squeeze=block.squeezed_width(geometry.channels)
                )
        if block.squeeze_at == "branch":
            y = self.squeeze_excitation(
                at + names.excitation, y, squeeze=block.squeezed_width(geometry.channels)
            )
        shortcut = self.shortcut(at, x, stage=stage, geometry=geometry)
        if block.gated:
            y = self.gated_sum(at, x, y=y, shortcut=shortcut, stride=geometry.stride)
        else:
            y = self.add_layer(f"{at}add", "add", inputs=(y, shortcut), shape=self.layers[y].shape)
        last = "activation" if names is REGNET else "{act}"
        return self.activation(at + last, y)

    def preactivation_block(self, at: str, x: str, stage: Stage, geometry: BlockGeometry) -> str:
        """ReLU before each convolution: He et al. 2016, Figures 1(b) and 4(e)."""
        names, y, activated = self.names, x, x
        for k, plan in enumerate(convolutions(stage, geometry), 1):
            y = self.norm(at + _fill_index(names.norm, k), y)
            y = self.activation(at + _fill_index(names.activation, k), y)
            activated = y if k == 1 else activated
            y = self.convolution(at + _fill_index(names.convolution, k), y, spec=plan)
        shortcut = (
            self.shortcut(at, activated, stage=stage, geometry=geometry)
            if geometry.changes_shape
            else x
        )
        return self.add_layer(f"{at}add", "add", inputs=(y, shortcut), shape=self.layers[y].shape)

    def shortcut(self, at: str, x: str, *, stage: Stage, geometry: BlockGeometry) -> str:
        """He et al. 2015, section 4.1: option A pads with zeros, option B projects."""
        if not geometry.changes_shape:
            return x
        stride = geometry.stride
        if stage.block.shortcut == "padding":
            _, height, width = self.layers[x].shape
            shape = (stage.width, _output_pixels(height, stride), _output_pixels(width, stride))
            return self.add_layer(
                f"{at}downsample", "pad_shortcut", inputs=(x,), shape=shape, stride=stride
            )
        if stage.block.shortcut == "average_projection":
            return self.average_projection(f"{at}downsample", x, width=stage.width, stride=stride)
        names = self.names
        plan = ConvolutionSpec(width=stage.width, kernel=1, stride=stride)
        y = self.convolution(f"{at}{names.projection}", x, spec=plan)
        bare = stage.block.shortcut == "bare_projection" or not names.projection_norm
        return y if bare else self.norm(f"{at}{names.projection_norm}", y)

    def average_projection(self, at: str, x: str, *, width: int, stride: int) -> str:
        """T. He et al. 2018, Figure 2c; a window that hangs over the edge means what it covers."""
        channels, height, across = self.layers[x].shape
        if stride > 1:
            # The first window begins at the edge: -(-pixels // stride) windows, none but padding.
            shape = (channels, _output_pixels(height, stride), _output_pixels(across, stride))
            x = self.add_layer(
                f"{at}.0", "average_pool", inputs=(x,), shape=shape, kernel=2, stride=stride
            )
        y = self.convolution(f"{at}.1", x, spec=ConvolutionSpec(width=width, kernel=1))
        return self.norm(f"{at}.2", y)

    def squeeze_excitation(self, at: str, x: str, *, squeeze: int | None) -> str:
        """Scale each channel by what the means of all say: Hu et al. 2017, Figure 3."""
        if squeeze is None:
            return x
        width = self.layers[x].shape[0]
        s = self.add_layer(f"{at}.mean", "mean_pool", inputs=(x,), shape=(width,))
        s = self.activation(at + ".{act}", self.dense(f"{at}.fc1", s, width=squeeze, extent=(1, 1)))
        s = self.dense(f"{at}.fc2", s, width=width, extent=(1, 1))
        s = self.add_layer(f"{at}.sigmoid", "sigmoid", inputs=(s,), shape=(width,))
        return self.add_layer(f"{at}.scale", "scale", inputs=(x, s), shape=self.layers[x].shape)

    def gated_sum(self, at: str, x: str, *, y: str, shortcut: str, stride: int) -> str:
        """T * branch + (1 - T) * shortcut: Srivastava et al. 2015, equation 3."""
        shape = self.layers[y].shape
        plan = ConvolutionSpec(width=shape[0], kernel=1, stride=stride)
        gate = self.convolution(f"{at}gate", x, spec=plan, bias="gate_bias")
        gate = self.add_layer(f"{at}sigmoid", "sigmoid", inputs=(gate,), shape=shape)
        return self.add_layer(f"{at}add", "gated_add", inputs=(y, shortcut, gate), shape=shape)

    def shift(self, name: str, x: str, *, dilation: int) -> str:
        """Each channel moved by ``dilation`` pixels in a direction of its own: Wu et al. 2018."""
        return self.add_layer(
            name, "shift", inputs=(x,), shape=self.layers[x].shape, kernel=3, dilation=dilation
        )

    def convolution(
        self, name: str, x: str, *, spec: ConvolutionSpec, bias: Role | None = None
    ) -> str:
        c_in, height, across = self.layers[x].shape
        shape = (
            spec.width,
            _output_pixels(height, spec.stride),
            _output_pixels(across, spec.stride),
        )
        extent = (c_in // spec.groups, spec.kernel, spec.kernel)
        own = [Tensor(f"{name}.weight", (spec.width, *extent), "kernel")]
        if bias or self.architecture.bias:
            own.append(Tensor(f"{name}.bias", (spec.width,), bias or "bias"))
        return self.add_layer(
            name,
            "convolution",
            inputs=(x,),
            shape=shape,
            own=tuple(own),
            kernel=spec.kernel,
            stride=spec.stride,
            groups=spec.groups,
            dilation=spec.dilation,
            multiply_adds=own[0].size * shape[1] * shape[2],
        )

    def norm(self, name: str, x: str) -> str:
        norm, shape = self.architecture.norm, self.layers[x].shape
        if norm.kind == "none":
            return x
        roles = LEARNED + RUNNING if norm.kind == "batch" else LEARNED
        own = tuple([Tensor(f"{name}.{part}", shape[:1], role) for part, role in roles])
        if norm.kind == "batch":
            return self.add_layer(name, "norm", inputs=(x,), shape=shape, own=own)
        return self.add_layer(
            name, "group_norm", inputs=(x,), shape=shape, own=own, groups=norm.groups
        )

    def activation(self, name: str, x: str) -> str:
        kind = self.architecture.activation
        return self.add_layer(
            name.replace("{act}", kind), kind, inputs=(x,), shape=self.layers[x].shape
        )

    def max_pool(self, name: str, x: str) -> str:
        channels, height, width = self.layers[x].shape
        shape = (channels, _output_pixels(height, 2), _output_pixels(width, 2))
        return self.add_layer(name, "max_pool", inputs=(x,), shape=shape, kernel=3, stride=2)

    def dense(self, name: str, x: str, *, width: int, extent: tuple[int, ...] = ()) -> str:
        """A matrix product; some families keep the matrix as a 1×1 convolution's kernel."""
        (features,) = self.layers[x].shape
        weight = Tensor(f"{name}.weight", (width, features, *extent), "dense")
        own = (weight, Tensor(f"{name}.bias", (width,), "bias"))
        return self.add_layer(
            name, "dense", inputs=(x,), shape=(width,), own=own, multiply_adds=weight.size
        )

    def add_layer(
        self,
        name: str,
        operation: Operation,
        *,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
        own: tuple[Tensor, ...] = (),
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        multiply_adds: int = 0,
    ) -> str:
        self.layers[name] = Layer(
            name=name,
            operation=operation,
            inputs=inputs,
            shape=shape,
            part=self.part,
            block=self.block,
            tensors=own,
            kernel=kernel,
            stride=stride,
            padding=0 if operation == "average_pool" else dilation * (kernel // 2),
            groups=groups,
            dilation=dilation,
            multiply_adds=multiply_adds,
        )
        return name


@cache
def _fill_index(template: str, k: int) -> str:
    """Fill in which convolution of a block it is: from 1, or a letter."""
    return template.replace("{k}", str(k)).replace("{letter}", "abc"[k - 1])


def _output_pixels(pixels: int, stride: int) -> int:
    """Pixels put out by an odd kernel with padding kernel // 2."""
    return (pixels - 1) // stride + 1
