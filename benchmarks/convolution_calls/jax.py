"""JAX's convolutions, each pass compiled and called alone."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from convolutions import Convolution
from resnets.backends.jax.devices import find_device

KINDS = {"fp32": jnp.float32, "bf16": jnp.bfloat16}


class Calls:
    """The passes of a convolution as functions of no arguments, on one device."""

    def __init__(self, device: str) -> None:
        self.device = find_device(device)
        self._arrays: dict[Any, Any] = {}

    def wait(self, result: Any) -> None:
        """Wait for the device."""
        jax.block_until_ready(result)

    def passes(
        self, c: Convolution, batch: int, precision: str
    ) -> dict[str, list[Callable[[], Any]]]:
        """Each pass, compiled alone."""
        x = self._array((batch, c.height, c.width, c.channels), precision)
        w = self._array((c.kernel, c.kernel, c.channels // c.groups, c.filters), precision)
        filters, rows, columns = c.output
        dy = self._array((batch, rows, columns, filters), precision)
        border = ((c.padding,) * 2,) * 2

        def product(x: Any, w: Any) -> Any:
            return jax.lax.conv_general_dilated(
                x,
                w,
                (c.stride,) * 2,
                border,
                rhs_dilation=(c.dilation,) * 2,
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=c.groups,
            )

        forward = jax.jit(product)
        inputs = jax.jit(lambda x, w, dy: jax.vjp(lambda x: product(x, w), x)[1](dy))
        kernels = jax.jit(lambda x, w, dy: jax.vjp(lambda w: product(x, w), w)[1](dy))
        return {
            "forward": [lambda: forward(x, w)],
            "input": [lambda: inputs(x, w, dy)],
            "kernel": [lambda: kernels(x, w, dy)],
        }

    def _array(self, shape: tuple[int, ...], precision: str) -> Any:
        key = (shape, precision)
        if key not in self._arrays:
            drawn = np.random.default_rng(0).standard_normal(shape, np.float32)
            self._arrays[key] = jax.device_put(drawn.astype(KINDS[precision]), self.device)
        return self._arrays[key]
