"""Convolutions of maps of a few pixels as matrix products.

Much of a kernel falls on the border of zeros there: of the nine taps of a 3×3 kernel a map of one
pixel meets one, a map of 2×2 pixels four. Libraries multiply most of the others as well. Here
only taps that meet the map are multiplied. Timings are in ``benchmarks/notebook/kernels.md``.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from resnets.backends.taps import find_overlap

DENSE = 2
"""Height and width of the map up to which every output sees every pixel."""


def dense(x: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return x [n, in, h, w] convolved with [out, in, 3, 3] of the same type, padding 1.

    The autograd function returns no view, because a block may add its shortcut in place.
    """
    rows, columns = output_size((x.shape[2], x.shape[3]), stride)
    y = DenseConvolution.apply(x, weight, stride)
    return y.view(len(x), rows, columns, -1).permute(0, 3, 1, 2)


class DenseConvolution(torch.autograd.Function):
    """A 3×3 convolution, padding 1, of maps up to 2×2: a dense layer that shares its weights."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int]) -> Tensor:
        """Return the outputs as [n, rows × columns × out]."""
        n, c_in, height, width = x.shape
        rows, columns = output_size((height, width), stride)
        seen = _pixels_last(x).reshape(n, -1)
        matrix = _matrix(_pixels_last(weight), (height, width), stride)
        ctx.save_for_backward(seen, matrix)
        ctx.sizes = (height, width, c_in), (rows, columns, len(weight)), stride
        return linear(seen, matrix)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (dy,) = grads
        seen, matrix = ctx.saved_tensors
        (height, width, c_in), (rows, columns, out), stride = ctx.sizes
        dx = None
        if ctx.needs_input_grad[0]:
            dx = (dy @ matrix).view(-1, height, width, c_in).permute(0, 3, 1, 2)
        of_matrix = (dy.t() @ seen).view(rows, columns, out, height, width, c_in)
        # In fp32: up to four of these are added up for a tap.
        of_kernel = of_matrix.new_zeros((out, 3, 3, c_in), dtype=_at_least_fp32(of_matrix))
        for row, column, taps in _iter_placements((height, width), stride):
            of_kernel[:, *taps] += of_matrix[row, column]
        return dx, of_kernel.to(dy.dtype).permute(0, 3, 1, 2), None


def by_taps(dy: Tensor, x: Tensor, stride: tuple[int, int]) -> Tensor:
    """Return the gradient [out, in, 3, 3] of a kernel, padding 1: one product per tap.

    Args:
        dy: the gradient of the output, [n, out, h', w'].
        x: the input, [n, in, h, w], of the same type.
        stride: of rows, of columns.
    """
    height, width = x.shape[2:]
    dy, x = _pixels_last(dy), _pixels_last(x)
    out, c_in = dy.shape[-1], x.shape[-1]
    result = dy.new_zeros(out, 3, 3, c_in)
    for down in range(3):
        for right in range(3):
            rows, read_rows = find_overlap(height, stride[0], down)
            columns, read_columns = find_overlap(width, stride[1], right)
            seen = x[:, read_rows, read_columns].reshape(-1, c_in)
            if len(seen):
                result[:, down, right] = dy[:, rows, columns].reshape(-1, out).t() @ seen
    return result.permute(0, 3, 1, 2)


def output_size(size: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of the output of a 3×3 kernel with padding 1."""
    return (size[0] - 1) // stride[0] + 1, (size[1] - 1) // stride[1] + 1


def _pixels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _at_least_fp32(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _matrix(kernel: Tensor, size: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """Return a kernel [out, 3, 3, in] laid out as [outputs × out, pixels × in]."""
    out, _, _, c_in = kernel.shape
    rows, columns = output_size(size, stride)
    matrix = kernel.new_empty(rows, columns, out, *size, c_in)
    for row, column, taps in _iter_placements(size, stride):
        matrix[row, column] = kernel[:, *taps]
    return matrix.view(rows * columns * out, -1)


def _iter_placements(
    size: tuple[int, int], stride: tuple[int, int]
) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
    """Yield each output's row and column, and the taps that lie on the whole map there."""
    rows, columns = output_size(size, stride)
    for row in range(rows):
        for column in range(columns):
            above, left = 1 - row * stride[0], 1 - column * stride[1]
            yield row, column, (slice(above, above + size[0]), slice(left, left + size[1]))
