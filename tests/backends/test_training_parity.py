"""One step and five of them, in float64, are every framework's: torch's, to the last digits.

The gradients are read off a step of plain SGD at rate 1: what it takes away.
"""

from typing import Any

import numpy as np
import pytest

from backends.networks import random_weights, relative_difference, to_float64
from resnets import backends
from resnets.backends import Backend, Batch
from resnets.data.augmentation import draw_parameters, step_indices
from resnets.data.images import Images
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.network import Preprocessing, Weights
from resnets.recipes.recipe import Recipe
from resnets.training.metrics import evaluate_logits
from strategies import SMALL_ARCHITECTURES

PLAIN = Recipe(batch=4, precision="fp64", optimiser="sgd", momentum=None, label_smoothing=0.1)
OPTIMISERS = {
    "momentum": PLAIN.replace(momentum=0.9, weight_decay=1e-2),
    "nesterov": PLAIN.replace(momentum=0.9, nesterov=True, weight_decay=1e-2, clip=0.5),
    "adamw": PLAIN.replace(optimiser="adamw", weight_decay=0.1, betas=(0.8, 0.95)),
}
EXACTNESS = {"mxnet": 1e-7}
"""Relative; the gradient of MXNet's erf, for GELU, has a float32 in it. Elsewhere 1e-9."""


def random_images(a: Architecture, n: int, size: int) -> Images:
    """Random pixels as they are stored, with labels."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (n, size, size, a.channels), np.uint8)
    return Images(pixels, rng.integers(0, a.classes, n))


def train(
    backend: Backend, a: Architecture, recipe: Recipe, batches: list[Batch], rates: list[float]
) -> tuple[list[float], Weights]:
    """Give the losses and the state after the steps."""
    model = backend.build(a, weights=random_weights(a))
    preprocessing = Preprocessing(size=8, mean=(0.4,) * a.channels, std=(0.3,) * a.channels)
    session = backend.session(model, recipe, preprocessing=preprocessing, device="cpu")
    losses = [session.train_step(b, r).loss for b, r in zip(batches, rates, strict=True)]
    return losses, session.state()


def furthest(found: Weights, expected: Weights, scale: Weights | None = None) -> float:
    """The largest difference of an array, relative to its largest change or value."""
    assert found.keys() == expected.keys()
    return max(
        float(np.abs(found[n] - expected[n]).max())
        / (float(np.abs((scale or expected)[n]).max()) or 1)
        for n in expected
    )


@pytest.mark.parametrize("a", SMALL_ARCHITECTURES, ids=lambda a: a.name)
def test_gradients_and_statistics_of_every_kind(backend: Backend, a: Architecture) -> None:
    """Of all parameters, against torch; torch's loss and statistics against the definition."""
    batch = random_images(a, 4, 13)
    batches = [Batch(batch, draw_parameters(PLAIN, 0, count=4, size=(13, 13)))]
    losses, state = train(backend, a, PLAIN, batches, [1.0])
    expected_losses, expected = train(backends.load("torch"), a, PLAIN, batches, [1.0])
    exactness = EXACTNESS.get(backend_name(backend), 1e-9)
    assert losses == pytest.approx(expected_losses, rel=exactness)
    before = {f"weights/{n}": v for n, v in to_float64(random_weights(a)).items()}
    steps = {n: before[n] - v for n, v in expected.items() if n in before}
    largest = max(float(np.abs(step).max()) for step in steps.values())
    for name, step in steps.items():
        assert np.abs(before[name] - state[name] - step).max() < exactness * largest, name
    x = (batch.pixels.transpose(0, 3, 1, 2) / 255 - 0.4) / 0.3
    forward = reference.forward(a, to_float64(random_weights(a)), x, training=True)
    for name, array in forward.statistics.items():
        assert relative_difference(expected[f"weights/{name}"], array) < 1e-9, name
    smooth = 0.9 * evaluate_logits(forward.logits, batch.labels).loss
    log_shares = forward.logits - np.log(np.exp(forward.logits).sum(1, keepdims=True))
    smooth -= 0.1 * float(log_shares.mean())
    assert expected_losses[0] == pytest.approx(smooth, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", OPTIMISERS.values(), ids=OPTIMISERS.keys())
@pytest.mark.parametrize("precision", ["fp64", "fp32"])
def test_steps_at_a_changing_rate(backend: Backend, recipe: Recipe, precision: Any) -> None:
    """Three steps in fp64; in fp32 one, on random input."""
    recipe = recipe.replace(precision=precision)
    a = next(a for a in SMALL_ARCHITECTURES if a.name == "resnext")
    batches = [
        Batch(random_images(a, 4, 12), draw_parameters(recipe, step, count=4, size=(12, 12)))
        for step in range(3)
    ]
    rate = 1e-3 if recipe.optimiser == "adamw" else 0.02
    rates = [rate, rate, rate / 10]
    if precision == "fp32":
        batches, rates = batches[:1], rates[:1]
    losses, state = train(backend, a, recipe, batches, rates)
    expected_losses, expected = train(
        backends.load("torch"), a, recipe.replace(precision="fp64"), batches, rates
    )
    exactness = EXACTNESS.get(backend_name(backend), 1e-9) if precision == "fp64" else 5e-6
    assert losses == pytest.approx(expected_losses, rel=exactness)
    weights = {n: v for n, v in state.items() if n.startswith("weights/")}
    assert furthest(weights, {n: expected[n] for n in weights}) < exactness
    if precision == "fp64":
        assert furthest(state, expected) < exactness


@pytest.mark.slow
def test_five_steps_on_real_images(backend: Backend, fashion: Images) -> None:
    a = catalog.get("resnet8_slim")
    recipe = PLAIN.replace(batch=16, momentum=0.9, weight_decay=5e-4, flip=True, crop=2, erase=0.3)
    batches = []
    for step in range(5):
        index = step_indices(recipe, len(fashion), step=step)
        batches.append(
            Batch(fashion[index], draw_parameters(recipe, step, count=16, size=(28, 28)))
        )
    rates = [0.01, 0.02, 0.03, 0.02, 0.01]
    losses, _ = train(backend, a, recipe, batches, rates)
    expected, _ = train(backends.load("torch"), a, recipe, batches, rates)
    assert losses == pytest.approx(expected, rel=EXACTNESS.get(backend_name(backend), 1e-9))


def backend_name(backend: Backend) -> str:
    """The framework's name."""
    return backend.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
