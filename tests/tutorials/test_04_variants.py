"""Exercises 2 and 3, small: the table's counts, and the bottleneck that is the catalog's."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def measured(tutorial: Callable[[str], Any]) -> dict[str, Any]:
    return tutorial("04_variants").measured


def test_the_table_is_the_papers(measured: dict[str, Any]) -> None:
    assert len(measured["table"]) == 5
    for _, multiply_adds, printed in measured["table"].values():
        assert abs(multiply_adds / 1e9 - printed) < 0.06
    assert measured["table"]["resnet50_v1"][0] == 25_557_032


def test_the_bottleneck_written_out_is_the_catalogs(measured: dict[str, Any]) -> None:
    assert measured["same_network"] is True
    assert measured["difference"] < 1e-6


def test_basic_and_bottleneck_cost_the_same(measured: dict[str, Any]) -> None:
    basic, bottleneck = measured["costs"]["basic"], measured["costs"]["bottleneck"]
    assert abs(bottleneck[1] / basic[1] - 1) < 0.05
    assert bottleneck[2] > 2 * basic[2]
    assert measured["bottleneck"].keys() == measured["costs"].keys()


def test_small_variants_are_trained(measured: dict[str, Any]) -> None:
    assert measured["variants"].keys() == {"resnet18 / 8", "resnet50 / 8"}
