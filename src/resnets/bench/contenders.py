"""The rows of the table: data. A new peer, or a faster way of ours, is an entry here.

The first row of a framework and purpose is the peer that the others' ratios are to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from resnets.bench.work import Purpose

_WORKERS = "resnets.bench.workers"


@dataclass(frozen=True)
class Contender:
    """A way of doing the work.

    Attributes:
        name: what the table calls it.
        framework: that it computes with.
        purpose: what it does.
        maker: ``module:function``; called in a process of its own with the work and ``options``,
            it gives what ``worker.Prepared`` says.
        options: the maker's keywords.
        ours: whether it is this project's own way; ``precision`` of the work is for these.
    """

    name: str
    framework: str
    purpose: Purpose
    maker: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ours: bool = False


def _trains(framework: str, name: str, function: str, **options: Any) -> Contender:
    return Contender(name, framework, "training", f"{_WORKERS}.{framework}:{function}", options)


def _infers(framework: str, name: str, function: str, **options: Any) -> Contender:
    return Contender(name, framework, "inference", f"{_WORKERS}.{framework}:{function}", options)


def _ours(framework: str) -> tuple[Contender, ...]:
    options = {"framework": framework}
    trains, infers = f"{_WORKERS}.ours:training", f"{_WORKERS}.ours:evaluator"
    return (
        Contender("resnets train", framework, "training", trains, options, ours=True),
        Contender("resnets predict", framework, "inference", infers, options, ours=True),
    )


def _engine(name: str) -> Contender:
    maker = f"{_WORKERS}.engines:opened"
    return Contender(f"export, {name}", "torch", "inference", maker, {"name": name}, ours=True)


CONTENDERS: tuple[Contender, ...] = (
    # Training: each framework's plain loop first, as its users write it, in float32.
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
    _infers("jax", "our module, nnx.jit", "our_call"),
    _infers("tensorflow", "Keras predict", "predict"),
    _infers("tensorflow", "our model, predict", "our_predict"),
    _infers("mxnet", "Gluon, hybridized", "hybridized"),
    _infers("mxnet", "our block, hybridized", "our_hybridized"),
    # What resnets export chooses from, int8 apart: it is calibrated on images, not on noise.
    *(_engine(name) for name in ("torch-bf16", "onnxruntime", "openvino", "openvino-bf16")),
    *(row for name in ("torch", "jax", "tensorflow", "mxnet") for row in _ours(name)),
)


def limit(framework: str, purpose: Purpose) -> Contender:
    """Give what measures the machine's limit in a framework."""
    return Contender(
        "limit", framework, purpose, f"{_WORKERS}.limit:probes", {"framework": framework}
    )


def chosen(frameworks: tuple[str, ...], purpose: Purpose) -> list[Contender]:
    """Give the rows of these frameworks, framework by framework."""
    return [
        row
        for name in frameworks
        for row in CONTENDERS
        if row.framework == name and row.purpose == purpose
    ]
