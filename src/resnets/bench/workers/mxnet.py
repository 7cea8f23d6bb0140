"""MXNet's rows: a hybridized block of Gluon's own layers and ``gluon.Trainer``."""

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np

from resnets.backends import mxnet as backend
from resnets.backends.mxnet.devices import describe_device, find_device
from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.parts import concatenate
from resnets.backends.mxnet.transfer import to_device
from resnets.bench.convolutions import Convolution
from resnets.bench.work import Work
from resnets.bench.worker import Absent, Prepared, Task
from resnets.bench.workers import mxnet_profile
from resnets.bench.workers.ours import NOT_TAKEN_APART, RATE, data_share, over_batches
from resnets.bench.workers.places import Where
from resnets.networks.layers import Layer, Trace

nn = mx.gluon.nn


def where(device: str) -> Where:
    """Describe the device called ``device``."""
    found = find_device(device)
    versions = {"mxnet": importlib.metadata.version("mxnet")}
    # The loss is there before the gradients are: only this waits for the whole step.
    return Where(describe_device(found), found.device_type == "cpu", versions, wait=mx.nd.waitall)


def trainer(work: Work) -> Prepared:
    """Gluon's own layers hybridized, ``autograd.record`` and ``gluon.Trainer``."""
    device = find_device(work.device)
    net = _placed(network(work.trace()), device)
    updates = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": RATE})
    loss_of = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    images, labels = _images(work)
    taken, batches = 0, len(images) // work.batch

    def take(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            first = taken % batches * work.batch
            taken += 1
            own = slice(first, first + work.batch)
            x, y = (mx.nd.array(value[own], ctx=device) for value in (images, labels))
            with mx.autograd.record():
                loss = loss_of(net(x), y)
            loss.backward()
            updates.step(work.batch)
            loss.mean().asscalar()
        mx.nd.waitall()

    return _prepared(work, {f"batch {work.batch}": Task(take, work.batch)})


def hybridized(work: Work) -> Prepared:
    """A block of Gluon's own layers, hybridized, float32."""
    return _called(network(work.trace()), work)


def our_hybridized(work: Work) -> Prepared:
    """Our block, hybridized, float32."""
    return _called(backend.build(work.architecture), work, initialised=True)


def training_shares(take: Callable[[int], Any], session: Any) -> dict[str, float]:
    """Say where a step goes, by MXNet's profiler; what makes batches ready is timed."""
    data = data_share(
        take,
        session,
        lambda pixels, draws: session.prepare(pixels, draws).wait_to_read(),
        wait=mx.nd.waitall,  # a loss is there before its gradients are
    )["data"]
    spent = mxnet_profile.spent(take, session.model)
    whole = sum(spent.values())
    shares = {kind: (1 - data) * time / whole for kind, time in spent.items()}
    return {**shares, "data": data}


def _placed(net: Any, device: Any) -> Any:
    net.initialize(mx.init.Xavier(), ctx=device)
    net.hybridize(static_alloc=True, static_shape=True)
    return net


def _called(net: Any, work: Work, *, initialised: bool = False) -> Prepared:
    device = find_device(work.device)
    if initialised:
        net.collect_params().reset_ctx(device)
        net.hybridize(static_alloc=True, static_shape=True)
    else:
        net = _placed(net, device)
    images, _ = _images(work)

    def call(x: Any) -> None:
        with mx.autograd.pause(train_mode=False):
            net(mx.nd.array(x, ctx=device)).asnumpy()

    tasks = {f"batch {n}": Task(over_batches(call, images, n), n) for n in work.batches()}
    return _prepared(work, tasks)


def _prepared(work: Work, tasks: dict[str, Task]) -> Prepared:
    here = where(work.device)
    return Prepared(
        tasks=tasks,
        device=here.words,
        precision="fp32",
        on_processor=here.on_processor,
        versions=here.versions,
        unknown_shares=NOT_TAKEN_APART,
        device_memory=here.memory,
    )


def _images(work: Work) -> tuple[Any, Any]:
    pixels, labels = work.images()
    return pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255, labels


def network(steps: Trace) -> Any:
    """Wire Gluon's own layers as the trace says.

    Raises:
        Absent: for operations that Gluon has no layer for.
    """

    class Network(mx.gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            self.own: dict[str, Any] = {}
            for layer in steps.layers[1:]:
                made = _layer(layer, steps)
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
                    found[layer.name] = _operation(F, layer, steps, inputs)
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


def _layer(layer: Layer, steps: Trace) -> Any:
    norm = steps.architecture.norm
    c_in = steps.named[layer.inputs[0]].shape[0]
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
            raise Absent(f"no plain Gluon for the operation {name}")


def _operation(F: Any, layer: Layer, steps: Trace, inputs: list[Any]) -> Any:  # noqa: N803
    if layer.operation == "add":
        return inputs[0] + inputs[1]
    if layer.operation == "scale":
        scales = F.reshape(inputs[1], (0, -1, 1, 1))
        return F.broadcast_mul(inputs[0], scales)
    more = layer.shape[0] - steps.named[layer.inputs[0]].shape[0]
    kept = F.slice(
        inputs[0], begin=(None,) * 4, end=(None,) * 4, step=(1, 1, layer.stride, layer.stride)
    )
    # F.pad borders no channels; zeros are put behind them.
    zeros = F.zeros_like(F.slice_axis(kept, axis=1, begin=0, end=1))
    return concatenate(F, [kept, F.broadcast_axis(zeros, axis=1, size=more)]) if more else kept


class Kernels:
    """MXNet's matrix products and convolutions, for the limit."""

    def __init__(self, device: str) -> None:
        self.device = find_device(device)
        self._arrays: dict[Any, Any] = {}

    def precisions(self, device: str) -> tuple[str, ...]:
        """The precisions the device computes in."""
        del device
        return ("fp32",)

    def wait(self, result: Any) -> None:
        """Wait for the device."""
        result.wait_to_read()

    def matrix(self, size: int, precision: str) -> Callable[[], Any]:
        """A product of two matrices [size, size]."""
        del precision
        a = self._array((size, size))
        return lambda: mx.nd.dot(a, a)

    def convolution(
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
