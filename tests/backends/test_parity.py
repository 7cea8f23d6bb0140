"""Every framework's network is the same function: NumPy's, in float64, to 1e-5 in float32."""

import numpy as np
import pytest

from backends.networks import (
    images,
    modes,
    random_weights,
    relative_difference,
    set_mode,
    to_float64,
)
from resnets.backends import Backend
from resnets.errors import WeightsError
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.tracing import trace


def test_logits_and_features(
    backend: Backend, small: Architecture, sizes: list[tuple[int, int]]
) -> None:
    weights = random_weights(small)
    model = backend.build(small, weights=weights)
    for size in sizes:
        x = images(small, *size)
        expected = reference.forward(small, to_float64(weights), x.astype(np.float64))
        wanted = trace(small, size).features
        found = backend.features(model, x, wanted=list(wanted))
        for feature, layer in wanted.items():
            assert found[feature].dtype == np.float32
            assert relative_difference(found[feature], expected.outputs[layer]) < 1e-5, (
                feature,
                size,
            )


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_channels(backend: Backend, channels: int) -> None:
    a = catalog.get("resnet8_slim", channels=channels, classes=3)
    weights, x = random_weights(a), images(a, 13, 12)
    expected = reference.forward(a, to_float64(weights), x.astype(np.float64)).logits
    model = backend.build(a, weights=weights)
    assert relative_difference(backend.features(model, x)["logits"], expected) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("resnet18", "resnet50", "resnet50_v1", "resnext50_32x4d", "chapter_resnet18"),
        *("resnetv2_50", "seresnet50", "regnet_y_400mf"),
    ],
)
def test_full_size_networks(backend: Backend, name: str) -> None:
    a = catalog.get(name)
    weights, x = random_weights(a), images(a, 65, 64, n=1)
    expected = reference.forward(a, to_float64(weights), x.astype(np.float64)).logits
    model = backend.build(a, weights=weights)
    assert relative_difference(backend.features(model, x)["logits"], expected) < 1e-5


@pytest.mark.parametrize("mode", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_features_choose_the_statistics_and_leave_the_model_alone(
    backend: Backend, training: bool, mode: bool
) -> None:
    a = catalog.get("resnet8_slim")
    weights, x = random_weights(a), images(a, 13, 12, n=3)
    expected = reference.forward(a, to_float64(weights), x.astype(np.float64), training=training)
    model = backend.build(a, weights=weights)
    set_mode(model, training=mode)
    before = modes(model)
    wanted = trace(a, (13, 12)).features
    found = backend.features(model, x, wanted=list(wanted), training=training)
    for feature, layer in wanted.items():
        assert relative_difference(found[feature], expected.outputs[layer]) < 1e-5, feature
    assert modes(model) == before
    for name, array in backend.dump(model).items():
        np.testing.assert_array_equal(array, weights[name])


def test_an_unknown_feature_is_named(backend: Backend) -> None:
    a = catalog.get("resnet8_slim")
    with pytest.raises(KeyError, match="stage9"):
        backend.features(backend.build(a), images(a, 9, 9), wanted=["stage1", "stage9"])


def test_weights_come_out_as_they_went_in(backend: Backend, small: Architecture) -> None:
    weights = random_weights(small)
    found = backend.dump(backend.build(small, weights=weights))
    assert list(found) == [t.name for layer in trace(small, 32).layers for t in layer.tensors]
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in catalog.names() if n.endswith("18") or "50" in n])
def test_every_catalog_tensor_is_the_modules(backend: Backend, name: str) -> None:
    a = catalog.get(name)
    found = {n: array.shape for n, array in backend.dump(backend.build(a)).items()}
    assert found == {t.name: t.shape for layer in trace(a, 32).layers for t in layer.tensors}


def test_weights_that_do_not_fit_are_refused_by_name_and_shape(backend: Backend) -> None:
    a = catalog.get("resnet8_slim")
    weights = random_weights(a)
    weights["fc.weight"] = weights["fc.weight"][:7]
    weights["extra.weight"] = weights.pop("layer1.0.bn1.bias")
    with pytest.raises(WeightsError) as caught:
        backend.build(a, weights=weights)
    message = str(caught.value)
    assert "fc.weight: shape (7, 128), this network has (10, 128)" in message
    assert "layer1.0.bn1.bias: missing" in message
    assert "extra.weight: unknown" in message


def test_the_seed_decides_the_weights(backend: Backend) -> None:
    a = catalog.get("resnet8_slim")
    one, same, other = (backend.dump(backend.build(a, seed=s)) for s in (1, 1, 2))
    assert all((one[name] == same[name]).all() for name in one)
    assert (one["conv1.weight"] != other["conv1.weight"]).any()
