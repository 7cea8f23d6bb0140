"""Gluon's files: the model zoo's networks give the same logits here, and ours open in Gluon."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from backends.networks import random_weights, relative_difference, to_float64
from resnets import backends
from resnets.backends.mxnet.importing import mx
from resnets.convert.gluon import files
from resnets.convert.gluon.params_file import read_arrays, write_arrays
from resnets.errors import WeightsError
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.network import Network, Preprocessing, check_weights
from resnets.networks.reference import forward
from resnets.networks.spec import Block, Norm, Stage, Stem

# What mxnet 1.9.1 asks of SciPy whenever it makes an array.
pytestmark = pytest.mark.filterwarnings("ignore:.*scipy.sparse.csr.*:DeprecationWarning")

zoo = mx.gluon.model_zoo.vision
IMAGES = np.random.default_rng(3).normal(size=(2, 3, 33, 33)).astype(np.float32)


def lively(net: Any) -> Any:
    """Give a net random parameters and running statistics, all different."""
    net.initialize()
    net(mx.nd.array(IMAGES))
    rng = np.random.default_rng(5)
    for name, parameter in net.collect_params().items():
        shape = parameter.shape
        if name.endswith(("gamma", "running_var")):
            values = rng.uniform(0.5, 1.5, shape)
        elif len(shape) == 1:
            values = rng.normal(0, 0.3, shape)
        else:
            scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
            values = rng.standard_normal(shape, np.float32) * scale
        parameter.set_data(mx.nd.array(values))
    return net


def basic(**others: Any) -> Any:
    return zoo.ResNetV1(zoo.BasicBlockV1, [1, 2], [8, 8, 16], classes=5, **others)


def bottleneck() -> Any:
    return zoo.ResNetV1(zoo.BottleneckV1, [2, 1], [8, 16, 32], classes=5)


def logits(architecture: Architecture, weights: Any) -> npt.NDArray[Any]:
    return forward(architecture, to_float64(weights), IMAGES.astype(np.float64)).logits


def saved(net: Any, path: Path) -> None:
    net.save_parameters(str(path))


def exported(net: Any, path: Path) -> None:
    net.hybridize()
    net(mx.nd.array(IMAGES))
    net.export(str(path.with_suffix("")))
    path.with_name(f"{path.stem}-0000.params").rename(path)


def exported_without_kinds(net: Any, path: Path) -> None:
    """As Gluon's ``save_params`` did, and with it the files of the model zoo."""
    exported(net, path)
    write_arrays({n.partition(":")[2]: a for n, a in read_arrays(path).items()}, path)


FORMS = (saved, exported, exported_without_kinds)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [basic, bottleneck])
def test_the_zoos_logits(
    tmp_path: Path, make: Callable[[], Any], form: Callable[[Any, Path], None]
) -> None:
    net, path = lively(make()), tmp_path / "net.params"
    form(net, path)
    found = files.read(path)
    assert found.architecture is not None
    check_weights(found.architecture, found.weights)
    expected = net(mx.nd.array(IMAGES)).asnumpy()
    assert relative_difference(logits(found.architecture, found.weights), expected) < 1e-5
    assert found.preprocessing is not None
    assert found.preprocessing.mean == (0.485, 0.456, 0.406)
    assert any("zeros" in note for note in found.notes) == (make is bottleneck)


def test_an_18_and_a_50_of_the_zoo_are_called_so(tmp_path: Path) -> None:
    path = tmp_path / "net.params"
    saved(lively(zoo.resnet18_v1(classes=7)), path)
    found = files.read(path)
    assert found.architecture == catalog.get("resnet18", classes=7)
    deep = lively(zoo.resnet50_v1(classes=7))
    saved(deep, path)
    found = files.read(path)
    assert found.architecture is not None
    v1 = catalog.get("resnet50_v1", classes=7)
    assert found.architecture == replace(v1, name="gluon_resnet50_v1", bias=True)
    backend = backends.load("torch")
    model = backend.build(found.architecture, weights=found.weights)
    expected = deep(mx.nd.array(IMAGES)).asnumpy()
    assert relative_difference(backend.features(model, IMAGES)["logits"], expected) < 1e-5


def network(architecture: Architecture, weights: Any = None) -> Network:
    names = tuple(f"class {k}" for k in range(architecture.classes))
    p = Preprocessing(
        size=32, mean=(0.5,) * architecture.channels, std=(1,) * architecture.channels
    )
    return Network(architecture, weights or random_weights(architecture), p, names)


@pytest.mark.parametrize("make", [basic, bottleneck])
@pytest.mark.parametrize("form", FORMS)
def test_what_the_zoo_computes_opens_in_the_zoo(
    tmp_path: Path, make: Callable[[], Any], form: Callable[[Any, Path], None]
) -> None:
    net, path, other = lively(make()), tmp_path / "net.params", tmp_path / "back.params"
    form(net, path)
    found = files.read(path)
    assert found.architecture is not None
    files.write(network(found.architecture, found.weights), other)
    again = make()
    again.load_parameters(str(other))
    np.testing.assert_array_equal(
        again(mx.nd.array(IMAGES)).asnumpy(), net(mx.nd.array(IMAGES)).asnumpy()
    )
    twice = files.read(other)
    assert twice.architecture == found.architecture
    for name, array in found.weights.items():
        np.testing.assert_array_equal(twice.weights[name], array)


def test_bottlenecks_without_biases_are_the_zoos_with_zeros(tmp_path: Path) -> None:
    a = replace(V1, bias=False)
    before = network(a)
    files.write(before, tmp_path / "net.params")
    net = bottleneck()
    net.load_parameters(str(tmp_path / "net.params"))
    expected = logits(a, before.weights)
    assert relative_difference(net(mx.nd.array(IMAGES)).asnumpy(), expected) < 1e-5


def test_biases_that_the_zoo_has_not_are_never_dropped(tmp_path: Path) -> None:
    path = tmp_path / "net.params"
    before = network(V1)
    assert before.weights["conv1.bias"].any()
    files.write(before, path)
    assert "conv1.bias" in read_arrays(path)
    found = files.read(path)
    assert found.architecture is None
    for name, array in before.weights.items():
        np.testing.assert_array_equal(found.weights[name], array)


def test_all_other_networks_open_in_the_backends_model(tmp_path: Path, small: Architecture) -> None:
    before, path = network(small), tmp_path / "net.params"
    files.write(before, path)
    found = files.read(path).weights
    assert found.keys() == before.weights.keys()
    for name, array in before.weights.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    if "conv1.weight" in read_arrays(path):
        model = backends.load("mxnet").build(small, seed=1)
        model.load_parameters(str(path))
        dumped = backends.load("mxnet").dump(model)
        for name, array in before.weights.items():
            np.testing.assert_array_equal(dumped[name], array, strict=True)


V1 = Architecture(
    classes=5,
    stem=Stem(width=8),
    stages=(
        Stage(depth=2, width=16, block=Block(kind="bottleneck", stride_in="1x1")),
        Stage(depth=1, width=32, stride=2, block=Block(kind="bottleneck", stride_in="1x1")),
    ),
    bias=True,
)


@pytest.mark.parametrize(
    ("changed", "zoos"),
    [
        ({"bias": False}, True),
        ({"norm": Norm(decay=0.5)}, True),
        ({"norm": Norm(epsilon=1.001e-5)}, False),
        ({"stem": Stem(width=8, pool=False)}, False),
        ({"stages": (V1.stages[0], replace(V1.stages[1], stride=1))}, False),
        ({"stages": (V1.stages[0], replace(V1.stages[1], block=Block(kind="bottleneck")))}, False),
        ({"stages": (Stage(depth=1, width=8), Stage(depth=1, width=9, stride=2))}, True),
        ({"stages": (V1.stages[0], Stage(depth=1, width=9, stride=2))}, False),
        ({"activation": "silu"}, False),
        ({"preactivation": True}, False),
        ({"output_stride": 4}, False),
    ],
)  # fmt: skip
def test_which_networks_the_zoo_computes(
    tmp_path: Path, changed: dict[str, Any], zoos: bool
) -> None:
    a = replace(V1, bias=False, **{k: v for k, v in changed.items() if k != "bias"})
    files.write(network(a), tmp_path / "net.params")
    assert ("features.0.weight" in read_arrays(tmp_path / "net.params")) == zoos


@pytest.mark.parametrize("form", FORMS)
def test_version_2_is_refused_and_why(tmp_path: Path, form: Callable[[Any, Path], None]) -> None:
    path = tmp_path / "v2.params"
    for block in (zoo.BasicBlockV2, zoo.BottleneckV2):
        form(lively(zoo.ResNetV2(block, [1, 1], [8, 8, 16], classes=5)), path)
        with pytest.raises(WeightsError, match=r"v2\.params: .*version 2.* a norm and ReLU"):
            files.read(path)


def test_thumbnails_are_refused_and_why(tmp_path: Path) -> None:
    path = tmp_path / "net.params"
    saved(lively(basic(thumbnail=True)), path)
    with pytest.raises(WeightsError, match="neither norm nor ReLU"):
        files.read(path)


def damaged(path: Path, **changes: Any) -> None:
    """Save a net, and put other arrays, or None for none, under some names."""
    saved(lively(bottleneck()), path)
    arrays: dict[str, Any] = {**read_arrays(path), **changes}
    write_arrays({name: array for name, array in arrays.items() if array is not None}, path)


def test_what_does_not_fit_is_named_with_both_shapes(tmp_path: Path) -> None:
    path = tmp_path / "net.params"
    damaged(
        path,
        **{
            "features.4.1.body.3.weight": np.zeros((4, 3, 3, 3), "f4"),
            "features.5.0.body.0.bias": None,
            "features.5.0.body.3.bias": np.zeros(8, "f4"),
        },
    )
    with pytest.raises(WeightsError) as caught:
        files.read(path)
    said = str(caught.value)
    assert f"{path}: not whole as a ResNet of Gluon's model zoo" in said
    assert "features.4.1.body.3.weight: shape (4, 3, 3, 3), expected (4, 4, 3, 3)" in said
    assert "features.5.0.body.0.bias: missing, shape (8,)" in said
    assert "features.5.0.body.3.bias: unknown, shape (8,)" in said


@pytest.mark.parametrize(
    "changes",
    [
        {"features.0.weight": None},
        {"features.0.weight": np.zeros(3, "f4")},
        {"output.weight": None},
        {"features.5.0.body.6.weight": None},
        {"features.99.0.body.0.weight": np.zeros((1, 1, 1, 1), "f4")},
        {"resnet0_conv0_weight": np.zeros((1, 1, 1, 1), "f4")},
        {"output.weight": np.zeros((2**25, 1), "i1")},
    ],
)
def test_whatever_is_wrong_is_a_sentence(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "net.params"
    damaged(path, **changes)
    with pytest.raises(WeightsError, match=r"net\.params"):
        files.read(path)


def test_weights_that_do_not_fit_are_not_written(tmp_path: Path) -> None:
    before = network(V1)
    del before.weights["fc.bias"]
    with pytest.raises(WeightsError, match=r"fc\.bias: missing"):
        files.write(before, tmp_path / "net.params")
    assert not list(tmp_path.iterdir())
