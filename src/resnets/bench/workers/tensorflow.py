"""TensorFlow's contenders: a Keras model of Keras's own layers, ``fit`` and ``predict``."""

import importlib.metadata
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from resnets.backends.tensorflow import devices
from resnets.bench.work import Work
from resnets.bench.worker import Device, Prepared, Task, Unavailable
from resnets.bench.workers.tasks import RATE, inference_tasks, require_precision
from resnets.networks.layers import Layer, Trace

import keras  # isort: skip  # after the backend, which keeps TensorFlow quiet
import tensorflow as tf  # isort: skip

POLICIES = {"fp32": "float32", "bf16": "mixed_bfloat16"}


def find_device(name: str) -> Device:
    """Return the device called ``name``."""
    found = devices.find_device(name)
    versions = {"tensorflow": tf.__version__, "keras": importlib.metadata.version("keras")}
    is_cpu = found.startswith("CPU")
    peak = None if is_cpu else lambda: tf.config.experimental.get_memory_info(found)["peak"]
    return Device(devices.describe_device(found), is_cpu, versions, peak)


class _Clock(keras.callbacks.Callback):
    """Times a ``fit`` from its first batch to its last: what comes around them is once an epoch."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch == 0:
            self.began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        float(next(iter((logs or {"loss": 0.0}).values())))  # waits for the device
        self.seconds = time.perf_counter() - self.began


def fit(work: Work, *, precision: str = "fp32") -> Prepared:
    """A functional model of Keras's own layers, ``compile`` and ``fit`` with Keras's SGD."""
    require_precision("tensorflow", precision, work.device)
    pixels, labels = work.draw_images()
    clock = _Clock()
    with tf.device(devices.find_device(work.device)):
        model = build_network(work.trace(), POLICIES[precision])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(RATE), loss)
    data = tf.data.Dataset.from_tensor_slices((pixels.astype(np.float32) / 255, labels))
    data = data.batch(work.batch, drop_remainder=True).repeat().prefetch(tf.data.AUTOTUNE)

    def take(steps: int) -> Mapping[str, float]:
        with tf.device(devices.find_device(work.device)):
            model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0, callbacks=[clock])
        return {"seconds": clock.seconds}

    tasks = {f"batch {work.batch}": Task(take, work.batch)}
    return Prepared(tasks, find_device(work.device), precision)


def predict(work: Work) -> Prepared:
    """A functional model of Keras's own layers, ``predict_on_batch``, fp32."""
    with tf.device(devices.find_device(work.device)):
        model = build_network(work.trace(), "float32")
    pixels, _ = work.draw_images()

    def call(x: Any) -> None:
        with tf.device(devices.find_device(work.device)):
            model.predict_on_batch(x)

    tasks = inference_tasks(call, pixels.astype(np.float32) / 255, work)
    return Prepared(tasks, find_device(work.device), "fp32")


def build_network(steps: Trace, policy: str) -> keras.Model:
    """Wire Keras's own layers as the trace says; the logits are float32.

    Raises:
        Unavailable: for operations that Keras has no layer for.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        channels, height, width = steps.layers[0].shape
        found = {steps.layers[0].name: keras.Input((height, width, channels))}
        for layer in steps.layers[1:]:
            inputs = [found[name] for name in layer.inputs]
            found[layer.name] = _apply_layer(layer, inputs, steps)
        first, last = found[steps.layers[0].name], found[steps.layers[-1].name]
        return keras.Model(first, last)
    finally:
        keras.config.set_dtype_policy(before)


def _apply_layer(layer: Layer, inputs: list[Any], steps: Trace) -> Any:
    layers, norm, x = keras.layers, steps.architecture.norm, inputs[0]
    match layer.operation:
        case "convolution":
            return _apply_convolution(layer, x)
        case "norm":
            return layers.BatchNormalization(momentum=norm.decay, epsilon=norm.epsilon)(x)
        case "group_norm":
            return layers.GroupNormalization(layer.groups, epsilon=norm.epsilon)(x)
        case "leaky_relu":
            return layers.LeakyReLU(negative_slope=0.01)(x)
        case "relu" | "elu" | "silu" | "gelu" | "sigmoid":
            return layers.Activation(layer.operation)(x)
        case "max_pool":
            return layers.MaxPooling2D(layer.kernel, layer.stride, padding="same")(x)
        case "average_pool":
            return layers.AveragePooling2D(layer.kernel, layer.stride, padding="same")(x)
        case "mean_pool":
            return layers.GlobalAveragePooling2D()(x)
        case "add":
            return layers.Add()(inputs)
        case "scale":
            return layers.Multiply()([x, layers.Reshape((1, 1, layer.shape[0]))(inputs[1])])
        case "pad_shortcut":
            more = layer.shape[0] - x.shape[-1]
            border = ((0, 0), (0, 0), (0, 0), (0, more))
            return keras.ops.pad(x[:, :: layer.stride, :: layer.stride], border)
        case "dense":
            last = layer.name == steps.layers[-1].name
            return layers.Dense(layer.shape[0], dtype="float32" if last else None)(x)
        case name:
            raise Unavailable(f"no plain Keras for the operation {name}")


def _apply_convolution(layer: Layer, x: Any) -> Any:
    padded = layer.padding and layer.stride > 1
    if padded:
        x = keras.layers.ZeroPadding2D(layer.padding)(x)
    return keras.layers.Conv2D(
        layer.shape[0],
        layer.kernel,
        layer.stride,
        padding="valid" if padded else "same",
        dilation_rate=layer.dilation,
        groups=layer.groups,
        use_bias=len(layer.tensors) > 1,
    )(x)


def repeat_product(size: int, precision: str, *, device: str) -> Callable[[int], None]:
    """Return what multiplies two matrices [size, size] so many times, and waits."""
    place = devices.find_device(device)
    drawn = np.random.default_rng(0).standard_normal((size, size), np.float32)
    with tf.device(place):
        a = tf.cast(tf.constant(drawn), tf.bfloat16 if precision == "bf16" else tf.float32)

    def repeat(times: int) -> None:
        for _ in range(times):
            tf.linalg.matmul(a, a)
        if not place.startswith("CPU"):
            tf.test.experimental.sync_devices()

    return repeat
