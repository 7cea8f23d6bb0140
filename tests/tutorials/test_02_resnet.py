"""The second tutorial, small: counts and equal functions; what training brings is not asserted."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def measured(tutorial: Callable[[str], Any]) -> dict[str, Any]:
    return tutorial("02_resnet").measured


def test_the_described_network_is_the_chapters(tutorial: Callable[[str], Any]) -> None:
    outcome = tutorial("02_resnet")
    assert outcome.measured["chapter_parameters"] == 11_178_378
    assert "\nTrue\n" in outcome.stdout
    assert "Sequential output shape:\t torch.Size([1, 512, 3, 3])" in outcome.stdout


def test_frameworks_agree_or_are_named(tutorial: Callable[[str], Any]) -> None:
    outcome = tutorial("02_resnet")
    differences = outcome.measured["differences"]
    assert "torch" in differences
    assert all(0 < difference < 1e-5 for difference in differences.values())
    assert "jax" in differences or "jax is not installed" in outcome.stdout
    assert outcome.measured["chapter_difference"] < 1e-5


def test_groups_divide_the_multiply_adds(measured: dict[str, Any]) -> None:
    counts = measured["grouped_multiply_adds"]
    assert counts == [counts[0] // 2**i for i in range(len(counts))]
    assert len(measured["grouped_time"]) == len(counts)


def test_the_chapters_groups_are_widths(measured: dict[str, Any]) -> None:
    assert measured["blocks"]["groups=16"] == [2, 6944]
    for number in (1, 2, 4, 8, 16, 32):
        assert measured["blocks"][f"cardinality={number}"][0] == number
        assert measured["blocks"][f"groups={number}"][0] == 32 // number


def test_the_networks_cost_the_same(measured: dict[str, Any]) -> None:
    first, *others = measured["multiply_adds"].values()
    assert all(abs(other / first - 1) < 0.1 for other in others)
    assert measured["accuracy"].keys() == measured["multiply_adds"].keys()


def test_the_command_line_shows_both(tutorial: Callable[[str], Any]) -> None:
    stdout = tutorial("02_resnet").stdout
    assert "$ resnets show chapter_resnet18 chapter_resnext26" in stdout
    assert "conv5_x" in stdout
