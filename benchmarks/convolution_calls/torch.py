"""PyTorch's convolutions, each pass called alone."""

from collections.abc import Callable
from typing import Any

import torch

from convolutions import Convolution
from resnets.backends.torch.devices import find_device


class Calls:
    """The passes of a convolution as functions of no arguments, on one device."""

    def __init__(self, device: str) -> None:
        self.device = find_device(device)
        self._arrays: dict[Any, torch.Tensor] = {}

    def wait(self, _result: Any) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def passes(
        self, c: Convolution, batch: int, precision: str
    ) -> dict[str, list[Callable[[], Any]]]:
        """Each pass in the layouts that torch has: channels first and last."""
        first, last = (
            self._in_layout(c, batch, precision, form)
            for form in (torch.contiguous_format, torch.channels_last)
        )
        return {name: [first[name], last[name]] for name in first}

    def _in_layout(self, c: Convolution, batch: int, precision: str, form: Any) -> dict[str, Any]:
        shape = (batch, c.channels, c.height, c.width)
        x = self._array(shape, precision, form)
        dy = self._array((batch, *c.output), precision, form)
        w = self._array((c.filters, c.channels // c.groups, c.kernel, c.kernel), precision, form)
        p, d, s = (c.padding,) * 2, (c.dilation,) * 2, (c.stride,) * 2
        backward = torch.ops.aten.convolution_backward

        def gradient(*wanted: bool) -> Callable[[], Any]:
            return lambda: backward(
                dy, x, w, None, s, p, d, False, (0, 0), c.groups, (*wanted, False)
            )

        def forward() -> Any:
            with torch.inference_mode():
                return torch.conv2d(x, w, None, s, p, d, c.groups)

        return {
            "forward": forward,
            "input": gradient(True, False),
            "kernel": gradient(False, True),
        }

    def _array(self, shape: tuple[int, ...], precision: str, form: Any) -> torch.Tensor:
        """Random values; arrays of one shape are one, so that memory suffices."""
        key = (shape, precision, form)
        if key not in self._arrays:
            kind = torch.bfloat16 if precision == "bf16" else torch.float32
            made = torch.randn(shape, device=self.device).to(kind)
            layout = form if isinstance(form, torch.memory_format) else torch.contiguous_format
            self._arrays[key] = made.contiguous(memory_format=layout)
        return self._arrays[key]
