"""Blocks that are missed least go first; blocks that are the identity go without a trace."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.networks import random_weights
from resnets.data.images import Images
from resnets.errors import GrowthError
from resnets.networks import reference
from resnets.networks.network import Network, Preprocessing
from resnets.networks.tracing import trace
from resnets.training.growth.deepening import Deepening
from resnets.training.growth.pruning import (
    block_costs,
    prune,
    prune_stepwise,
    removable_blocks,
    remove_blocks,
    require_budget,
)
from strategies import SMALL_ARCHITECTURES

SOURCE = next(a for a in SMALL_ARCHITECTURES if a.name == "basic")
STAGES = tuple(replace(stage, depth=stage.depth + 1) for stage in SOURCE.stages)
GROWTH = Deepening(SOURCE, replace(SOURCE, stages=STAGES))
PREPROCESSING = Preprocessing(size=8, mean=(0.5,) * 3, std=(0.25,) * 3)
NETWORK = Network(
    GROWTH.target, GROWTH.grow_weights(random_weights(SOURCE)), PREPROCESSING, tuple("abcde")
)


CUT_COSTS = [
    trace(replace(SOURCE, stages=tuple(replace(s, depth=d) for s in STAGES)), 8).multiply_adds
    for d in (3, 1)
]
"""Multiply-adds of the whole network, and of the first blocks alone."""


def make(network: Network) -> Any:
    def logits(pixels: Any) -> Any:
        x = (pixels.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25
        weights = {n: w.astype(np.float64) for n, w in network.weights.items()}
        return reference.forward(network.architecture, weights, x).logits

    return logits


@pytest.fixture(scope="module")
def images() -> Images:
    """Random images, labelled by the network itself."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    return Images(pixels, make(NETWORK)(pixels).argmax(axis=1))


def test_identity_blocks_cost_nothing_and_go_first(images: Images) -> None:
    found = {cost.block: cost for cost in block_costs(NETWORK, images, make_evaluator=make)}
    assert list(found) == removable_blocks(NETWORK.architecture)
    assert found["layer1.2"].loss == found["layer2.2"].loss == 0
    assert found["layer1.1"].loss > 0
    steps = list(prune_stepwise(NETWORK, images, make_evaluator=make))
    assert [cut.removed for cut in steps[:3]] == ["", "layer2.2", "layer1.2"]
    assert steps[2].evaluation.loss == steps[0].evaluation.loss
    assert len(steps) == 5
    np.testing.assert_array_equal(
        make(steps[2].network)(images.pixels), make(NETWORK)(images.pixels)
    )
    assert all(a.multiply_adds > b.multiply_adds for a, b in pairwise(steps))


def test_cut_to_a_budget(images: Images) -> None:
    whole = next(prune_stepwise(NETWORK, images, make_evaluator=make)).multiply_adds
    said: list[str] = []
    half = prune(
        NETWORK,
        images,
        make_evaluator=make,
        share=0.7,
        announce=lambda cut: said.append(cut.removed),
    )
    assert half.multiply_adds <= 0.7 * whole
    assert said[0] == "" and said[-1] == half.removed
    assert [stage.depth for stage in half.network.architecture.stages] == [2, 2]
    assert half.network.architecture.name == "basic 2-2"
    two = prune(NETWORK, images, make_evaluator=make, blocks=2)
    assert two.network.architecture == half.network.architecture
    assert prune(NETWORK, images, make_evaluator=make, blocks=0).network is NETWORK


def test_cuts_are_named_as_the_whole_network_names_its_blocks(images: Images) -> None:
    steps = list(prune_stepwise(NETWORK, images, make_evaluator=make))
    removed = [cut.removed for cut in steps[1:]]
    assert sorted(removed) == sorted(removable_blocks(NETWORK.architecture))
    for taken, cut in enumerate(steps):
        again = remove_blocks(NETWORK.architecture, NETWORK.weights, removed=removed[:taken])
        assert cut.network.architecture.stages == again[0].stages
        for name, array in again[1].items():
            np.testing.assert_array_equal(cut.network.weights[name], array)


def test_a_budget_that_cannot_be_met_is_refused_before_any_evaluation(images: Images) -> None:
    def never(_: Network) -> Any:
        raise AssertionError("evaluated")

    with pytest.raises(GrowthError, match=r"what must stay is \d+\.\d% of the .*, over 1\.0%"):
        prune(NETWORK, images, make_evaluator=never, share=0.01)
    for blocks in (9, 5, -1):
        with pytest.raises(GrowthError, match=f"{blocks} blocks to take out; basic has 4"):
            prune(NETWORK, images, make_evaluator=never, blocks=blocks)


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0.01, 1))
def test_a_share_is_refused_exactly_where_the_shortest_network_is_over_it(share: float) -> None:
    whole, shortest = CUT_COSTS
    if shortest <= share * whole:
        require_budget(NETWORK, blocks=None, share=share)
    else:
        with pytest.raises(GrowthError, match="what must stay"):
            require_budget(NETWORK, blocks=None, share=share)
