"""What the blocks of all families are made of, by the architecture's definitions.

Every part is a ``HybridBlock`` with a ``hybrid_forward``: one that overrode ``forward`` would run,
but ``hybridize`` would do nothing.
"""

import math
from collections.abc import Iterable
from typing import Any

from resnets.backends.mxnet.importing import mx
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import BlockGeometry, ConvolutionSpec
from resnets.networks.spec import Stage

nn, HybridBlock = mx.gluon.nn, mx.gluon.HybridBlock
Identity = mx.gluon.contrib.nn.Identity


def sequence(*children: Any) -> Any:
    """A plain ``HybridSequential`` of children that are counted from 0."""
    result = nn.HybridSequential()
    result.add(*children)
    return result


def named_sequence(children: Iterable[tuple[str, Any]]) -> Any:
    """A plain ``HybridSequential`` whose children have names, also as attributes."""
    result = nn.HybridSequential()
    for name, child in children:
        setattr(result, name, child)
    return result


def convolution(a: Architecture, c_in: int, plan: ConvolutionSpec, *, bias: bool = False) -> Any:
    """A convolution whose output is the input's size over the stride, rounded up."""
    return nn.Conv2D(
        plan.width,
        plan.kernel,
        plan.stride,
        padding=plan.dilation * (plan.kernel // 2),
        dilation=plan.dilation,
        groups=plan.groups,
        use_bias=bias or a.bias,
        in_channels=c_in,
    )


def norm(a: Architecture, channels: int) -> Any:
    """A norm of the architecture's kind."""
    if a.norm.kind == "none":
        return Identity()
    if a.norm.kind == "group":
        return GroupNorm(a.norm.groups, channels, a.norm.epsilon)
    return nn.BatchNorm(momentum=a.norm.decay, epsilon=a.norm.epsilon, in_channels=channels)


def activation(a: Architecture) -> Any:
    """What stands where papers have ReLU."""
    match a.activation:
        case "relu":
            return nn.Activation("relu")
        case "leaky_relu":
            return LeakyReLU()
        case "elu":
            return nn.ELU()
        case "silu":
            return nn.Swish()
        case "gelu":
            return GELU()


def pool(a: Architecture) -> Any:
    """The stem's max-pool, if it has one."""
    return nn.MaxPool2D(3, 2, padding=1) if a.stem.pool else Identity()


def shortcut(a: Architecture, stage: Stage, place: BlockGeometry) -> Any:
    """How a block's input reaches its sum; None for the identity."""
    if not place.changes_shape:
        return None
    c_in, stride = place.channels, place.stride
    plan = ConvolutionSpec(width=stage.width, kernel=1, stride=stride)
    if stage.block.shortcut == "padding":
        return PaddingShortcut(stage.width - c_in, stride)
    if stage.block.shortcut == "average_projection":
        flat = ConvolutionSpec(width=stage.width, kernel=1)
        window = AveragePool(stride) if stride > 1 else Identity()
        return sequence(window, convolution(a, c_in, flat), norm(a, stage.width))
    projection = convolution(a, c_in, plan)
    if a.preactivation:
        return named_sequence([("conv", projection)])
    if stage.block.shortcut == "bare_projection":
        return sequence(projection)
    return sequence(projection, norm(a, stage.width))


def concatenate(F: Any, parts: Iterable[Any]) -> Any:  # noqa: N803
    """Maps [n, channels, height, width] one behind the other as channels.

    With a fifth axis: for arrays of four, MXNet takes a kernel of oneDNN, and its backward pass
    in a hybridized network of fp32 can end the process (a division by zero).
    """
    y = F.concat(*(F.expand_dims(part, axis=4) for part in parts), dim=1)
    return F.reshape(y, (0, 0, 0, -1))


def scale_branch(F: Any, branch: Any, scale: Any) -> Any:  # noqa: N803
    """Multiply what a residual branch gives by each image's ``scale`` [n]; None leaves it."""
    if scale is None:
        return branch
    return F.broadcast_mul(branch, F.reshape(scale, (-1, 1, 1, 1)))


class GroupNorm(HybridBlock):
    """Each image's groups of channels normalised (Wu and He 2018).

    Gluon's own has one scale for each group; the paper and all other frameworks have one for each
    channel.
    """

    def __init__(self, groups: int, channels: int, epsilon: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.groups, self.epsilon = groups, epsilon
        with self.name_scope():
            self.gamma = self.params.get("gamma", shape=(channels,), init="ones")
            self.beta = self.params.get("beta", shape=(channels,), init="zeros")

    def hybrid_forward(self, F: Any, x: Any, gamma: Any, beta: Any) -> Any:  # noqa: N803
        grouped = F.reshape(x, (0, self.groups, -1))
        centred = F.broadcast_sub(grouped, F.mean(grouped, axis=2, keepdims=True))
        variance = F.mean(F.square(centred), axis=2, keepdims=True)
        y = F.broadcast_div(centred, F.sqrt(variance + self.epsilon))
        y = F.broadcast_mul(F.reshape_like(y, x), F.reshape(gamma, (1, -1, 1, 1)))
        return F.broadcast_add(y, F.reshape(beta, (1, -1, 1, 1)))


class LeakyReLU(HybridBlock):
    """The larger of x and x / 100; MXNet's own has the slope in single precision."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        return F.maximum(x * 0.01, x)


class GELU(HybridBlock):
    """x times the normal distribution up to x; MXNet's own computes it in single precision."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        return x * (F.erf(x * math.sqrt(1 / 2)) + 1) * 0.5


class AveragePool(HybridBlock):
    """Means of 2×2 pixels from the edge on; of a window that hangs over, of what it covers."""

    def __init__(self, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = (stride, stride)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        # One row or column hangs over at most. A copy of the last one leaves the mean as it is.
        x = F.pad(x, mode="edge", pad_width=(0, 0, 0, 0, 0, 1, 0, 1))
        return F.Pooling(x, kernel=(2, 2), stride=self.stride, pool_type="avg")


class SqueezeExcitation(HybridBlock):
    """Each channel scaled by what the means of all say (Hu et al. 2017, Figure 3)."""

    def __init__(self, a: Architecture, width: int, squeeze: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.fc1 = nn.Conv2D(squeeze, 1, in_channels=width)
            self.activation = activation(a)
            self.fc2 = nn.Conv2D(width, 1, in_channels=squeeze)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        s = F.mean(x, axis=(2, 3), keepdims=True)
        return F.broadcast_mul(x, F.sigmoid(self.fc2(self.activation(self.fc1(s)))))


class Shift(HybridBlock):
    """Nine runs of channels, each moved in a direction of its own (Wu et al. 2018, equation 3)."""

    def __init__(self, channels: int, reach: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.channels, self.reach = channels, reach

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        reach, run = self.reach, self.channels // 9
        if not run:
            return F.identity(x)
        padded = F.pad(x, mode="constant", pad_width=(0, 0, 0, 0, *[reach] * 4))
        parts = []
        for k in range(9):
            row, column = reach * (k // 3), reach * (k % 3)
            # Counted from the end, so that the graph serves any height and width.
            last_row, last_column = row - 2 * reach or None, column - 2 * reach or None
            begin = (None, k * run, row, column)
            end = (None, (k + 1) * run, last_row, last_column)
            parts.append(F.slice(padded, begin=begin, end=end))
        if self.channels > 9 * run:
            parts.append(F.slice_axis(x, axis=1, begin=9 * run, end=None))
        return concatenate(F, parts)


class PaddingShortcut(HybridBlock):
    """Every stride-th pixel, and channels of zeros behind (He et al. 2015, option A)."""

    def __init__(self, added: int, stride: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.added, self.stride = added, stride

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        whole, step = (None,) * 4, (1, 1, self.stride, self.stride)
        x = F.slice(x, begin=whole, end=whole, step=step)
        if not self.added:
            return x
        zeros = F.zeros_like(F.slice_axis(x, axis=1, begin=0, end=1))
        return concatenate(F, [x, F.broadcast_axis(zeros, axis=1, size=self.added)])
