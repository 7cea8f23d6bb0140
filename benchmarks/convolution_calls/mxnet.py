"""MXNet's convolutions, each pass called alone."""

from collections.abc import Callable
from typing import Any

import numpy as np

from convolutions import Convolution
from resnets.backends.mxnet.devices import find_device
from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.transfer import to_device


class Calls:
    """The passes of a convolution as functions of no arguments, on one device."""

    def __init__(self, device: str) -> None:
        self.device = find_device(device)
        self._arrays: dict[Any, Any] = {}

    def wait(self, result: Any) -> None:
        """Wait for the device."""
        result.wait_to_read()

    def passes(
        self, c: Convolution, batch: int, precision: str
    ) -> dict[str, list[Callable[[], Any]]]:
        """The product, and the gradients of one that is recorded once."""
        del precision
        x = self._array((batch, c.channels, c.height, c.width))
        w = self._array((c.filters, c.channels // c.groups, c.kernel, c.kernel))

        def forward(x: Any = x, w: Any = w) -> Any:
            return mx.nd.Convolution(
                x,
                w,
                no_bias=True,
                num_filter=c.filters,
                num_group=c.groups,
                kernel=(c.kernel,) * 2,
                stride=(c.stride,) * 2,
                pad=(c.padding,) * 2,
                dilate=(c.dilation,) * 2,
            )

        def gradient(of: Any, product: Callable[[Any], Any]) -> Callable[[], Any]:
            leaf = of.copy()  # an array belongs to one record alone
            leaf.attach_grad()
            with mx.autograd.record():
                y = product(leaf)
            dy = mx.nd.ones_like(y)

            def call() -> Any:
                y.backward(dy, retain_graph=True)
                return leaf.grad

            return call

        return {
            "forward": [forward],
            "input": [gradient(x, lambda leaf: forward(leaf, w))],
            "kernel": [gradient(w, lambda leaf: forward(x, leaf))],
        }

    def _array(self, shape: tuple[int, ...]) -> Any:
        if shape not in self._arrays:
            drawn = np.random.default_rng(0).standard_normal(shape, np.float32)
            self._arrays[shape] = to_device(drawn, self.device, "float32")
        return self._arrays[shape]
