"""The peers' networks are the network: what is compared does the same work."""

import importlib
from typing import Any

import numpy as np
import pytest

from resnets import backends
from resnets.bench.convolutions import Convolution
from resnets.bench.worker import Absent
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
            return made.network(steps, None)
        case "tensorflow":
            return made.network(steps, "float32")
        case _:
            return made.network(steps)


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
        with pytest.raises(Absent, match="|".join(missing)):
            plain("mxnet", steps)
    else:
        plain("mxnet", steps)


@pytest.mark.parametrize("framework", ["jax", "tensorflow"])
@pytest.mark.parametrize("name", ["shift", "highway"])
def test_what_no_framework_has_is_said(framework: str, name: str) -> None:
    backends.load(framework)
    architecture = next(a for a in SMALL_ARCHITECTURES if a.name == name)
    with pytest.raises(Absent, match=r"for the operation (shift|gated_add)"):
        plain(framework, trace(architecture, SIZE))


CONVOLUTION = Convolution(
    channels=8, filters=16, height=9, width=7, kernel=3, stride=2, padding=1, groups=2,
    dilation=1, first=False,
)  # fmt: skip


@pytest.mark.parametrize("framework", backends.NAMES)
def test_the_limits_passes_are_those_of_the_convolution(framework: str) -> None:
    """Each gives an array of the size of what it is the gradient of, in every way there is."""
    backends.load(framework)
    made = importlib.import_module(f"resnets.bench.workers.{framework}")
    kernels = made.Kernels("cpu")
    found = kernels.convolution(CONVOLUTION, 3, "fp32")
    sizes = {"forward": 3 * 16 * 5 * 4, "input": 3 * 8 * 9 * 7, "kernel": 16 * 4 * 9}
    if framework == "tensorflow":  # its input has the border in memory
        sizes["input"] = 3 * 8 * 11 * 9
    for name, size in sizes.items():
        for call in found[name]:
            result = call()
            kernels.wait(result)
            arrays = result if isinstance(result, (tuple, list)) else [result]
            found_sizes = [int(np.prod(array.shape)) for array in arrays if array is not None]
            if len(found_sizes) == CONVOLUTION.groups:  # one by one
                assert sum(found_sizes) == size, name
            else:
                assert found_sizes == [size], name
    product = kernels.matrix(4, "fp32")()
    kernels.wait(product)
    assert tuple(product.shape) == (4, 4)


def test_timm_is_found_by_our_names() -> None:
    from resnets.bench.work import Work
    from resnets.bench.workers import torch as rows

    a = catalog.get("cifar_resnet20")
    with pytest.raises(Absent, match="timm has no network of that name"):
        rows.timm_module(Work(architecture=a, size=8, batch=1, purpose="inference"))


def test_kinds_of_operators() -> None:
    from resnets.bench.workers.torch_profile import kind_of

    cases = {
        ("aten::mkldnn_convolution", "aten::conv2d"): "convolutions",
        ("aten::copy_", "autograd::engine::evaluate_function: _ConvolutionBackward"): (
            "convolutions"
        ),
        ("aten::native_batch_norm",): "norms, activations",
        ("aten::threshold_backward",): "norms, activations",
        ("aten::addmm", "aten::linear"): "other",
        ("aten::add_",): "norms, activations",
        ("aten::_fused_sgd_", "Optimizer.step#SGD.step"): "optimiser",
        ("aten::sub", "resnets: data"): "data",
        ("aten::to",): "other",
    }
    assert {names: kind_of(names) for names in cases} == cases
