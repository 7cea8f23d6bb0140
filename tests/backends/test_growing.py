"""Stochastic depth, new tensors that are slowed, and growth without a jump, in every framework."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from backends.networks import random_weights, relative_difference, to_float64
from backends.test_training_parity import (
    EXACTNESS,
    PLAIN,
    backend_name,
    furthest,
    random_images,
    train,
)
from resnets import backends
from resnets.backends import Backend, Batch, Session
from resnets.data.augmentation import AugmentationParameters, draw_parameters, step_indices
from resnets.data.images import Images
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.naming import block_names
from resnets.networks.network import Preprocessing, Weights
from resnets.networks.tracing import tensors
from resnets.recipes.recipe import Recipe
from resnets.training.growth.deepening import Deepening, added_tensors
from resnets.training.metrics import evaluate_logits
from strategies import SMALL_ARCHITECTURES

pytestmark = pytest.mark.slow

NETWORK = catalog.get("resnet8_slim")
DEEPER = catalog.get("resnet14_slim")
DROPPING = PLAIN.replace(stochastic_depth=0.6, label_smoothing=0.0)
KINDS = {
    *("basic", "bottleneck_option_a", "excited_basic", "before_basic", "before_bottleneck"),
    *("shift", "highway", "no_norm", "regnet_y", "regnet_odd"),
}
"""A network of every block that adds its branch in a way of its own."""


def named(name: str) -> Architecture:
    return next(a for a in SMALL_ARCHITECTURES if a.name == name)


def dropped(a: Architecture, step: int = 0, n: int = 4) -> AugmentationParameters:
    draws = draw_parameters(
        DROPPING, step, count=n, size=(12, 12), blocks=sum(stage.depth for stage in a.stages)
    )
    assert draws.drop_path_scales is not None
    assert (draws.drop_path_scales == 0).any() and (draws.drop_path_scales > 1).any()
    return draws


@pytest.mark.parametrize("name", sorted(KINDS))
def test_dropped_branches_against_torch_and_the_definition(backend: Backend, name: str) -> None:
    a = named(name)
    images = random_images(a, 4, 12)
    batches = [Batch(images, dropped(a))]
    losses, state = train(backend, a, DROPPING, batches, [1.0])
    expected_losses, expected = train(backends.load("torch"), a, DROPPING, batches, [1.0])
    exactness = EXACTNESS.get(backend_name(backend), 1e-9)
    assert losses == pytest.approx(expected_losses, rel=exactness)
    before = {f"weights/{n}": v for n, v in to_float64(random_weights(a)).items()}
    steps = {n: before[n] - v for n, v in expected.items() if n in before}
    largest = max(float(np.abs(step).max()) for step in steps.values())
    for name_, step in steps.items():
        assert np.abs(before[name_] - state[name_] - step).max() < exactness * largest, name_
    x = (images.pixels.transpose(0, 3, 1, 2) / 255 - 0.4) / 0.3
    weights = to_float64(random_weights(a))
    branches = batches[0].augmentation.drop_path_scales
    forward = reference.forward(a, weights, x, training=True, branches=branches)
    assert expected_losses[0] == pytest.approx(evaluate_logits(forward.logits, images.labels).loss)
    for name_, array in forward.statistics.items():
        assert relative_difference(expected[f"weights/{name_}"], array) < 1e-9, name_
    whole = reference.forward(a, weights, x, training=True).logits
    assert relative_difference(whole, forward.logits) > 1e-2


def test_a_branch_that_every_image_drops_learns_nothing(backend: Backend) -> None:
    a = named("basic")
    draws = AugmentationParameters(
        drop_path_scales=np.array([[1.0] * 4, [1.0] * 4, [1.0] * 4, [0.0] * 4])
    )
    recipe = DROPPING.replace(weight_decay=0.0)
    _, state = train(backend, a, recipe, [Batch(random_images(a, 4, 12), draws)], [0.1])
    before, last = random_weights(a), block_names(a)[-1][-1]
    for tensor in tensors(a):
        moved = np.abs(state[f"weights/{tensor.name}"] - before[tensor.name]).max()
        assert (moved == 0) == (tensor.is_parameter and tensor.name.startswith(f"{last}.")), (
            tensor.name
        )


PREPROCESSING = Preprocessing(size=28, mean=(0.3,), std=(0.35,))
RECIPES = {
    "sgd": Recipe(batch=16, precision="fp32", momentum=0.9, rate=0.02, weight_decay=1e-3),
    "adamw": Recipe(batch=16, precision="fp32", optimiser="adamw", rate=1e-3, weight_decay=0.1),
}


def start(backend: Backend, a: Architecture, recipe: Recipe, weights: Weights) -> Session:
    return backend.session(
        backend.build(a, weights=weights), recipe, preprocessing=PREPROCESSING, device="cpu"
    )


def batch(recipe: Recipe, images: Images, step: int, blocks: int) -> Batch:
    index = step_indices(recipe, len(images), step=step)
    return Batch(
        images[index], draw_parameters(recipe, step, count=len(index), size=(28, 28), blocks=blocks)
    )


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_it_goes_on_bit_for_bit_in_the_middle_of_a_warm_up(
    backend: Backend, kind: str, fashion: Images
) -> None:
    recipe = RECIPES[kind].replace(stochastic_depth=0.4)
    new = [name for name in (t.name for t in tensors(NETWORK)) if name.startswith("layer2.0.")]

    def steps(session: Session, numbers: range) -> list[float]:
        return [
            session.train_step(
                batch(recipe, fashion, step, 3),
                recipe.rate,
                lr_scales=dict.fromkeys(new, (step + 1) / 4) if step < 3 else {},
            ).loss
            for step in numbers
        ]

    whole = start(backend, NETWORK, recipe, random_weights(NETWORK))
    losses = steps(whole, range(5))
    first = start(backend, NETWORK, recipe, random_weights(NETWORK))
    steps(first, range(2))
    second = start(backend, NETWORK, recipe, random_weights(NETWORK, seed=5))
    second.restore(first.state())
    assert steps(second, range(2, 5)) == losses[2:]
    one, other = whole.state(), second.state()
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_slowed_tensors_take_their_share_of_the_rate(backend: Backend, kind: str) -> None:
    """Two groups of them, whose shares meet in one step; against torch, and against the share."""
    a = named("basic")
    recipe = RECIPES[kind].replace(precision="fp64", nesterov=kind == "sgd")
    images, rate = random_images(a, 4, 12), recipe.rate
    names = [t.name for t in tensors(a) if t.is_parameter]
    new, newer = ([n for n in names if n.startswith(at)] for at in ("layer1.1.", "layer2.1."))
    shares = [
        dict.fromkeys(new, 0.25) | dict.fromkeys(newer, 0.0),
        dict.fromkeys(new, 0.5) | dict.fromkeys(newer, 0.5),
        dict.fromkeys(newer, 0.75),
        {},
    ]

    def states(of: Backend, shares: Sequence[Mapping[str, float]]) -> list[Weights]:
        model = of.build(a, weights=random_weights(a))
        preprocessing = Preprocessing(size=8, mean=(0.4,) * 3, std=(0.3,) * 3)
        session = of.session(model, recipe, preprocessing=preprocessing, device="cpu")
        found = [session.state()]
        for slowed in shares:
            session.train_step(Batch(images, AugmentationParameters()), rate, lr_scales=slowed)
            found.append(session.state())
        return found

    found, expected = states(backend, shares), states(backends.load("torch"), shares)
    assert furthest(found[-1], expected[-1]) < EXACTNESS.get(backend_name(backend), 1e-9)
    for name in newer:
        np.testing.assert_array_equal(found[1][f"weights/{name}"], found[0][f"weights/{name}"])
    whole = states(backend, [{}])[1]
    for name in names:
        moved, wholly = (
            s[f"weights/{name}"] - found[0][f"weights/{name}"] for s in (found[1], whole)
        )
        share = shares[0].get(name, 1.0)
        np.testing.assert_allclose(moved, share * wholly, rtol=1e-6, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_lifted_tensors_are_raised_and_go_on_from_there(backend: Backend, kind: str) -> None:
    """In the weights and nowhere else; a step after it is the one from a state raised by hand."""
    recipe = RECIPES[kind].replace(precision="fp64", average=0.9)
    a = named("basic")
    images = random_images(a, 4, 12)
    shapes = {tensor.name: tensor.shape for tensor in tensors(a)}
    drawn = np.random.default_rng(3)
    names = ("layer1.1.bn2.weight", "layer1.1.conv2.weight", "fc.weight", "fc.bias")
    lifted = {name: drawn.normal(size=shapes[name]) for name in names}

    def session() -> Session:
        model = backend.build(a, weights=random_weights(a))
        preprocessing = Preprocessing(size=8, mean=(0.4,) * 3, std=(0.3,) * 3)
        found = backend.session(model, recipe, preprocessing=preprocessing, device="cpu")
        found.train_step(Batch(images, AugmentationParameters()), recipe.rate)
        return found

    one, other = session(), session()
    before = one.state()
    one.add_to_parameters(lifted)
    after = one.state()
    assert before.keys() == after.keys()
    for name, array in before.items():
        amount = lifted.get(name.removeprefix("weights/"), 0.0)
        np.testing.assert_array_equal(after[name], array + amount, err_msg=name)
    other.restore(after)
    for each in (one, other):
        each.train_step(Batch(images, AugmentationParameters()), recipe.rate)
    found, expected = one.state(), other.state()
    for name in found:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize("name", ["jax", "tensorflow"])
def test_the_step_is_not_compiled_again_for_other_rates_or_draws(
    name: str, fashion: Images
) -> None:
    recipe = RECIPES["sgd"].replace(stochastic_depth=0.4)
    session: Any = start(backends.load(name), NETWORK, recipe, random_weights(NETWORK))
    counts = []
    for step, share in enumerate((0.5, 0.7, None)):
        scales = {} if share is None else {"layer1.0.conv1.weight": share}
        session.train_step(batch(recipe, fashion, step, 3), 0.1 / (1 + step), lr_scales=scales)
        compiled = session._step if name == "jax" else session._compiled_step
        of = "_cache_size" if name == "jax" else "experimental_get_tracing_count"
        counts.append(getattr(compiled, of)())
    assert all(a == b for a, b in pairwise(counts)), counts


def test_a_growth_is_no_jump(backend: Backend, fashion: Images) -> None:
    """The same batch just before and just after: bit for bit in evaluation, and in training.

    XLA compiles the deeper network into another program, which may round otherwise.
    """
    recipe = RECIPES["sgd"]
    session = start(backend, NETWORK, recipe, random_weights(NETWORK))
    for step in range(2):
        session.train_step(batch(recipe, fashion, step, 0), recipe.rate)
    growth = Deepening(NETWORK, DEEPER)
    state = session.state()
    deeper = start(backend, DEEPER, recipe, growth.grow_weights(session.weights()))
    deeper.restore(growth.grow_state(state))
    pixels = fashion.pixels[:32]
    before, after = session.eval_step(pixels), deeper.eval_step(pixels)
    assert relative_difference(after, before) <= (1e-6 if backend_name(backend) == "jax" else 0)
    losses = [
        s.train_step(batch(recipe, fashion, 2, 0), recipe.rate).loss for s in (session, deeper)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    # Old tensors go on as they would have, and with what they remember.
    one, other = session.state(), deeper.state()
    new = added_tensors([growth])
    assert new and not one.keys() & {f"weights/{name}" for name in new}
    for name in one:
        if name != "steps":
            assert relative_difference(other[name], one[name]) < 1e-4, name


def test_random_blocks_do_jump(fashion: Images) -> None:
    """What the test above would see."""
    torch = backends.load("torch")
    growth = Deepening(NETWORK, DEEPER, start="random")
    weights = random_weights(NETWORK)
    one = start(torch, NETWORK, RECIPES["sgd"], weights).eval_step(fashion.pixels[:32])
    other = start(torch, DEEPER, RECIPES["sgd"], growth.grow_weights(weights))
    assert relative_difference(other.eval_step(fashion.pixels[:32]), one) > 0.1
