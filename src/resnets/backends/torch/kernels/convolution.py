"""Convolutions in training on a CPU, where oneDNN's own way is slow.

- Gradients of large kernels on narrow maps: one product per tap of the kernel, and only where the
  tap meets the map. Of the 81 pairs of a tap and an output of a 3×3 map, 49 do.
- In bf16, other kernel gradients on narrow maps, and on wider maps with a stride: one product of
  the output's gradient with the input's patches, laid out in memory (Chellapilla et al. 2006).

The thresholds are measured (``benchmarks/notebook/kernels.md``). oneDNN does the rest.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from resnets.backends.taps import find_overlap

NARROW, NARROW_FP32 = 4, 3
"""Widths of the output up to which a map counts as narrow, in bf16 and in fp32."""
STRIDED = 12
"""Width of the output up to which strided gradients are computed by patches, in bf16."""
LARGE = 2**16
"""Input times output channels from which nine products are faster than one."""

KernelGradient = Callable[[Tensor, Tensor, tuple[int, int]], Tensor]
"""From the output's gradient, the input and the stride, of a 3×3 kernel with padding 1."""


class FastConvolutions(TorchFunctionMode):
    """A context in which ``torch.conv2d`` takes the fastest known way on a CPU."""

    def __init__(self, dtype: torch.dtype) -> None:
        """Compute in ``dtype``, which is ``torch.bfloat16`` or ``torch.float32``."""
        super().__init__()
        self.dtype = dtype

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.conv2d and not kwargs and len(args) == 7:
            y = self._convolution(*args)
            if y is not None:
                return y
        return func(*args, **(kwargs or {}))

    def _convolution(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: Any,
        dilation: tuple[int, int],
        groups: int,
    ) -> Tensor | None:
        """Return the convolution, or None where oneDNN is faster."""
        if weight.shape[2:] != (3, 3) or padding != (1, 1) or dilation != (1, 1) or groups != 1:
            return None
        gradient = self._kernel_gradient(x, weight, stride)
        if gradient is None:
            return None
        y = _Convolution.apply(x.to(self.dtype), weight.to(self.dtype), stride, gradient)
        return y if bias is None else y + bias.to(self.dtype)[:, None, None]

    def _kernel_gradient(
        self, x: Tensor, weight: Tensor, stride: tuple[int, int]
    ) -> KernelGradient | None:
        """Return how to compute the kernel's gradient, or None where oneDNN is faster."""
        out, c_in = weight.shape[:2]
        width = (x.shape[3] - 1) // stride[1] + 1  # of the output
        large, strided = out * c_in >= LARGE, stride[1] > 1
        if self.dtype == torch.float32:
            return by_taps if large and width <= NARROW_FP32 else None
        if not strided and width <= NARROW:
            return by_taps if large else by_patches
        return by_patches if strided and width <= STRIDED else None


class _Convolution(torch.autograd.Function):
    """A 3×3 convolution, padding 1, no bias, with a kernel gradient of our own."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], gradient: KernelGradient
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.gradient = stride, gradient
        return torch.conv2d(x, weight, None, stride, (1, 1))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (dy,) = grads
        x, weight = ctx.saved_tensors
        dx = None
        if ctx.needs_input_grad[0]:
            dx = torch.ops.aten.convolution_backward(
                dy, x, weight, None, ctx.stride, (1, 1), (1, 1), False, (0, 0), 1,
                (True, False, False),
            )[0]  # fmt: skip
        return dx, ctx.gradient(dy, x, ctx.stride), None, None


def by_patches(dy: Tensor, x: Tensor, stride: tuple[int, int]) -> Tensor:
    """Multiply [out, pixels of all images] by [pixels of all images, 3 × 3 × in]."""
    out, c_in = dy.shape[1], x.shape[1]
    n, _, height, width = dy.shape
    bordered = torch.nn.functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    image, row, column, _ = bordered.stride()
    patches = bordered.as_strided(
        (n, height, width, 3, 3, c_in), (image, row * stride[0], column * stride[1], row, column, 1)
    ).reshape(-1, 9 * c_in)
    rows = dy.permute(0, 2, 3, 1).reshape(-1, out)
    return (rows.t() @ patches).view(out, 3, 3, c_in).permute(0, 3, 1, 2)


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


def _pixels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)
