"""Exercise 4, small: the block written out is the catalog's, and all networks take their steps."""

import math
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def measured(tutorial: Callable[[str], Any]) -> dict[str, Any]:
    return tutorial("05_preactivation").measured


def test_the_block_written_out_is_the_catalogs(measured: dict[str, Any]) -> None:
    assert measured["difference"] < 1e-6


def test_both_orders_cost_the_same(measured: dict[str, Any]) -> None:
    post, pre = measured["costs"].values()
    assert post[1] == pre[1]
    assert abs(post[0] / pre[0] - 1) < 0.01


def test_all_networks_begin_to_train(measured: dict[str, Any]) -> None:
    assert measured["shallow"].keys() == {"post-activation", "pre-activation"}
    assert len(measured["deep"]) == 4
    for found in measured["deep"].values():
        assert found["first"] > 0
        assert all(map(math.isfinite, [*found["highest"], *found["ends"]]))
