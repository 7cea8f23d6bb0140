"""JAX's rows: a network of Flax's own layers, in a plain nnx step with optax."""

import importlib.metadata
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from resnets.backends import jax as backend
from resnets.backends.jax.devices import describe_device, find_device
from resnets.bench.convolutions import Convolution
from resnets.bench.work import Work
from resnets.bench.worker import Absent, Prepared, Task
from resnets.bench.workers import jax_profile
from resnets.bench.workers.ours import NOT_TAKEN_APART, RATE, data_share, over_batches, parted
from resnets.bench.workers.places import Where
from resnets.networks.layers import Layer, Trace
from resnets.recipes.recipe import Recipe

KINDS = {"fp32": jnp.float32, "bf16": jnp.bfloat16}


def where(device: str) -> Where:
    """Describe the device called ``device``."""
    found = find_device(device)
    versions = {name: importlib.metadata.version(name) for name in ("jax", "flax", "optax")}
    on_processor = found.platform == "cpu"
    memory = None if on_processor else lambda: (found.memory_stats() or {})["peak_bytes_in_use"]
    return Where(describe_device(found), on_processor, versions, memory)


def plain_step(work: Work, *, precision: str = "fp32") -> Prepared:
    """Flax's own layers, ``nnx.jit`` around gradient and ``nnx.Optimizer``, as Flax's guide."""
    _require(precision, work.device)
    device = find_device(work.device)
    with jax.default_device(device):
        model = network(work.trace(), KINDS[precision])
        optimiser = nnx.Optimizer(model, optax.sgd(RATE), wrt=nnx.Param)

    @nnx.jit
    def train(model: Any, optimiser: Any, x: Any, y: Any) -> Any:
        def loss_of(model: Any) -> Any:
            logits = model(x).astype(jnp.float32)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        loss, gradients = nnx.value_and_grad(loss_of)(model)
        optimiser.update(model, gradients)
        return loss

    images, targets = _images(work)
    taken, batches = 0, len(images) // work.batch

    def take(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            first = taken % batches * work.batch
            taken += 1
            own = slice(first, first + work.batch)
            x, y = jax.device_put((images[own], targets[own]), device)
            loss = train(model, optimiser, x, y)
        float(loss)

    tasks = {f"batch {work.batch}": Task(take, work.batch)}
    return _prepared(work, tasks, precision)


def plain_call(work: Work) -> Prepared:
    """A network of Flax's own layers in eval mode, ``nnx.jit``, float32."""
    return _called(network(work.trace(), jnp.float32), work)


def our_call(work: Work) -> Prepared:
    """Our module in eval mode, ``nnx.jit``, float32."""
    return _called(backend.build(work.architecture), work)


def training_shares(take: Callable[[int], Any], session: Any) -> dict[str, float]:
    """Say where a step goes, by XLA's profile; on other devices time the data alone."""
    if jax.devices()[0].platform == "cpu":
        return parted(jax_profile.spent(take), take, session)
    return data_share(
        take, session, lambda pixels, draws: jax.block_until_ready(session.prepare(pixels, draws))
    )


def _called(model: nnx.Module, work: Work) -> Prepared:
    device = find_device(work.device)
    graph, state = nnx.split(model)
    model = nnx.merge(graph, jax.device_put(state, device))
    model.eval()
    infer = nnx.jit(lambda model, x: model(x))
    images, _ = _images(work)

    def call(x: Any) -> None:
        np.asarray(infer(model, jax.device_put(x, device)))

    tasks = {f"batch {n}": Task(over_batches(call, images, n), n) for n in work.batches()}
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


def _images(work: Work) -> tuple[Any, Any]:
    pixels, labels = work.images()
    return pixels.astype(np.float32) / 255, labels.astype(np.int32)


def _require(precision: str, device: str) -> None:
    if precision == "bf16" and backend.precision(Recipe(precision="auto"), device) != "bf16":
        raise Absent("the device only emulates bf16")


def network(steps: Trace, kind: Any) -> nnx.Module:
    """Wire Flax's own layers as the trace says; what has no layer is a function.

    Raises:
        Absent: for operations that Flax has nothing for.
    """
    rngs = nnx.Rngs(0)
    calls = {layer.name: _operation(layer, steps) for layer in steps.layers[1:]}

    class Network(nnx.Module):
        def __init__(self) -> None:
            made = [_layer(layer, steps, kind, rngs) for layer in steps.layers]
            self.layers = nnx.List([one for one in made if one is not None])
            self.kept = tuple(i for i, one in enumerate(made) if one is not None)

        def __call__(self, x: Any) -> Any:
            own = dict(zip(self.kept, self.layers, strict=True))
            found = {steps.layers[0].name: x}
            for i, layer in enumerate(steps.layers[1:], 1):
                inputs = [found[name] for name in layer.inputs]
                found[layer.name] = own[i](*inputs) if i in own else calls[layer.name](*inputs)
            return found[steps.layers[-1].name]

    return Network()


def _layer(layer: Layer, steps: Trace, kind: Any, rngs: nnx.Rngs) -> nnx.Module | None:
    norm = steps.architecture.norm
    c_in = steps.named[layer.inputs[0]].shape[0] if layer.inputs else 0
    match layer.operation:
        case "convolution":
            return nnx.Conv(
                c_in,
                layer.shape[0],
                (layer.kernel, layer.kernel),
                layer.stride,
                padding=layer.padding,
                kernel_dilation=layer.dilation,
                feature_group_count=layer.groups,
                use_bias=len(layer.tensors) > 1,
                dtype=kind,
                rngs=rngs,
            )
        case "norm":
            decay = norm.decay
            return nnx.BatchNorm(c_in, momentum=decay, epsilon=norm.epsilon, dtype=kind, rngs=rngs)
        case "group_norm":
            return nnx.GroupNorm(c_in, layer.groups, epsilon=norm.epsilon, dtype=kind, rngs=rngs)
        case "dense":
            return nnx.Linear(c_in, layer.shape[0], dtype=kind, rngs=rngs)
        case _:
            return None


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "relu": nnx.relu,
    "leaky_relu": nnx.leaky_relu,
    "elu": nnx.elu,
    "silu": nnx.silu,
    "gelu": partial(nnx.gelu, approximate=False),
    "sigmoid": nnx.sigmoid,
    "add": jnp.add,
    "mean_pool": lambda x: x.mean((1, 2)),
    "scale": lambda x, s: x * s[:, None, None, :],
    **dict.fromkeys(("convolution", "norm", "group_norm", "dense"), jnp.asarray),
}


def _operation(layer: Layer, steps: Trace) -> Callable[..., Any]:
    window, strides = (layer.kernel,) * 2, (layer.stride,) * 2
    match layer.operation:
        case "max_pool":
            border = ((layer.padding,) * 2,) * 2
            return lambda x: nnx.max_pool(x, window, strides, border)
        case "average_pool":
            return lambda x: nnx.avg_pool(x, window, strides, "SAME", count_include_pad=False)
        case "pad_shortcut":
            more = layer.shape[0] - steps.named[layer.inputs[0]].shape[0]
            border = ((0, 0), (0, 0), (0, 0), (0, more))
            return lambda x: jnp.pad(x[:, :: layer.stride, :: layer.stride], border)
        case name if name in FUNCTIONS:
            return FUNCTIONS[name]
        case name:
            raise Absent(f"no plain Flax for the operation {name}")


class Kernels:
    """JAX's matrix products and convolutions, for the limit."""

    def __init__(self, device: str) -> None:
        self.device = find_device(device)
        self._arrays: dict[Any, Any] = {}

    def precisions(self, device: str) -> tuple[str, ...]:
        """The precisions the device computes in."""
        fast = backend.precision(Recipe(precision="auto"), device)
        return ("fp32", "bf16") if fast == "bf16" else ("fp32",)

    def wait(self, result: Any) -> None:
        """Wait for the device."""
        jax.block_until_ready(result)

    def matrix(self, size: int, precision: str) -> Callable[[], Any]:
        """A product of two matrices [size, size]."""
        a = self._array((size, size), precision)
        product = jax.jit(jnp.matmul)
        return lambda: product(a, a)

    def convolution(
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
