"""The peers' networks are the network: what is compared does the same work."""

import importlib
from typing import Any

import numpy as np
import pytest

from resnets import backends
from resnets.bench.worker import Unavailable, time_call
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.tracing import trace
from strategies import SMALL_ARCHITECTURES

SIZE = 17
MISSING = {"shift", "gated_add"}
"""Operations that no framework has a layer for."""

SHOWN = ("basic_option_a", "average_projection", "excited_resnext", "chapter")


def plain(framework: str, steps: Any) -> Any:
    made = importlib.import_module(f"resnets.bench.workers.{framework}")
    match framework:
        case "jax":
            return made.build_network(steps, None)
        case "tensorflow":
            return made.build_network(steps, "float32")
        case _:
            return made.build_network(steps)


def logits(framework: str, model: Any, x: Any) -> tuple[Any, int]:
    """Logits of images [n, height, width, channels], and how many values are learned."""
    match framework:
        case "jax":
            from flax import nnx

            model.eval()
            learned = nnx.to_flat_state(nnx.state(model, nnx.Param))
            return model(x), sum(value[...].size for _, value in learned)
        case "tensorflow":
            learned = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
            return model(x, training=False).numpy(), learned
        case _:
            from resnets.backends.mxnet.importing import mx
            from resnets.backends.mxnet.transfer import to_device

            model.initialize()
            model.hybridize()
            y = model(to_device(x.transpose(0, 3, 1, 2), mx.cpu(), "float32")).asnumpy()
            found = model.collect_params().values()
            return y, sum(p.data().size for p in found if p.grad_req != "null")


@pytest.mark.parametrize("framework", ["jax", "tensorflow", "mxnet"])
@pytest.mark.parametrize("name", SHOWN)
def test_a_peer_is_the_same_network(framework: str, name: str) -> None:
    backends.load(framework)
    architecture = next(a for a in SMALL_ARCHITECTURES if a.name == name)
    steps = trace(architecture, SIZE)
    shape = (2, SIZE, SIZE, architecture.channels)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    found, learned = logits(framework, plain(framework, steps), x)
    assert found.shape == (2, architecture.classes)
    assert np.isfinite(found).all() and learned == steps.parameters


def test_gluon_has_all_but_what_nobody_has(small: Architecture) -> None:
    backends.load("mxnet")
    steps = trace(small, SIZE)
    missing = MISSING & {layer.operation for layer in steps.layers}
    if missing:
        with pytest.raises(Unavailable, match="|".join(missing)):
            plain("mxnet", steps)
    else:
        plain("mxnet", steps)


@pytest.mark.parametrize("framework", ["jax", "tensorflow"])
@pytest.mark.parametrize("name", ["shift", "highway"])
def test_what_no_framework_has_is_said(framework: str, name: str) -> None:
    backends.load(framework)
    architecture = next(a for a in SMALL_ARCHITECTURES if a.name == name)
    with pytest.raises(Unavailable, match=r"for the operation (shift|gated_add)"):
        plain(framework, trace(architecture, SIZE))


@pytest.mark.parametrize("framework", backends.NAMES)
def test_a_product_is_repeated(framework: str) -> None:
    backends.load(framework)
    module = importlib.import_module(f"resnets.bench.workers.{framework}")
    repeat = module.repeat_product(512, "fp32", device="cpu")
    assert time_call(lambda: repeat(40)) > time_call(lambda: repeat(1))
    assert module.find_device("cpu").is_cpu


def test_timm_is_found_by_our_names() -> None:
    from resnets.bench.work import Work
    from resnets.bench.workers import torch as rows

    a = catalog.get("cifar_resnet20")
    with pytest.raises(Unavailable, match="timm has no network of that name"):
        rows.timm_module(Work(architecture=a, size=8, batch=1, purpose="inference"))
