"""TensorFlow's rows: a functional Keras model of Keras's own layers, ``fit`` and ``predict``."""

import importlib.metadata
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from resnets.backends import tensorflow as backend
from resnets.backends.tensorflow.augmentation import tensors_of
from resnets.backends.tensorflow.devices import describe_device, find_device
from resnets.bench.convolutions import Convolution
from resnets.bench.work import Work
from resnets.bench.worker import Absent, Prepared, Task
from resnets.bench.workers import tensorflow_profile
from resnets.bench.workers.ours import NOT_TAKEN_APART, RATE, data_share, parted
from resnets.bench.workers.places import Where
from resnets.networks.layers import Layer, Trace
from resnets.recipes.recipe import Recipe

import keras  # isort: skip  # after the backend, which keeps TensorFlow quiet
import tensorflow as tf  # isort: skip

POLICIES = {"fp32": "float32", "bf16": "mixed_bfloat16"}


def where(device: str) -> Where:
    """Describe the device called ``device``."""
    found = find_device(device)
    versions = {"tensorflow": tf.__version__, "keras": importlib.metadata.version("keras")}
    on_processor = found.startswith("CPU")
    memory = None if on_processor else lambda: tf.config.experimental.get_memory_info(found)["peak"]
    return Where(describe_device(found), on_processor, versions, memory)


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
    _require(precision, work.device)
    pixels, labels = work.images()
    clock = _Clock()
    with tf.device(find_device(work.device)):
        model = network(work.trace(), POLICIES[precision])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(RATE), loss)
    data = tf.data.Dataset.from_tensor_slices((pixels.astype(np.float32) / 255, labels))
    data = data.batch(work.batch, drop_remainder=True).repeat().prefetch(tf.data.AUTOTUNE)

    def take(steps: int) -> Mapping[str, float]:
        with tf.device(find_device(work.device)):
            model.fit(data, steps_per_epoch=steps, epochs=1, verbose=0, callbacks=[clock])
        return {"seconds": clock.seconds}

    return _prepared(work, {f"batch {work.batch}": Task(take, work.batch)}, precision)


def predict(work: Work) -> Prepared:
    """A functional model of Keras's own layers, ``predict_on_batch``, float32."""
    with tf.device(find_device(work.device)):
        return _predicted(network(work.trace(), "float32"), work)


def our_predict(work: Work) -> Prepared:
    """Our ``keras.Model``, ``predict_on_batch``, float32."""
    with tf.device(find_device(work.device)):
        return _predicted(backend.build(work.architecture), work)


def training_shares(take: Callable[[int], Any], session: Any) -> dict[str, float]:
    """Say where a step goes, by TensorFlow's profile; on other devices time the data alone."""
    if session.where.startswith("CPU"):
        return parted(tensorflow_profile.spent(take), take, session)

    def prepare(pixels: Any, draws: Any) -> Any:
        return session.prepare(tf.constant(pixels), tensors_of(draws)).numpy()

    return data_share(take, session, prepare)


def _predicted(model: keras.Model, work: Work) -> Prepared:
    pixels, _ = work.images()
    images = pixels.astype(np.float32) / 255
    taken = 0

    def of(batch: int) -> Callable[[int], None]:
        def take(steps: int) -> None:
            nonlocal taken
            with tf.device(find_device(work.device)):
                for _ in range(steps):
                    first = taken % (len(images) // batch) * batch
                    taken += 1
                    model.predict_on_batch(images[first : first + batch])

        return take

    tasks = {f"batch {n}": Task(of(n), n) for n in work.batches()}
    return _prepared(work, tasks, "fp32")


def _prepared(work: Work, tasks: dict[str, Task], precision: str) -> Prepared:
    here = where(work.device)
    return Prepared(
        tasks=tasks,
        device=here.words,
        precision=precision,
        on_processor=here.on_processor,
        versions=here.versions,
        unknown_shares=NOT_TAKEN_APART,
        device_memory=here.memory,
    )


def _require(precision: str, device: str) -> None:
    if precision == "bf16" and backend.precision(Recipe(precision="auto"), device) != "bf16":
        raise Absent("the device only emulates bf16")


def network(steps: Trace, policy: str) -> keras.Model:
    """Wire Keras's own layers as the trace says; the logits are float32.

    Raises:
        Absent: for operations that Keras has no layer for.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        channels, height, width = steps.layers[0].shape
        found = {steps.layers[0].name: keras.Input((height, width, channels))}
        for layer in steps.layers[1:]:
            inputs = [found[name] for name in layer.inputs]
            found[layer.name] = _applied(layer, inputs, steps)
        first, last = found[steps.layers[0].name], found[steps.layers[-1].name]
        return keras.Model(first, last)
    finally:
        keras.config.set_dtype_policy(before)


def _applied(layer: Layer, inputs: list[Any], steps: Trace) -> Any:
    layers, norm, x = keras.layers, steps.architecture.norm, inputs[0]
    match layer.operation:
        case "convolution":
            return _convolution(layer, x)
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
            raise Absent(f"no plain Keras for the operation {name}")


def _convolution(layer: Layer, x: Any) -> Any:
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


def _repeated(call: Callable[[], Any], times: int) -> Callable[[], Any]:
    """Give what calls ``call`` again and again, and gives all that it gave."""
    return lambda: [call() for _ in range(times)]


class Kernels:
    """TensorFlow's matrix products and convolutions, for the limit."""

    def __init__(self, device: str) -> None:
        self.device = find_device(device)
        self._arrays: dict[Any, Any] = {}

    def precisions(self, device: str) -> tuple[str, ...]:
        """The precisions the device computes in."""
        fast = backend.precision(Recipe(precision="auto"), device)
        return ("fp32", "bf16") if fast == "bf16" else ("fp32",)

    def wait(self, result: Any) -> None:
        """Wait for the device."""
        if not self.device.startswith("CPU"):
            tf.test.experimental.sync_devices()
        del result

    def matrix(self, size: int, precision: str) -> Callable[[], Any]:
        """A product of two matrices [size, size]."""
        a = self._array((size, size), precision)
        return lambda: tf.linalg.matmul(a, a)

    def convolution(
        self, c: Convolution, batch: int, precision: str
    ) -> dict[str, list[Callable[[], Any]]]:
        """Each pass as TensorFlow's own operator; on processors groups one by one, as it must."""
        if c.groups > 1 and self.device.startswith("CPU"):
            one = replace(
                c, channels=c.channels // c.groups, filters=c.filters // c.groups, groups=1
            )
            alone = self.convolution(one, batch, precision)
            return {name: [_repeated(call, c.groups)] for name, (call,) in alone.items()}
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
