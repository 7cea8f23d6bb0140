"""What the blocks of all families are made of, by the architecture's definitions.

Feature maps are [n, height, width, channels] here.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from resnets.backends.jax.norm import BatchNorm
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import BlockGeometry, ConvolutionSpec
from resnets.networks.spec import Stage

Layer = Callable[[Array], Array]
"""A module, or a function that has nothing to learn."""


class Sequence(nnx.List):
    """Layers by number, called one after the other."""

    def __call__(self, x: Array) -> Array:
        for layer in self:
            x = layer(x)
        return x


class Named(nnx.Module):
    """Layers by name, called one after the other."""

    def __init__(self, layers: Mapping[str, Layer]) -> None:
        self.order = tuple(layers)  # Flax sorts a module's attributes by their names
        for name, layer in layers.items():
            setattr(self, name, layer)

    def __call__(self, x: Array) -> Array:
        for name in self.order:
            x = getattr(self, name)(x)
        return x


def identity(x: Array) -> Array:
    """Return the input."""
    return x


# Functions of our own: jax.nn's are found under other names than theirs, so pickle refuses them.


def relu(x: Array) -> Array:
    """max(x, 0)."""
    return jax.nn.relu(x)


def leaky_relu(x: Array) -> Array:
    """x, and a hundredth of it below 0."""
    return jax.nn.leaky_relu(x)


def elu(x: Array) -> Array:
    """x, and exp(x) - 1 below 0."""
    return jax.nn.elu(x)


def silu(x: Array) -> Array:
    """x * sigmoid(x)."""
    return jax.nn.silu(x)


def gelu(x: Array) -> Array:
    """x * Phi(x), by the error function itself."""
    return jax.nn.gelu(x, approximate=False)


ACTIVATIONS: dict[str, Layer] = {
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "silu": silu,
    "gelu": gelu,
}


def convolution(
    a: Architecture, c_in: int, plan: ConvolutionSpec, rngs: nnx.Rngs, *, gate: bool = False
) -> nnx.Conv:
    """A convolution whose output is the input's size over the stride, rounded up.

    A gate's has a bias of -1: at first the shortcut weighs more (Srivastava et al. 2015,
    section 2.2).
    """
    border = plan.dilation * (plan.kernel // 2)
    return nnx.Conv(
        c_in,
        plan.width,
        (plan.kernel, plan.kernel),
        plan.stride,
        padding=((border, border), (border, border)),
        kernel_dilation=plan.dilation,
        feature_group_count=plan.groups,
        use_bias=a.bias or gate,
        kernel_init=nnx.initializers.variance_scaling(2, "fan_out", "normal"),
        bias_init=nnx.initializers.constant(-1.0 if gate else 0.0),
        rngs=rngs,
    )


def dense(c_in: int, width: int, rngs: nnx.Rngs) -> nnx.Linear:
    """A dense layer, drawn uniformly within 1 / sqrt(fan-in) as ``initial_weights`` says."""
    bound = 1 / math.sqrt(c_in)
    draw = partial(_uniform, bound=bound)
    return nnx.Linear(c_in, width, kernel_init=draw, bias_init=draw, rngs=rngs)


def _uniform(key: Array, shape: tuple[int, ...], dtype: jnp.dtype, *, bound: float) -> Array:
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def norm(a: Architecture, channels: int, rngs: nnx.Rngs) -> Layer:
    """A norm of the architecture's kind."""
    if a.norm.kind == "none":
        return identity
    epsilon = a.norm.epsilon
    if a.norm.kind == "group":
        # The fast variance is a difference of large numbers: it costs digits.
        return nnx.GroupNorm(
            channels, a.norm.groups, epsilon=epsilon, use_fast_variance=False, rngs=rngs
        )
    return BatchNorm(channels, epsilon=epsilon, momentum=a.norm.decay, rngs=rngs)


def activation(a: Architecture) -> Layer:
    """What stands where papers have ReLU."""
    return ACTIVATIONS[a.activation]


def pool(a: Architecture) -> Layer:
    """The stem's max-pool, if it has one."""
    return max_pool if a.stem.pool else identity


def max_pool(x: Array) -> Array:
    """The largest value of 3×3 windows, stride 2; the border is minus infinity.

    XLA's own gradient of a max-pool takes twenty times as long on a processor as the pool; that
    of comparisons does not. Of equal values the first counts, as there and in torch.
    """
    n, height, width, channels = x.shape
    rows, columns = (height + 1) // 2, (width + 1) // 2
    border = ((0, 0), (1, 2 * rows + 1 - height), (1, 2 * columns + 1 - width), (0, 0))
    padded = jnp.pad(x, border, constant_values=-jnp.inf)
    # By even and odd rows and columns: a window's values are then slices without a stride.
    padded = padded.reshape(n, rows + 1, 2, columns + 1, 2, channels)
    values = [
        padded[:, i // 2 : i // 2 + rows, i % 2, j // 2 : j // 2 + columns, j % 2]
        for i in range(3)
        for j in range(3)
    ]
    largest = values[0]
    for value in values[1:]:
        largest = jnp.where((value > largest) | jnp.isnan(value), value, largest)
    return largest


def mean_pool(x: Array) -> Array:
    """Means over all pixels, [n, channels]."""
    return x.mean((1, 2))


def shortcut(a: Architecture, stage: Stage, place: BlockGeometry, rngs: nnx.Rngs) -> Layer | None:
    """How a block's input reaches its sum; None for the identity."""
    if not place.changes_shape:
        return None
    c_in, stride, width = place.channels, place.stride, stage.width
    kind = stage.block.shortcut
    if kind == "padding":
        return PaddingShortcut(width - c_in, stride)
    if kind == "average_projection":
        pooled = AveragePool(stride) if stride > 1 else identity
        flat = convolution(a, c_in, ConvolutionSpec(width=width, kernel=1), rngs)
        return Sequence([pooled, flat, norm(a, width, rngs)])
    plan = ConvolutionSpec(width=width, kernel=1, stride=stride)
    projection = convolution(a, c_in, plan, rngs)
    if a.preactivation:
        return Named({"conv": projection})
    if kind == "bare_projection":
        return Sequence([projection])
    return Sequence([projection, norm(a, width, rngs)])


def gate(a: Architecture, stage: Stage, place: BlockGeometry, rngs: nnx.Rngs) -> nnx.Conv | None:
    """What weighs the branch against the shortcut, where the block is gated."""
    if not stage.block.gated:
        return None
    plan = ConvolutionSpec(width=stage.width, kernel=1, stride=place.stride)
    return convolution(a, place.channels, plan, rngs, gate=True)


def join(
    x: Array, y: Array, downsample: Layer | None, gate: Layer | None, scale: Array | None
) -> Array:
    """Add the branch ``y``, scaled, to the shortcut of the block's input ``x``."""
    short = x if downsample is None else downsample(x)
    if gate is None:
        return scale_branch(y, scale) + short
    share = jax.nn.sigmoid(gate(x))  # Srivastava et al. 2015, equation 3
    return short + scale_branch(share, scale) * (y - short)


def scale_branch(branch: Array, scale: Array | None) -> Array:
    """Multiply what a residual branch gives by each image's ``scale`` [n]; None leaves it."""
    return branch if scale is None else branch * scale.astype(branch.dtype)[:, None, None, None]


class SqueezeExcitation(nnx.Module):
    """Each channel scaled by what the means of all say (Hu et al. 2017, Figure 3)."""

    def __init__(self, a: Architecture, width: int, squeeze: int, rngs: nnx.Rngs) -> None:
        self.fc1 = dense(width, squeeze, rngs)
        self.activation = activation(a)
        self.fc2 = dense(squeeze, width, rngs)

    def __call__(self, x: Array) -> Array:
        s = jax.nn.sigmoid(self.fc2(self.activation(self.fc1(mean_pool(x)))))
        return x * s[:, None, None, :]


class AveragePool(nnx.Module):
    """Means of 2×2 windows from the edge on; of one that hangs over, of what it covers."""

    def __init__(self, stride: int) -> None:
        self.stride = stride

    def __call__(self, x: Array) -> Array:
        over = tuple(
            max((math.ceil(pixels / self.stride) - 1) * self.stride + 2 - pixels, 0)
            for pixels in x.shape[1:3]
        )
        means = nnx.avg_pool(
            x,
            (2, 2),
            (self.stride, self.stride),
            ((0, over[0]), (0, over[1])),
            count_include_pad=False,
        )
        return means.astype(x.dtype)  # it divides by counts in fp32


class Shift(nnx.Module):
    """Nine runs of channels, each moved in a direction of its own (Wu et al. 2018, equation 3)."""

    def __init__(self, reach: int) -> None:
        self.reach = reach

    def __call__(self, x: Array) -> Array:
        reach, run = self.reach, x.shape[3] // 9
        height, width = x.shape[1], x.shape[2]
        padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
        parts: list[Array] = []
        for k in range(9):
            row, column = reach * (k // 3), reach * (k % 3)
            own = slice(k * run, (k + 1) * run)
            parts.append(padded[:, row : row + height, column : column + width, own])
        parts.append(x[..., 9 * run :])
        return jnp.concatenate(parts, axis=3)


class PaddingShortcut(nnx.Module):
    """Every stride-th pixel, and channels of zeros behind (He et al. 2015, option A)."""

    def __init__(self, added: int, stride: int) -> None:
        self.added = added
        self.stride = stride

    def __call__(self, x: Array) -> Array:
        kept = x[:, :: self.stride, :: self.stride]
        return jnp.pad(kept, ((0, 0), (0, 0), (0, 0), (0, self.added)))
