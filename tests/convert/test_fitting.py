"""Other numbers of classes and input channels: a choice, and what it gives."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from backends.networks import images, random_weights
from resnets import convert
from resnets.convert.fitting import draw_head, reset_head, with_channels
from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.folder import save, save_weights
from resnets.networks.initialization import initial_weights
from resnets.networks.naming import naming_scheme
from resnets.networks.network import Network, Preprocessing, check_weights
from resnets.networks.reference import forward
from resnets.networks.spec import Stage, Stem
from resnets.networks.tracing import tensors
from strategies import SMALL_ARCHITECTURES, architectures


def network(a: Architecture) -> Network:
    mean = tuple(0.1 * (i + 1) for i in range(a.channels))
    std = tuple(0.2 * (i + 1) for i in range(a.channels))
    preprocessing = Preprocessing(size=16, mean=mean, std=std)
    return Network(a, random_weights(a), preprocessing, tuple(map(str, range(a.classes))))


def plain(channels: int = 3) -> Architecture:
    stem = Stem(width=4, kernel=3, stride=1, pool=False)
    return Architecture(
        name="plain", channels=channels, classes=4, stem=stem, stages=(Stage(depth=1, width=4),)
    )


@settings(max_examples=25, deadline=None)
@given(architectures())
def test_the_new_layer_is_what_initial_weights_would_be(a: Architecture) -> None:
    drawn = initial_weights(a, seed=5)
    for name, array in draw_head(a, seed=5).items():
        np.testing.assert_array_equal(array, drawn[name])


@pytest.mark.parametrize("a", SMALL_ARCHITECTURES, ids=lambda a: a.name)
def test_a_new_layer_leaves_the_rest(a: Architecture) -> None:
    before = network(a)
    after = reset_head(before, 9, seed=1, class_names=tuple("abcdefghi"))
    assert after.architecture == replace(a, classes=9)
    assert after.class_names == tuple("abcdefghi")
    check_weights(after.architecture, after.weights)
    dense = naming_scheme(a).dense
    for tensor in tensors(a):
        if not tensor.name.startswith(f"{dense}."):
            assert after.weights[tensor.name] is before.weights[tensor.name]
    assert reset_head(before, 3).class_names == ("0", "1", "2")


@pytest.mark.parametrize("a", SMALL_ARCHITECTURES, ids=lambda a: a.name)
def test_a_summed_kernel_gives_for_grey_what_the_same_grey_in_all_channels_gave(
    a: Architecture,
) -> None:
    before = network(a)
    after = with_channels(before, 1, how="sum")
    grey = images(replace(a, channels=1), 12, 11).astype(np.float64)
    expected = forward(a, before.weights, np.repeat(grey, a.channels, axis=1)).logits
    found = forward(after.architecture, after.weights, grey).logits
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    p = before.preprocessing
    assert after.preprocessing.mean == pytest.approx((sum(p.mean) / a.channels,))
    assert after.preprocessing.std == pytest.approx((sum(p.std) / a.channels,))


def test_a_kernel_repeated_keeps_the_size_of_what_it_gives() -> None:
    """For 3 to 6 channels, an image that stands there twice gives exactly what it gave."""
    before = network(plain())
    after = with_channels(before, 6, how="repeat")
    x = images(before.architecture, 9, 9).astype(np.float64)
    expected = forward(before.architecture, before.weights, x).logits
    found = forward(after.architecture, after.weights, np.concatenate([x, x], axis=1)).logits
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(3, 1), (3, 2), (3, 4), (3, 7), (1, 3), (1, 2)])
def test_a_kernel_repeated_as_timm_does(old: int, new: int) -> None:
    before = network(plain(old))
    after = with_channels(before, new, how="repeat")
    kernel = before.weights["conv1.weight"]
    expected = np.concatenate([kernel] * new, axis=1)[:, :new] * np.float32(old / new)
    found = after.weights["conv1.weight"]
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    check_weights(after.architecture, after.weights)
    assert after.preprocessing.mean == (before.preprocessing.mean * new)[:new]
    assert after.preprocessing.std == (before.preprocessing.std * new)[:new]


def test_the_same_channels_are_the_same_network() -> None:
    before = network(plain())
    assert with_channels(before, 3, how="repeat") is before


def test_a_sum_to_several_channels_is_none() -> None:
    with pytest.raises(WeightsError, match="--input sum gives 1 channel, not 2"):
        with_channels(network(plain()), 2, how="sum")


@pytest.fixture
def saved(tmp_path):
    save(network(plain()), tmp_path / "net")
    return tmp_path / "net"


def test_nothing_is_fitted_silently(saved) -> None:
    with pytest.raises(WeightsError, match=r"4 classes, not 7; --reset-head"):
        convert.receive(saved, classes=7)
    with pytest.raises(WeightsError, match=r"3 channels, not 1.*--input sum.*--input repeat"):
        convert.receive(saved, channels=1)
    assert convert.receive(saved, classes=4, channels=3).notes == ()


def test_what_is_asked_for_is_fitted_and_said(saved) -> None:
    received = convert.receive(saved, classes=7, new_head=True, channels=1, adapt="sum", seed=3)
    a = received.network.architecture
    assert (a.channels, a.classes, len(received.network.class_names)) == (1, 7, 7)
    check_weights(a, received.network.weights)
    drawn = initial_weights(a, seed=3)
    np.testing.assert_array_equal(received.network.weights["fc.weight"], drawn["fc.weight"])
    assert any("not trained" in note for note in received.notes)
    assert any("fitted to 1 channel" in note for note in received.notes)


def test_another_number_of_classes_in_the_weights_than_in_their_description(saved) -> None:
    other = random_weights(replace(plain(), classes=6))
    save_weights(other, saved / "model.safetensors")
    with pytest.raises(WeightsError, match=r"fc\.weight: shape \(6, 4\).*\(4, 4\)") as refusal:
        convert.read(saved)
    assert "--reset-head" in str(refusal.value)
    assert convert.receive(saved, new_head=True).network.architecture.classes == 4
    del other["layer1.0.bn1.weight"]
    save_weights(other, saved / "model.safetensors")
    with pytest.raises(WeightsError, match=r"layer1\.0\.bn1\.weight: missing") as refusal:
        convert.read(saved)
    assert "--reset-head" not in str(refusal.value)
