"""Exercise 1, small: costs, and what a block can be; accuracies of two steps say nothing."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def measured(tutorial: Callable[[str], Any]) -> dict[str, Any]:
    return tutorial("03_inception").measured


def test_an_inception_block_costs_a_fraction_but_keeps_as_much(measured: dict[str, Any]) -> None:
    residual, inception = measured["block_costs"]["residual"], measured["block_costs"]["Inception"]
    # Two 3×3 convolutions of 32 channels on 14×14, and two norms.
    assert residual[:2] == [2 * 9 * 32**2 + 4 * 32, 2 * 9 * 32**2 * 14**2]
    assert inception[1] < residual[1] / 5
    assert inception[2] > residual[2] / 2


def test_the_networks_are_of_about_equal_cost(measured: dict[str, Any]) -> None:
    counts = [counted for _, counted, _ in measured["network_costs"].values()]
    assert max(counts) < 1.5 * min(counts)
    assert measured["accuracy"].keys() == measured["network_costs"].keys()


def test_a_zeroed_residual_block_changes_nothing(measured: dict[str, Any]) -> None:
    assert measured["zeroed_to_identity"] == {"basic + shortcut": 0.0, "Inception": 1.0}
    before, after = measured["inserted"]["basic + shortcut"]
    assert before == after


def test_three_blocks_learn_towards_the_identity(measured: dict[str, Any]) -> None:
    assert measured["identity"].keys() == {"residual", "plain", "Inception"}
    assert all(error > 0 for own in measured["identity"].values() for error in own)
