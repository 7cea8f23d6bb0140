"""Convolutions and their gradients on a CPU, where XLA's own way is slow.

- Gradients of 1×1 kernels, of wide strided kernels and of grouped kernels: one matrix product per
  position of the kernel.
- Maps smaller than the kernel: the border of zeros is laid out in memory.

The thresholds are measured: ``benchmarks/notebook/kernels.md``.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

WIDE_STRIDED, WIDE, SMALL = 64, 256, 4
"""Input channels from which k×k kernels are faster as products, with a stride and without; and the
size of map up to which those without a stride are not."""

BLOCK = 32
"""Input channels of one product. It covers as many groups as fit; most of the result is unused."""

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
    """Replace ``lax.conv_general_dilated`` in ``nnx.Conv``.

    Values and first-order gradients are the same up to rounding. There are no others.
    """
    stride, border = strides[0], padding[0][0]
    square = tuple(strides) == (stride, stride) and {*padding[0], *padding[1]} == {border}
    square = square and set(rhs_dilation) == {1}
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
    """Return whether a map is smaller than the kernel."""
    return min(pixels) < size


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
    """Return ``x`` with zeros around, and between, its pixels, laid out in memory."""
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
    """Return the pixels under each position of a kernel, [n, *shape, channels]."""
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
    """Return how many groups of ``c_in`` channels one product covers, a divisor of ``groups``."""
    most = min(max(BLOCK // c_in, 1), groups)
    return next(m for m in range(most, 0, -1) if groups % m == 0)


def _product(pixels: Array, dy: Array, groups: int, together: int) -> Array:
    """Return the gradient of one position of the kernel, [in of a group, out]."""
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
