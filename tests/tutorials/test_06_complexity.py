"""Exercise 5, small: the deepened network is the same function; every size has its figures."""

import math
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def measured(tutorial: Callable[[str], Any]) -> dict[str, Any]:
    return tutorial("06_complexity").measured


def test_a_deeper_class_contains_the_shallow_function(measured: dict[str, Any]) -> None:
    there = measured["there"]
    assert there["the same, deepened"] == there["the shallow network"]
    assert measured["apart"] == 0


def test_every_size_is_trained_with_both_numbers_of_images(measured: dict[str, Any]) -> None:
    assert len(measured["runs"]) == 2 * len(measured["bill"])
    for run in (run for own in measured["runs"].values() for run in own):
        assert math.isfinite(run["loss"] + run["held_loss"])
        assert 0 <= run["held_accuracy"] <= 1


def test_the_bill_grows_with_depth_and_width(measured: dict[str, Any]) -> None:
    bill = measured["bill"]
    for small, large in (
        ("depth 1, width 8", "depth 2, width 8"),
        ("depth 1, width 2", "depth 1, width 4"),
    ):
        assert all(a < b for a, b in zip(bill[small][:3], bill[large][:3], strict=True))
    assert bill["depth 1, width 4"][1] > 3 * bill["depth 1, width 2"][1]


def test_random_labels_are_tried(measured: dict[str, Any]) -> None:
    assert measured["guesses"].keys() == {"the same images", "others"}
