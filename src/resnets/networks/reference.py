"""The definition of the function, in NumPy: what every backend is tested against.

It executes the trace of an architecture, one readable function an operation, in whatever
precision the weights and images have (tests use float64). It is slow and meant to be.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from resnets.errors import InvalidDescription, Problem
from resnets.networks.architecture import Architecture
from resnets.networks.layers import Layer
from resnets.networks.naming import block_names
from resnets.networks.network import check_weights
from resnets.networks.tracing import trace

Array = npt.NDArray[np.floating]
"""Images and feature maps are [n, channels, height, width] here."""


@dataclass
class ForwardResult:
    """The outcome of one forward pass.

    Attributes:
        outputs: every layer's output by the layer's name, in order.
        statistics: in training mode, the running means and variances after this step.
    """

    outputs: dict[str, Array] = field(default_factory=dict[str, Array])
    statistics: dict[str, Array] = field(default_factory=dict[str, Array])

    @property
    def logits(self) -> Array:
        """[n, classes]."""
        return next(reversed(self.outputs.values()))


def forward(
    architecture: Architecture,
    weights: Mapping[str, Array],
    images: Array,
    *,
    training: bool = False,
    branches: Array | None = None,
) -> ForwardResult:
    """Compute the network's outputs for ``images`` [n, channels, height, width].

    In training mode norms use the statistics of the batch and the running ones are updated;
    otherwise they use the running ones. ``branches`` [blocks, n] says what each block's residual
    branch is multiplied by, as in ``AugmentationParameters``; of a gated block, its gate.

    Raises:
        InvalidDescription: if the images are not of that shape.
        WeightsError: if the weights do not fit.
    """
    if images.ndim != 4 or images.shape[1] != architecture.channels:
        message = f"{images.shape}; images are [n, {architecture.channels}, height, width] here"
        raise InvalidDescription("input", [Problem("images", message)])
    check_weights(architecture, weights)
    result = ForwardResult()
    steps = trace(architecture, (images.shape[2], images.shape[3]))
    blocks = [name for row in block_names(architecture) for name in row]
    for layer in steps.layers:
        inputs = [result.outputs[name] for name in layer.inputs]
        own = [weights[tensor.name] for tensor in layer.tensors]
        if branches is not None and layer.operation in ("add", "gated_add"):
            at = 0 if layer.operation == "add" else 2
            inputs[at] = inputs[at] * branches[blocks.index(layer.block)][:, None, None, None]
        if layer.operation == "norm" and training:
            output, statistics = batch_norm(inputs[0], own, architecture)
            names = [tensor.name for tensor in layer.tensors if not tensor.is_parameter]
            result.statistics.update(zip(names, statistics, strict=True))
        elif layer.operation == "input":
            output = images
        else:
            output = compute_layer(architecture, layer, inputs, own)
        result.outputs[layer.name] = output
    return result


def compute_layer(
    architecture: Architecture, layer: Layer, inputs: Sequence[Array], own: Sequence[Array]
) -> Array:
    """Compute one layer's output in evaluation; ``own`` are its tensors, in their order."""
    match layer.operation:
        case "norm":
            return norm(inputs[0], own, architecture.norm.epsilon)
        case "group_norm":
            return group_norm(inputs[0], own, layer.groups, architecture.norm.epsilon)
        case "convolution":
            bias = own[1] if len(own) > 1 else None
            return convolution(
                inputs[0], own[0], bias, layer.stride, layer.padding, layer.groups, layer.dilation
            )
        case "relu" | "leaky_relu" | "elu" | "silu" | "gelu":
            return activation(inputs[0], layer.operation)
        case "shift":
            return shift(inputs[0], layer.dilation)
        case "gated_add":
            branch, shortcut, gate = inputs
            return gate * branch + (1 - gate) * shortcut
        case "max_pool":
            return max_pool(inputs[0], layer.kernel, layer.stride, layer.padding)
        case "pad_shortcut":
            return pad_shortcut(inputs[0], layer.shape[0], layer.stride)
        case "add":
            return inputs[0] + inputs[1]
        case "mean_pool":
            return inputs[0].mean(axis=(2, 3))
        case "average_pool":
            return average_pool(inputs[0], layer.kernel, layer.stride)
        case "sigmoid":
            return 1 / (1 + np.exp(-inputs[0]))
        case "scale":
            return inputs[0] * inputs[1][:, :, None, None]
        case "dense":
            return inputs[0] @ own[0].reshape(len(own[0]), -1).T + own[1]
        case _:
            raise AssertionError(layer.operation)


def convolution(
    x: Array,
    kernel: Array,
    bias: Array | None,
    stride: int,
    padding: int,
    groups: int,
    dilation: int = 1,
) -> Array:
    """Cross-correlate ``x`` with ``kernel`` [out, in / groups, k, k], zero padding on all sides."""
    reach = dilation * (kernel.shape[2] - 1) + 1
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(padded, (reach, reach), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride, ::dilation, ::dilation]
    parts = [
        np.einsum("nchwij,ocij->nohw", part, weights, optimize=True)
        for part, weights in zip(
            np.split(windows, groups, axis=1), np.split(kernel, groups), strict=True
        )
    ]
    y = np.concatenate(parts, axis=1)
    return y if bias is None else y + bias[:, None, None]


def activation(x: Array, kind: str) -> Array:
    """ReLU; leaky with slope 0.01; ELU with alpha 1; x * sigmoid(x); x * Phi(x)."""
    match kind:
        case "relu":
            return np.maximum(x, 0)
        case "leaky_relu":
            return np.where(x >= 0, x, 0.01 * x)
        case "elu":
            return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))
        case "silu":
            return x / (1 + np.exp(-x))
        case _:
            return (x * (1 + _erf(x / math.sqrt(2))) / 2).astype(x.dtype)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def shift(x: Array, reach: int) -> Array:
    """Move channels by ``reach`` pixels, zeros coming in: Wu et al. 2018, equation 3.

    The channels are nine equal runs, one for each direction of a 3×3 window in row order; the
    window's offset (-1, -1) reads the pixel above to the left. What remains beyond nine equal
    runs stays in place.
    """
    _, channels, height, width = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    y = x.copy()
    run = channels // 9
    for k in range(9):
        row, column = reach * (k // 3), reach * (k % 3)
        own = slice(k * run, (k + 1) * run)
        y[:, own] = padded[:, own, row : row + height, column : column + width]
    return y


def norm(x: Array, own: Sequence[Array], epsilon: float) -> Array:
    """Scale and shift by running statistics; ``own`` is scale, shift, mean, variance."""
    scale, shift, mean, variance = (v[:, None, None] for v in own)
    return (x - mean) / np.sqrt(variance + epsilon) * scale + shift


def batch_norm(
    x: Array, own: Sequence[Array], architecture: Architecture
) -> tuple[Array, tuple[Array, Array]]:
    """Normalise by the batch's biased variance; update the running one with the unbiased."""
    scale, shift, running_mean, running_variance = own
    count = x.size // x.shape[1]
    mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    keep = architecture.norm.decay
    unbiased = variance * (count / max(count - 1, 1))
    statistics = (
        keep * running_mean + (1 - keep) * mean,
        keep * running_variance + (1 - keep) * unbiased,
    )
    return norm(x, (scale, shift, mean, variance), architecture.norm.epsilon), statistics


def group_norm(x: Array, own: Sequence[Array], groups: int, epsilon: float) -> Array:
    """Normalise each image's groups of channels; ``own`` is scale and shift (Wu and He 2018)."""
    scale, shift_by = (v[:, None, None] for v in own)
    grouped = x.reshape(len(x), groups, -1)
    mean, variance = grouped.mean(axis=2, keepdims=True), grouped.var(axis=2, keepdims=True)
    return ((grouped - mean) / np.sqrt(variance + epsilon)).reshape(x.shape) * scale + shift_by


def max_pool(x: Array, size: int, stride: int, padding: int) -> Array:
    """Take the largest value of each window; the border is minus infinity, never zero."""
    border = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(x, border, constant_values=-np.inf)
    windows = sliding_window_view(padded, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    return windows.max(axis=(4, 5))


def average_pool(x: Array, size: int, stride: int) -> Array:
    """Mean of each window, from the edge on; of one that hangs over, what it covers."""
    _, _, height, width = x.shape
    rows, columns = -(-height // stride), -(-width // stride)
    border = [(0, 0), (0, 0)]
    border += [
        (0, max((n - 1) * stride + size - m, 0)) for n, m in ((rows, height), (columns, width))
    ]
    windows = [
        sliding_window_view(np.pad(v, border), (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
        for v in (x, np.ones_like(x))
    ]
    total, covered = (w[:, :, :rows, :columns].sum(axis=(4, 5)) for w in windows)
    return total / covered


def pad_shortcut(x: Array, width: int, stride: int) -> Array:
    """Keep every ``stride``-th pixel and add channels of zeros behind (option A)."""
    kept = x[:, :, ::stride, ::stride]
    return np.pad(kept, ((0, 0), (0, width - kept.shape[1]), (0, 0), (0, 0)))
