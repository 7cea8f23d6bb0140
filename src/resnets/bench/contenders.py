"""The contenders, as data: a new way to do the work is an entry here.

The first contender of a framework and purpose is the peer: the ratios of the others are to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from resnets.bench.work import Purpose

_WORKERS = "resnets.bench.workers"
LIMIT = "limit"


@dataclass(frozen=True)
class Contender:
    """One way to do the work.

    Attributes:
        name: what the table calls it.
        framework: the framework it computes with.
        purpose: training or inference.
        maker: ``module:function``, called in a process of its own with the work and ``options``;
            it returns a ``worker.Prepared``.
        options: keyword arguments of the maker.
        ours: whether it is this project's own way; ``Work.precision`` applies to these only.
    """

    name: str
    framework: str
    purpose: Purpose
    maker: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ours: bool = False


def _trains(framework: str, name: str, function: str, **options: Any) -> Contender:
    return Contender(name, framework, "training", f"{_WORKERS}.{framework}:{function}", options)


def _infers(framework: str, name: str, function: str) -> Contender:
    return Contender(name, framework, "inference", f"{_WORKERS}.{framework}:{function}")


def _ours(framework: str) -> tuple[Contender, ...]:
    options = {"framework": framework}
    trains, infers = f"{_WORKERS}.ours:train", f"{_WORKERS}.ours:predict"
    return (
        Contender("resnets train", framework, "training", trains, options, ours=True),
        Contender("resnets predict", framework, "inference", infers, options, ours=True),
    )


def _engine(name: str) -> Contender:
    maker = f"{_WORKERS}.engines:open_network"
    return Contender(f"export, {name}", "torch", "inference", maker, {"name": name}, ours=True)


CONTENDERS: tuple[Contender, ...] = (
    # Training: each framework's plain loop first, as its users write it, in fp32.
    _trains("torch", "plain loop", "plain_loop"),
    _trains("torch", "plain loop, autocast", "plain_loop", precision="bf16"),
    _trains("torch", "timm, plain loop", "timm_loop"),
    _trains("jax", "nnx and optax", "plain_step"),
    _trains("jax", "nnx and optax, bf16", "plain_step", precision="bf16"),
    _trains("tensorflow", "Keras fit", "fit"),
    _trains("tensorflow", "Keras fit, mixed", "fit", precision="bf16"),
    _trains("mxnet", "Gluon Trainer", "trainer"),
    # Inference: the framework's plain call first.
    _infers("torch", "module, eval", "module"),
    _infers("torch", "timm, eval", "timm_module"),
    _infers("jax", "nnx.jit", "plain_call"),
    _infers("tensorflow", "Keras predict", "predict"),
    _infers("mxnet", "Gluon, hybridized", "hybridized"),
    # The engines of resnets export. int8 is left out: it is calibrated on images, not on noise.
    *(_engine(name) for name in ("torch-bf16", "onnxruntime", "openvino", "openvino-bf16")),
    *(contender for name in ("torch", "jax", "tensorflow", "mxnet") for contender in _ours(name)),
)


def find_contenders(framework: str, purpose: Purpose) -> list[Contender]:
    """Return a framework's contenders, and what measures the machine's limit in it."""
    options = {"framework": framework}
    limit = Contender(LIMIT, framework, purpose, f"{_WORKERS}.limit:multiply_matrices", options)
    own = [one for one in CONTENDERS if (one.framework, one.purpose) == (framework, purpose)]
    return [*own, limit]
