"""MXNet's contenders: a hybridized block of Gluon's own layers and ``gluon.Trainer``."""

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np

from resnets.backends.mxnet import devices
from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.parts import concatenate
from resnets.backends.mxnet.transfer import to_device
from resnets.bench.work import Work
from resnets.bench.worker import Device, Prepared, Task, Unavailable
from resnets.bench.workers.tasks import RATE, inference_tasks, take_batches
from resnets.networks.layers import Layer, Trace

nn = mx.gluon.nn


def find_device(name: str) -> Device:
    """Return the device called ``name``."""
    found = devices.find_device(name)
    versions = {"mxnet": importlib.metadata.version("mxnet")}
    # The loss is there before the gradients are: only this waits for the whole step.
    return Device(
        devices.describe_device(found), found.device_type == "cpu", versions, wait=mx.nd.waitall
    )


def trainer(work: Work) -> Prepared:
    """Gluon's own layers hybridized, ``autograd.record`` and ``gluon.Trainer``."""
    device = devices.find_device(work.device)
    net = _initialise(build_network(work.trace()), device)
    updates = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": RATE})
    compute_loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()

    def step(images: Any, labels: Any) -> None:
        x, y = (mx.nd.array(value, ctx=device) for value in (images, labels))
        with mx.autograd.record():
            loss = compute_loss(net(x), y)
        loss.backward()
        updates.step(work.batch)
        loss.mean().asscalar()

    take = take_batches(step, _images(work), work.batch, finish=lambda _: mx.nd.waitall())
    tasks = {f"batch {work.batch}": Task(take, work.batch)}
    return Prepared(tasks, find_device(work.device), "fp32")


def _initialise(net: Any, device: Any) -> Any:
    net.initialize(mx.init.Xavier(), ctx=device)
    net.hybridize(static_alloc=True, static_shape=True)
    return net


def hybridized(work: Work) -> Prepared:
    """A block of Gluon's own layers, hybridized, fp32."""
    device = devices.find_device(work.device)
    net = _initialise(build_network(work.trace()), device)
    images, _ = _images(work)

    def call(x: Any) -> None:
        with mx.autograd.pause(train_mode=False):
            net(mx.nd.array(x, ctx=device)).asnumpy()

    return Prepared(inference_tasks(call, images, work), find_device(work.device), "fp32")


def _images(work: Work) -> tuple[Any, Any]:
    pixels, labels = work.draw_images()
    return pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255, labels


def build_network(steps: Trace) -> Any:
    """Wire Gluon's own layers as the trace says.

    Raises:
        Unavailable: for operations that Gluon has no layer for.
    """

    class Network(mx.gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            self.own: dict[str, Any] = {}
            for layer in steps.layers[1:]:
                made = _make_layer(layer, steps)
                if made is not None:
                    self.own[layer.name] = made
                    self.register_child(made)

        def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
            found = {steps.layers[0].name: x}
            for layer in steps.layers[1:]:
                inputs = [found[name] for name in layer.inputs]
                if layer.name in self.own:
                    found[layer.name] = self.own[layer.name](*inputs)
                else:
                    found[layer.name] = _apply_operation(F, layer, steps, inputs)
            return found[steps.layers[-1].name]

    return Network()


ACTIVATIONS: dict[str, Callable[[], Any]] = {
    "relu": lambda: nn.Activation("relu"),
    "sigmoid": lambda: nn.Activation("sigmoid"),
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "elu": nn.ELU,
    "silu": nn.Swish,
    "gelu": nn.GELU,
}
FUNCTIONS = ("add", "scale", "pad_shortcut")


def _make_layer(layer: Layer, steps: Trace) -> Any:
    norm = steps.architecture.norm
    c_in = steps.by_name[layer.inputs[0]].shape[0]
    match layer.operation:
        case "convolution":
            return nn.Conv2D(
                layer.shape[0],
                layer.kernel,
                layer.stride,
                layer.padding,
                dilation=layer.dilation,
                groups=layer.groups,
                use_bias=len(layer.tensors) > 1,
                in_channels=c_in,
            )
        case "norm":
            return nn.BatchNorm(momentum=norm.decay, epsilon=norm.epsilon, in_channels=c_in)
        case "group_norm":
            return nn.GroupNorm(layer.groups, epsilon=norm.epsilon)
        case "max_pool":
            return nn.MaxPool2D(layer.kernel, layer.stride, layer.padding)
        case "average_pool":
            return nn.AvgPool2D(layer.kernel, layer.stride, ceil_mode=True, count_include_pad=False)
        case "mean_pool":
            return nn.GlobalAvgPool2D()
        case "dense":
            return nn.Dense(layer.shape[0], in_units=c_in)
        case name if name in ACTIVATIONS:
            return ACTIVATIONS[name]()
        case name if name in FUNCTIONS:
            return None
        case name:
            raise Unavailable(f"no plain Gluon for the operation {name}")


def _apply_operation(F: Any, layer: Layer, steps: Trace, inputs: list[Any]) -> Any:  # noqa: N803
    if layer.operation == "add":
        return inputs[0] + inputs[1]
    if layer.operation == "scale":
        scales = F.reshape(inputs[1], (0, -1, 1, 1))
        return F.broadcast_mul(inputs[0], scales)
    more = layer.shape[0] - steps.by_name[layer.inputs[0]].shape[0]
    kept = F.slice(
        inputs[0], begin=(None,) * 4, end=(None,) * 4, step=(1, 1, layer.stride, layer.stride)
    )
    # F.pad borders no channels; zeros are put behind them.
    zeros = F.zeros_like(F.slice_axis(kept, axis=1, begin=0, end=1))
    return concatenate(F, [kept, F.broadcast_axis(zeros, axis=1, size=more)]) if more else kept


def repeat_product(size: int, precision: str, *, device: str) -> Callable[[int], None]:
    """Return what multiplies two matrices [size, size] in fp32 so many times, and waits."""
    del precision  # MXNet computes in fp32 alone
    drawn = np.random.default_rng(0).standard_normal((size, size), np.float32)
    a = to_device(drawn, devices.find_device(device), "float32")

    def repeat(times: int) -> None:
        for _ in range(times - 1):
            mx.nd.dot(a, a)
        mx.nd.dot(a, a).wait_to_read()

    return repeat
