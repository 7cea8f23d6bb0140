"""Gradients of kernels as one matrix product, where oneDNN's own way is slow.

In bf16 on a CPU, oneDNN computes a kernel's gradient at half its usual rate where the feature map
is a few pixels wide or the stride is two. There the same sum is a matrix product of the output's
gradient with the input's patches, laid out in memory (Chellapilla et al. 2006), and the product
runs at full rate: 7% of a step of ResNet-18 at 96 pixels (benchmarks/README.md).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

NARROW, NARROW_STRIDED = 4, 12
"""Widths of the output up to which the product is faster, at stride 1 and above; measured."""


class PatchGradients(TorchFunctionMode):
    """While it is entered, convolutions in bf16 on the CPU take their gradients so.

    The modules that call them stay as they are, and so does the function that they compute.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.conv2d and not kwargs and len(args) == 7:
            x, weight, bias, stride, padding, dilation, groups = args
            if dilation == (1, 1) and groups == 1 and _is_faster(x, weight, stride, padding):
                weight = weight.to(torch.bfloat16)
                y = _Convolution.apply(x.to(torch.bfloat16), weight, stride, padding)
                return y if bias is None else y + bias.to(torch.bfloat16)[:, None, None]
        return func(*args, **(kwargs or {}))


def _is_faster(x: Tensor, weight: Tensor, stride: tuple[int, int], padding: Any) -> bool:
    kernel = weight.shape[2]
    if kernel != 3 or padding != (1, 1):
        return False
    width = (x.shape[3] - 1) // stride[1] + 1
    return width <= (NARROW if stride[1] == 1 else NARROW_STRIDED)


class _Convolution(torch.autograd.Function):
    """A convolution of bf16 tensors, zero padding, no bias."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return torch.conv2d(x, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (dy,) = grads
        x, weight = ctx.saved_tensors
        dx = None
        if ctx.needs_input_grad[0]:
            dx = torch.ops.aten.convolution_backward(
                dy, x, weight, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1,
                (True, False, False),
            )[0]  # fmt: skip
        return dx, _kernel_gradient(dy, x, weight, ctx.stride, ctx.padding), None, None


def _kernel_gradient(
    dy: Tensor, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Multiply [out, pixels of all images] by [pixels of all images, k × k × in]."""
    out, c_in, k, _ = weight.shape
    n, _, height, width = dy.shape
    p, q = padding
    bordered = torch.nn.functional.pad(x.permute(0, 2, 3, 1), (0, 0, q, q, p, p))
    image, row, column, _ = bordered.stride()
    patches = bordered.as_strided(
        (n, height, width, k, k, c_in), (image, row * stride[0], column * stride[1], row, column, 1)
    ).reshape(-1, k * k * c_in)
    rows = dy.permute(0, 2, 3, 1).reshape(-1, out)
    return (rows.t() @ patches).view(out, k, k, c_in).permute(0, 3, 1, 2)
