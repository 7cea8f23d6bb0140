"""Deeper networks that are the same function, and what is said where they cannot be."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.networks import images, random_weights
from resnets.errors import GrowthError
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.tracing import tensors
from resnets.training.growth.deepening import Deepening, added_tensors, deepen, place_blocks
from resnets.training.growth.pruning import removable_blocks, remove_blocks
from strategies import SMALL_ARCHITECTURES


def deeper(a: Architecture, added: tuple[int, ...] = (2, 1, 2)) -> Architecture:
    stages = (
        replace(stage, depth=stage.depth + n) for stage, n in zip(a.stages, added, strict=False)
    )
    return replace(a, stages=tuple(stages))


@pytest.mark.parametrize("start", ["identity", "copy"])
@pytest.mark.parametrize("placement", ["end", "interleaved"])
def test_the_function_stays_bit_for_bit(small: Architecture, placement: str, start: str) -> None:
    weights, x = random_weights(small), images(small, 9, 8)
    growth = Deepening(small, deeper(small), placement, start, seed=3)  # type: ignore[arg-type]
    grown = growth.grow_weights(weights)
    before = reference.forward(small, weights, x).logits
    after = reference.forward(growth.target, grown, x).logits
    if growth.obstacle:
        assert not np.array_equal(before, after)
        assert growth.measure_difference(weights, 8) > 1e-6
    else:
        np.testing.assert_array_equal(before, after)
        assert growth.measure_difference(weights, 8) == 0


def test_obstacles_are_few_and_named() -> None:
    found = {a.name: Deepening(a, deeper(a)).obstacle for a in SMALL_ARCHITECTURES}
    named = {name for name, obstacle in found.items() if obstacle}
    assert named == {
        *("highway", "highway_option_a", "leaky", "elu", "silu", "gelu", "regnet_odd"),
    }
    assert "gate" in found["highway"] and "silu" in found["silu"]
    for start, words in (("random", "at random"), ("stack", "as whole copies")):
        growth = Deepening(SMALL_ARCHITECTURES[0], deeper(SMALL_ARCHITECTURES[0]), start=start)
        assert words in growth.obstacle
        assert growth.measure_difference(random_weights(growth.source), 8) > 1e-3


def test_training_mode_too(small: Architecture) -> None:
    """In training the new branches add exactly zero."""
    weights, x = random_weights(small), images(small, 9, 8)
    growth = Deepening(small, deeper(small))
    if growth.obstacle:
        return
    before = reference.forward(small, weights, x, training=True)
    after = reference.forward(growth.target, growth.grow_weights(weights), x, training=True)
    np.testing.assert_array_equal(before.logits, after.logits)


@given(old=st.integers(1, 12), added=st.integers(0, 12))
@settings(max_examples=60)
def test_placed_keeps_order_and_the_first(old: int, added: int) -> None:
    for placement in ("end", "interleaved"):
        found = place_blocks(old, old + added, placement=placement)  # type: ignore[arg-type]
        assert len(found) == old + added
        assert [n for n in found if n is not None] == list(range(old))
        assert found[0] == 0
    # Interleaved: the runs of new blocks differ by at most one.
    positions = [i for i, n in enumerate(found) if n is not None] + [old + added]
    runs = {b - a for a, b in pairwise(positions)}
    assert max(runs) - min(runs) <= 1


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("resnet18", "resnet34"),
        ("resnet50", "resnet152"),
        ("resnext50_32x4d", "resnext101_32x4d"),
        ("resnetv2_18", "resnetv2_34"),
        ("seresnet50", "seresnet101"),
        ("resnet50d", "resnet101d"),
        ("cifar_resnet20", "cifar_resnet56"),
    ],
)
def test_catalog_networks_that_contain_others(source: str, target: str) -> None:
    small, large = catalog.get(source), catalog.get(target)
    grown = Deepening(small, large)
    assert not grown.obstacle
    with pytest.raises(GrowthError, match="blocks here, only"):
        Deepening(large, small)


@pytest.mark.parametrize(
    ("target", "difference"),
    [
        ("resnet50", "stages[0].width: 64 here, 256 there"),
        ("resnet34_small", "stem.kernel: 7 here, 3 there"),
        ("resnetv2_34", "preactivation: False here, True there"),
        ("cifar_resnet20", "classes: 1000 here, 10 there"),
        ("seresnet34", "stages[0].block.squeeze: None here, 8 there"),
    ],
)
def test_a_target_that_does_not_contain_the_source(target: str, difference: str) -> None:
    with pytest.raises(GrowthError) as caught:
        Deepening(catalog.get("resnet18"), catalog.get(target))
    assert str(caught.value) == f"{target} does not contain resnet18: {difference}"


def test_a_sessions_state_grows() -> None:
    a = next(a for a in SMALL_ARCHITECTURES if a.name == "resnext")
    weights = random_weights(a)
    learned = [t.name for t in tensors(a) if t.is_parameter]
    state = {f"weights/{n}": v for n, v in weights.items()}
    state |= {f"average/{n}": v + 1 for n, v in weights.items()}
    state |= {f"mean/{n}": weights[n] * 2 for n in learned}
    state |= {f"square/{n}": weights[n] * 3 for n in learned}
    state["steps"] = np.array(7, np.int64)
    growth = Deepening(a, deeper(a, (1, 1)))
    grown = growth.grow_state(state)
    assert grown["mean/layer2.1.conv2.weight"] is state["mean/layer2.1.conv2.weight"]
    assert not grown["mean/layer2.2.conv2.weight"].any()
    assert grown["born/layer2.2.conv2.weight"] == 7
    assert "born/layer2.1.conv2.weight" not in grown
    assert "mean/layer2.2.bn1.running_mean" not in grown
    assert not grown["average/layer2.2.bn3.weight"].any()
    needed = {t.name for t in tensors(growth.target)}
    assert {n.removeprefix("average/") for n in grown if n.startswith("average/")} == needed
    again = Deepening(growth.target, deeper(growth.target, (1, 0))).grow_state(grown)
    assert again["born/layer2.2.conv2.weight"] == 7
    sgd = {k: v for k, v in state.items() if not k.startswith(("mean/", "square/"))}
    assert not any(key.startswith("born/") for key in growth.grow_state(sgd))


def test_cleared_moments_begin_again_for_all() -> None:
    a = next(a for a in SMALL_ARCHITECTURES if a.name == "basic")
    weights, learned = random_weights(a), [t.name for t in tensors(a) if t.is_parameter]
    state = {f"weights/{n}": v for n, v in weights.items()}
    state |= {f"{kind}/{n}": weights[n] * 2 for n in learned for kind in ("mean", "square")}
    state |= {"steps": np.array(7, np.int64)}
    cleared = Deepening(a, deeper(a), momentum="clear").grow_state(state)
    assert cleared.keys() >= Deepening(a, deeper(a)).grow_state(state).keys()
    for name in (t.name for t in tensors(deeper(a)) if t.is_parameter):
        assert not cleared[f"mean/{name}"].any() and not cleared[f"square/{name}"].any()
        assert cleared[f"born/{name}"] == 7
    np.testing.assert_array_equal(cleared["weights/conv1.weight"], weights["conv1.weight"])


def test_what_growths_in_a_row_add_is_named_as_the_last_network_has_it() -> None:
    a = next(a for a in SMALL_ARCHITECTURES if a.name == "basic")  # blocks 2-2
    first = Deepening(a, deeper(a, (2, 0)), "interleaved")
    second = Deepening(first.target, deeper(first.target, (4, 1)), "interleaved")
    found = added_tensors([first, second])
    blocks = {".".join(name.split(".")[:2]): i for name, (i, _) in found.items()}
    # Stage 1: old, second, new, second, old, second, new, second.
    assert blocks == {
        **{f"layer1.{j}": 1 for j in (1, 3, 5, 7)},
        **{f"layer1.{j}": 0 for j in (2, 6)},
        "layer2.1": 1,
    }
    assert "layer1.1.bn1.weight" in found and "layer1.1.bn1.running_mean" not in found
    assert found["layer1.6.bn1.weight"] == (0, "layer1.3.bn1.weight")


def test_deepen_takes_names_and_keeps_classes_and_channels() -> None:
    a = catalog.get("resnet8_slim", channels=2, classes=3)
    weights = random_weights(a)
    target, grown = deepen(a, weights, to="resnet14_slim", placement="interleaved")
    assert target == catalog.get("resnet14_slim", channels=2, classes=3)
    x = images(a, 12, 12)
    np.testing.assert_array_equal(
        reference.forward(a, weights, x).logits, reference.forward(target, grown, x).logits
    )
    with pytest.raises(GrowthError, match=r"stem\.width: 32 here, 64 there"):
        deepen(a, weights, to="resnet18")


def test_copies_are_of_the_block_before() -> None:
    a = next(a for a in SMALL_ARCHITECTURES if a.name == "basic")
    weights = random_weights(a)
    grown = Deepening(a, deeper(a, (2, 2)), "interleaved", "copy").grow_weights(weights)
    # Stage 1: old 0, new, old 1, new; block 0 of stage 2 has another shape of conv1.
    np.testing.assert_array_equal(grown["layer1.1.conv1.weight"], weights["layer1.0.conv1.weight"])
    np.testing.assert_array_equal(grown["layer1.2.conv1.weight"], weights["layer1.1.conv1.weight"])
    np.testing.assert_array_equal(grown["layer2.1.conv2.weight"], weights["layer2.0.conv2.weight"])
    assert grown["layer2.1.conv1.weight"].shape == (16, 16, 3, 3)
    assert not grown["layer1.1.bn2.weight"].any()
    whole = Deepening(a, deeper(a, (2, 2)), "interleaved", "stack").grow_weights(weights)
    for name, old in (("layer1.1", "layer1.0"), ("layer1.3", "layer1.1"), ("layer2.1", "layer2.0")):
        for tensor in ("bn2.weight", "bn2.bias", "bn2.running_var", "conv2.weight"):
            np.testing.assert_array_equal(whole[f"{name}.{tensor}"], weights[f"{old}.{tensor}"])
    # What a kernel had to be drawn for is normalised as a new kernel's output is.
    assert whole["layer2.1.conv1.weight"].std() > 0
    assert np.all(whole["layer2.1.bn1.running_var"] == 1)
    same = whole["layer1.1.bn1.running_var"] == weights["layer1.0.bn1.running_var"]
    assert same.all()


def test_removing_what_was_added_gives_the_network_back(small: Architecture) -> None:
    weights = random_weights(small)
    growth = Deepening(small, deeper(small))
    added = set(removable_blocks(growth.target)) - set(removable_blocks(small))
    back, found = remove_blocks(growth.target, growth.grow_weights(weights), removed=added)
    assert replace(back, name=small.name) == small
    assert all(np.array_equal(found[name], weights[name]) for name in weights)


def test_a_first_block_cannot_be_removed() -> None:
    a = catalog.get("resnet8_slim")
    with pytest.raises(GrowthError, match=r"layer1\.0: not blocks that can be removed"):
        remove_blocks(a, random_weights(a), removed=["layer1.0"])
