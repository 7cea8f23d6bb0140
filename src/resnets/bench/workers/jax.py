"""JAX's contenders: a network of Flax's own layers, in a plain nnx step with optax."""

import importlib.metadata
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from resnets.backends.jax import devices
from resnets.bench.work import Work
from resnets.bench.worker import Device, Prepared, Task, Unavailable
from resnets.bench.workers.tasks import RATE, inference_tasks, require_precision, take_batches
from resnets.networks.layers import Layer, Trace

KINDS = {"fp32": jnp.float32, "bf16": jnp.bfloat16}


def find_device(name: str) -> Device:
    """Return the device called ``name``."""
    found = devices.find_device(name)
    versions = {name: importlib.metadata.version(name) for name in ("jax", "flax", "optax")}
    is_cpu = found.platform == "cpu"
    peak = None if is_cpu else lambda: (found.memory_stats() or {})["peak_bytes_in_use"]
    return Device(devices.describe_device(found), is_cpu, versions, peak)


def plain_step(work: Work, *, precision: str = "fp32") -> Prepared:
    """Flax's own layers, ``nnx.jit`` around gradient and ``nnx.Optimizer``, as in Flax's guide."""
    require_precision("jax", precision, work.device)
    device = devices.find_device(work.device)
    with jax.default_device(device):
        model = build_network(work.trace(), KINDS[precision])
        optimiser = nnx.Optimizer(model, optax.sgd(RATE), wrt=nnx.Param)

    @nnx.jit
    def train(model: Any, optimiser: Any, x: Any, y: Any) -> Any:
        def compute_loss(model: Any) -> Any:
            logits = model(x).astype(jnp.float32)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        loss, gradients = nnx.value_and_grad(compute_loss)(model)
        optimiser.update(model, gradients)
        return loss

    def step(x: Any, y: Any) -> Any:
        return train(model, optimiser, *jax.device_put((x, y), device))

    take = take_batches(step, _images(work), work.batch, finish=float)
    tasks = {f"batch {work.batch}": Task(take, work.batch)}
    return Prepared(tasks, find_device(work.device), precision)


def plain_call(work: Work) -> Prepared:
    """A network of Flax's own layers in eval mode, ``nnx.jit``, fp32."""
    device = devices.find_device(work.device)
    graph, state = nnx.split(build_network(work.trace(), jnp.float32))
    model = nnx.merge(graph, jax.device_put(state, device))
    model.eval()
    infer = nnx.jit(lambda model, x: model(x))
    images, _ = _images(work)

    def call(x: Any) -> None:
        np.asarray(infer(model, jax.device_put(x, device)))

    return Prepared(inference_tasks(call, images, work), find_device(work.device), "fp32")


def _images(work: Work) -> tuple[Any, Any]:
    pixels, labels = work.draw_images()
    return pixels.astype(np.float32) / 255, labels.astype(np.int32)


def build_network(steps: Trace, kind: Any) -> nnx.Module:
    """Wire Flax's own layers as the trace says; what has no layer is a function.

    Raises:
        Unavailable: for operations that Flax has nothing for.
    """
    rngs = nnx.Rngs(0)
    calls = {layer.name: _make_operation(layer, steps) for layer in steps.layers[1:]}

    class Network(nnx.Module):
        def __init__(self) -> None:
            made = [_make_layer(layer, steps, kind, rngs) for layer in steps.layers]
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


def _make_layer(layer: Layer, steps: Trace, kind: Any, rngs: nnx.Rngs) -> nnx.Module | None:
    norm = steps.architecture.norm
    c_in = steps.by_name[layer.inputs[0]].shape[0] if layer.inputs else 0
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


def _make_operation(layer: Layer, steps: Trace) -> Callable[..., Any]:
    window, strides = (layer.kernel,) * 2, (layer.stride,) * 2
    match layer.operation:
        case "max_pool":
            border = ((layer.padding,) * 2,) * 2
            return lambda x: nnx.max_pool(x, window, strides, border)
        case "average_pool":
            return lambda x: nnx.avg_pool(x, window, strides, "SAME", count_include_pad=False)
        case "pad_shortcut":
            more = layer.shape[0] - steps.by_name[layer.inputs[0]].shape[0]
            border = ((0, 0), (0, 0), (0, 0), (0, more))
            return lambda x: jnp.pad(x[:, :: layer.stride, :: layer.stride], border)
        case name if name in FUNCTIONS:
            return FUNCTIONS[name]
        case name:
            raise Unavailable(f"no plain Flax for the operation {name}")


def repeat_product(size: int, precision: str, *, device: str) -> Callable[[int], None]:
    """Return what multiplies two matrices [size, size] so many times, and waits."""
    drawn = np.random.default_rng(0).standard_normal((size, size), np.float32)
    a = jax.device_put(drawn.astype(KINDS[precision]), devices.find_device(device))
    multiply = jax.jit(jnp.matmul)

    def repeat(times: int) -> None:
        for _ in range(times - 1):
            multiply(a, a)
        jax.block_until_ready(multiply(a, a))

    return repeat
