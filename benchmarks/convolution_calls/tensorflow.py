"""TensorFlow's convolutions, each pass called alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from convolutions import Convolution
from resnets.backends.tensorflow.devices import find_device

import tensorflow as tf  # isort: skip  # after the backend, which keeps TensorFlow quiet


def _repeat(call: Callable[[], Any], times: int) -> Callable[[], Any]:
    """Return what calls ``call`` several times and returns all results."""
    return lambda: [call() for _ in range(times)]


class Calls:
    """The passes of a convolution as functions of no arguments, on one device."""

    def __init__(self, device: str) -> None:
        self.device = find_device(device)
        self._arrays: dict[Any, Any] = {}

    def wait(self, result: Any) -> None:
        """Wait for the device."""
        if not self.device.startswith("CPU"):
            tf.test.experimental.sync_devices()
        del result

    def passes(
        self, c: Convolution, batch: int, precision: str
    ) -> dict[str, list[Callable[[], Any]]]:
        """Each pass as TensorFlow's own operator; on processors groups one by one, as it must."""
        if c.groups > 1 and self.device.startswith("CPU"):
            one = replace(
                c, channels=c.channels // c.groups, filters=c.filters // c.groups, groups=1
            )
            alone = self.passes(one, batch, precision)
            return {name: [_repeat(call, c.groups)] for name, (call,) in alone.items()}
        # With its border in memory: oneDNN leaves explicit padding to slower code.
        shape = (batch, c.height + 2 * c.padding, c.width + 2 * c.padding, c.channels)
        kernel = (c.kernel, c.kernel, c.channels // c.groups, c.filters)
        x, w = self._array(shape, precision), self._array(kernel, precision)
        filters, rows, columns = c.output
        dy = self._array((batch, rows, columns, filters), precision)
        options: dict[str, Any] = {
            "strides": [1, c.stride, c.stride, 1],
            "padding": "VALID",
            "dilations": [1, c.dilation, c.dilation, 1],
        }
        raw = tf.raw_ops
        calls: dict[str, Callable[[], Any]] = {
            "forward": lambda: raw.Conv2D(input=x, filter=w, **options),
            "input": lambda: raw.Conv2DBackpropInput(
                input_sizes=shape, filter=w, out_backprop=dy, **options
            ),
            "kernel": lambda: raw.Conv2DBackpropFilter(
                input=x, filter_sizes=kernel, out_backprop=dy, **options
            ),
        }
        return {name: [call] for name, call in calls.items()}

    def _array(self, shape: tuple[int, ...], precision: str) -> Any:
        key = (shape, precision)
        if key not in self._arrays:
            drawn = np.random.default_rng(0).standard_normal(shape, np.float32)
            kind = tf.bfloat16 if precision == "bf16" else tf.float32
            with tf.device(self.device):
                self._arrays[key] = tf.cast(tf.constant(drawn), kind)
        return self._arrays[key]
