"""The first tutorial, small: what holds for any training is asserted, what needs it is not."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest


@pytest.fixture
def measured(tutorial: Callable[[str], Any]) -> dict[str, Any]:
    return tutorial("01_residual_block").measured


def test_nested_classes_never_lose(measured: dict[str, Any]) -> None:
    nested, others = measured["least_error"]["nested"], measured["least_error"]["others"]
    assert all(larger <= smaller + 1e-9 for smaller, larger in pairwise(nested))
    assert nested[-1] < 0.1 * nested[0]
    assert any(larger > smaller for smaller, larger in pairwise(others))


def test_the_plain_networks_gradients_grow_towards_the_input(measured: dict[str, Any]) -> None:
    ratio = measured["gradient_ratio"]
    assert ratio["plain"] > 1.5 * ratio["residual"]


def test_every_network_was_trained(measured: dict[str, Any]) -> None:
    networks = {f"{kind} {n}" for kind in ("plain", "residual", "zero start") for n in (8, 20)}
    assert set(measured["loss"]) == set(measured["accuracy"]) == networks
    assert all(math.isfinite(loss) for row in measured["loss"].values() for loss in row)
    # Even in a few steps: chance is a loss of 2.303.
    assert measured["loss"]["zero start 20"][0] < 2.2


def test_the_deeper_residual_network_is_the_same_function(measured: dict[str, Any]) -> None:
    assert measured["residual_same"] is True
    assert measured["training_mode_change"]["residual, zero"] == 0


def test_the_deeper_plain_network_is_so_only_by_hand(measured: dict[str, Any]) -> None:
    kept = measured["plain_kept"]
    assert kept["by hand"] == kept["shallow"]
    assert measured["training_mode_change"]["plain, by hand"] > 0.01


def test_a_lower_rate_is_tried_on_the_plain_network(measured: dict[str, Any]) -> None:
    assert math.isfinite(measured["slower_rate"]["loss"])


def test_the_text_shows_the_shapes_and_the_error(tutorial: Callable[[str], Any]) -> None:
    stdout = tutorial("01_residual_block").stdout
    assert "(4, 3, 6, 6) -> (4, 3, 6, 6)" in stdout
    assert "(4, 3, 6, 6) -> (4, 6, 3, 3)" in stdout
    assert "without it: Residual" in stdout
    assert "training:   True\nevaluation: True\n" in stdout
