"""Convolutions and their gradients where XLA's own way is slow on a processor.

Gradients of kernels as matrix products: XLA takes a kernel's gradient as a convolution whose kernel
is as large as the feature map. For most layers that is near the best; not for 1×1 kernels, for wide
layers that halve the map, and not at all for groups, each of which it takes by itself. There the
same sum is one product for each place of the kernel: of the input's pixels under that place with
the output's gradient.

Milliseconds of processor time, one thread of an EPYC with AVX-512, jax 0.10.2, fp32, n = 3, of
XLA's way and of the products; batch 128, the last three rows 32:

| map, channels, kernel, stride | XLA | products |
|---|---|---|
| 24, 64 to 128, 1×1, 2 | 25 | 6 |
| 14, 64 to 256, 1×1, 1 | 61 | 10 |
| 7, 256 to 512, 1×1, 1 | 71 | 18 |
| 14, 32 to 64, 3×3, 2 | 5.7 | 7.2 |
| 7, 64 to 128, 3×3, 2 | 7.1 | 4.9 |
| 12, 128 to 256, 3×3, 2 | 63 | 35 |
| 6, 256 to 512, 3×3, 2 | 47 | 33 |
| 14, 32 to 32, 3×3, 1 | 9.5 | 16 |
| 24, 64 to 64, 3×3, 1 | 90 | 192 |
| 12, 128 to 128, 3×3, 1 | 86 | 85 |
| 6, 256 to 256, 3×3, 1 | 91 | 72 |
| 3, 512 to 512, 3×3, 1 | 65 | 70 |
| 14, 128 to 128 in 8 groups, 3×3, 2 | 243 | 6.5 |
| 14, 128 to 128 in 8 groups, 3×3, 1 | 984 | 19 |
| 14, 128 to 128 in 32 groups, 3×3, 1 | 3994 | 23 |

Maps that are smaller than the kernel: XLA leaves its fast way for them. With the border of zeros in
memory, behind a barrier so that XLA does not take it back, the map is large enough. Batch 32,
a shared core, n = 12:

| map, channels, 3×3, stride | forward: XLA | bordered | gradient of the input: XLA | bordered |
|---|---|---|---|---|
| 2, 64 to 64, 1 | 1.4 | 0.2 | 1.3 | 0.2 |
| 2, 192 to 192, 1 | 11 | 1.2 | 11 | 1.3 |
| 2, 512 to 512, 1 | 561 | 14 | 554 | 21 |
| 4, 96 to 192, 2 | 0.6 | | 7.7 | 2.4 |
| 4, 256 to 512, 2 | 4.8 | | 143 | 20 |

Where every output sees every pixel, as 3×3 kernels do on maps up to 2×2, a convolution is a dense
layer, with no border to multiply. The layer and both its gradients, batch 128, n = 9,
beside other work, 2026-11-26:

| map, channels, 3×3, stride | XLA | bordered, gradients as products | dense |
|---|---|---|---|
| 1, 512 to 512, 1 | | 54 | 2.9 |
| 2, 256 to 512, 2 | 262 | 49 | 6.2 |
| 2, 128 to 128, 1 | 43 | 9.2 | 3.2 |
| 2, 256 to 256, 1 | 342 | 34 | 11 |
| 2, 512 to 512, 1 | | 165 | 48 |
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

WIDE_STRIDED, WIDE, SMALL = 64, 256, 4
"""Channels from which k×k kernels are faster so, with a stride and without; and not up to so small
a map. Measured above."""

BLOCK = 32
"""Channels of a product: as many groups as fit are taken in one, most of which is thrown away."""

_NUMBERS = ("NHWC", "HWIO", "NHWC")


def convolve(
    x: Array,
    kernel: Array,
    strides: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
    *,
    rhs_dilation: tuple[int, int],
    feature_group_count: int,
    **others: Any,
) -> Array:
    """``lax.conv_general_dilated`` as ``nnx.Conv`` calls it, with gradients of first order.

    The function is the same; its gradients are too, to rounding.
    """
    stride, border = strides[0], padding[0][0]
    square = tuple(strides) == (stride, stride) and {*padding[0], *padding[1]} == {border}
    square = square and set(rhs_dilation) == {1}
    if square and feature_group_count == 1 and _is_dense(x, kernel, stride, border):
        return _dense(x, kernel, stride, border)
    if square and _is_faster(x, kernel, stride, feature_group_count):
        return _convolution(x, kernel, stride, border, feature_group_count)
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        padding,
        rhs_dilation=rhs_dilation,
        feature_group_count=feature_group_count,
        **others,
    )


def _is_faster(x: Array, kernel: Array, stride: int, groups: int) -> bool:
    size, _, c_in, _ = kernel.shape
    if size == 1 or groups > 1:
        return True
    if _is_small(((pixels - 1) // stride + 1 for pixels in x.shape[1:3]), size):
        return True
    if stride > 1:
        return c_in >= WIDE_STRIDED
    return c_in >= WIDE and min(x.shape[1:3]) > SMALL


def _is_small(pixels: Iterable[int], size: int) -> bool:
    """Whether a map is smaller than the kernel that goes over it."""
    return min(pixels) < size


def _is_dense(x: Array, kernel: Array, stride: int, border: int) -> bool:
    """Whether every output sees every pixel."""
    return kernel.shape[0] > 1 and all(
        border >= (pixels - 1) // stride * stride and border + pixels <= kernel.shape[0]
        for pixels in x.shape[1:3]
    )


def _dense(x: Array, kernel: Array, stride: int, border: int) -> Array:
    """Multiply [n, pixels × in] by [pixels × in, outputs × out]."""
    n, height, width, _ = x.shape
    rows, columns = ((pixels - 1) // stride + 1 for pixels in (height, width))
    pixels = x.reshape(n, -1)
    seen = [
        kernel[above : above + height, left : left + width].reshape(pixels.shape[1], -1)
        for above in range(border, border - rows * stride, -stride)
        for left in range(border, border - columns * stride, -stride)
    ]
    return (pixels @ jnp.concatenate(seen, axis=1)).reshape(n, rows, columns, -1)


def _plain(x: Array, kernel: Array, stride: int, border: int, groups: int) -> Array:
    if _is_small(x.shape[1:3], kernel.shape[0]):
        x, border = _add_border(x, ((border, border, 0),) * 2), 0
    sides = ((border, border), (border, border))
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        sides,
        dimension_numbers=_NUMBERS,
        feature_group_count=groups,
    )


def _add_border(x: Array, sides: tuple[tuple[int, int, int], tuple[int, int, int]]) -> Array:
    """Lay zeros around, and between, the pixels, in memory."""
    none = (0, 0, 0)
    padded = lax.pad(x, jnp.zeros((), x.dtype), (none, *sides, none))
    return lax.optimization_barrier(padded)


_convolution = jax.custom_vjp(_plain, nondiff_argnums=(2, 3, 4))


def _forward(x: Array, kernel: Array, *settings: int) -> tuple[Array, tuple[Array, Array]]:
    return _plain(x, kernel, *settings), (x, kernel)


def _backward(
    stride: int, border: int, groups: int, kept: tuple[Array, Array], dy: Array
) -> tuple[Array, Array]:
    x, kernel = kept
    if _is_small(dy.shape[1:3], kernel.shape[0]):
        dx = _input_gradient(x.shape, kernel, stride, border, groups, dy)
    else:
        of_input = partial(_plain, kernel=kernel, stride=stride, border=border, groups=groups)
        (dx,) = jax.linear_transpose(of_input, x)(dy)
    places = _list_places(x, kernel.shape[0], stride, border, dy.shape[1:3])
    together = _count_together(kernel.shape[2], groups)
    gradients = [_product(pixels, dy, groups, together) for pixels in places]
    return dx, jnp.stack(gradients).reshape(kernel.shape).astype(kernel.dtype)


_convolution.defvjp(_forward, _backward)


def _input_gradient(
    shape: tuple[int, ...], kernel: Array, stride: int, border: int, groups: int, dy: Array
) -> Array:
    """Convolve the output's gradient, spread out by the stride, with the kernel turned around."""
    size, _, c_in, out = kernel.shape
    before = size - 1 - border
    sides = [
        (before, pixels - 1 + border - (own - 1) * stride, stride - 1)
        for pixels, own in zip(shape[1:3], dy.shape[1:3], strict=True)
    ]
    turned = kernel[::-1, ::-1].reshape(size, size, c_in, groups, out // groups)
    turned = turned.transpose(0, 1, 4, 3, 2).reshape(size, size, out // groups, groups * c_in)
    return _plain(_add_border(dy, (sides[0], sides[1])), turned, 1, 0, groups)


def _list_places(
    x: Array, size: int, stride: int, border: int, shape: tuple[int, ...]
) -> list[Array]:
    """Give, for each place of a kernel, the pixels under it, [n, *shape, channels]."""
    n, height, width, channels = x.shape
    rows, columns = (pixels + (size - 1) // stride for pixels in shape)
    # In cells of stride × stride pixels, each place is a slice without a stride.
    ends = (rows * stride - height - border, columns * stride - width - border)
    sides = ((0, 0, 0), (border, ends[0], 0), (border, ends[1], 0), (0, 0, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), sides)
    x = x.reshape(n, rows, stride, columns, stride, channels)
    return [
        x[:, i // stride :, i % stride, j // stride :, j % stride][:, : shape[0], : shape[1]]
        for i in range(size)
        for j in range(size)
    ]


def _count_together(c_in: int, groups: int) -> int:
    """How many groups of ``c_in`` channels a product takes: a divisor of their number."""
    most = min(max(BLOCK // c_in, 1), groups)
    return next(m for m in range(most, 0, -1) if groups % m == 0)


def _product(pixels: Array, dy: Array, groups: int, together: int) -> Array:
    """Give the gradient of one place of the kernel, [in of a group, out]."""
    blocks = groups // together
    c_in, out = pixels.shape[3] // groups, dy.shape[3] // groups
    multiply = partial(
        lax.dot_general, preferred_element_type=jnp.promote_types(dy.dtype, jnp.float32)
    )
    if groups == 1:
        return multiply(pixels.reshape(-1, c_in), dy.reshape(-1, out), (((0,), (0,)), ((), ())))
    whole = multiply(
        pixels.reshape(-1, blocks, together * c_in),
        dy.reshape(-1, blocks, together * out),
        (((0,), (0,)), ((1,), (1,))),
    )
    pairs = whole.reshape(blocks, together, c_in, together, out)
    own = jnp.diagonal(pairs, axis1=1, axis2=3)  # [blocks, in, out, groups of the block]
    return own.transpose(1, 0, 3, 2).reshape(c_in, groups * out)
