"""Training sessions: what one step does, and that a restored one goes on bit for bit."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backends.networks import random_weights, relative_difference
from resnets.backends import Backend, Batch, Session
from resnets.data.augmentation import draw_parameters, step_indices
from resnets.data.images import Images
from resnets.errors import ResnetsError, WeightsError
from resnets.networks import catalog, reference
from resnets.networks.folding import redundant_biases
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Preprocessing, Weights
from resnets.networks.tracing import tensors
from resnets.recipes.recipe import Recipe
from resnets.training.metrics import evaluate, evaluate_logits

NETWORK = catalog.get("resnet8_slim")
PREPROCESSING = Preprocessing(size=28, mean=(0.3,), std=(0.35,))
PLAIN = Recipe(batch=16, precision="fp32", rate=0.05)

RECIPES = {
    "plain": PLAIN,
    "nesterov": PLAIN.replace(momentum=0.9, nesterov=True, weight_decay=1e-3, rate=0.01),
    "adamw": PLAIN.replace(optimiser="adamw", rate=1e-3, weight_decay=0.1, betas=(0.8, 0.95)),
    "averaged": PLAIN.replace(momentum=0.9, average=0.99, rate=0.02),
    "bf16": PLAIN.replace(momentum=0.9, precision="bf16", rate=0.02),
    "augmented": PLAIN.replace(
        flip=True, crop=3, erase=0.5, mixup=0.4, cutmix=1.0, label_smoothing=0.1, clip=1.0
    ),
}

REFUSED = {("resnets.backends.mxnet", "bf16")}
"""What a framework does not train in, and says so."""


def refused(backend: Any, recipe: Recipe) -> bool:
    """Whether the framework does not train in that precision; its refusal is asserted."""
    if (backend.__name__, recipe.precision) not in REFUSED:
        return False
    with pytest.raises(ResnetsError, match=f"precision {recipe.precision}: "):
        start(backend, recipe)
    return True


def start(backend: Backend, recipe: Recipe, weights: Weights | None = None) -> Session:
    model = backend.build(NETWORK, weights=weights or random_weights(NETWORK))
    return backend.session(model, recipe, preprocessing=PREPROCESSING, device="cpu")


def steps(
    session: Session, recipe: Recipe, images: Images, numbers: range, rate: float | None = None
) -> list[float]:
    losses = []
    for step in numbers:
        index = step_indices(recipe, len(images), step=step)
        batch = Batch(images[index], draw_parameters(recipe, step, count=len(index), size=(28, 28)))
        rate_here = recipe.rate / (1 + step) if rate is None else rate
        losses.append(session.train_step(batch, rate_here).loss)
    return losses


def assert_same(one: Weights, other: Weights) -> None:
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(
            recipe,
            id=name,
            marks=[] if name in ("averaged", "augmented") else pytest.mark.slow,
        )
        for name, recipe in RECIPES.items()
    ],
)
def test_a_restored_session_goes_on_bit_for_bit(
    backend: Backend, recipe: Recipe, fashion: Images
) -> None:
    if refused(backend, recipe):
        return
    whole = start(backend, recipe)
    losses = steps(whole, recipe, fashion, range(6))
    first = start(backend, recipe)
    steps(first, recipe, fashion, range(3))
    second = start(backend, recipe, random_weights(NETWORK, seed=5))
    second.restore(first.state())
    assert steps(second, recipe, fashion, range(3, 6)) == losses[3:]
    assert_same(whole.state(), second.state())
    assert_same(whole.weights(), second.weights())


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_it_learns(backend: Backend, recipe: Recipe, fashion: Images) -> None:
    if refused(backend, recipe):
        return
    # Without what hinders learning on purpose: fifty steps would not be enough.
    recipe = recipe.replace(mixup=None, cutmix=None, erase=0.0, clip=None)
    session = start(backend, recipe, initial_weights(NETWORK))
    losses = steps(session, recipe, fashion, range(50), recipe.rate)
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:5])
    # Of ten classes. Rounding alone moves it by 0.05: fifty steps are a chaotic start.
    assert evaluate(session.eval_step, fashion).accuracy > 0.3


def test_a_step_of_plain_sgd_against_the_definition(backend: Backend, fashion: Images) -> None:
    """The gradient, by differences of the NumPy loss in float64, of a few parameters."""
    session = start(backend, PLAIN)
    batch = fashion[step_indices(PLAIN, len(fashion), step=0)]
    before = session.weights()
    loss = session.train_step(
        Batch(batch, draw_parameters(PLAIN, 0, count=16, size=(28, 28))), 1.0
    ).loss
    after = session.weights()
    weights = {name: array.astype(np.float64) for name, array in before.items()}
    x = (batch.pixels.transpose(0, 3, 1, 2) / 255 - 0.3) / 0.35

    def loss_at(changed: dict[str, Any]) -> float:
        logits = reference.forward(NETWORK, weights | changed, x, training=True).logits
        return evaluate_logits(logits, batch.labels).loss

    assert loss == pytest.approx(loss_at({}), rel=1e-5)
    for name in ("conv1.weight", "layer2.0.bn1.weight", "layer3.0.downsample.0.weight", "fc.bias"):
        at = np.unravel_index(3, weights[name].shape)
        shifted = [weights[name].copy() for _ in range(2)]
        shifted[0][at] += 1e-5
        shifted[1][at] -= 1e-5
        gradient = (loss_at({name: shifted[0]}) - loss_at({name: shifted[1]})) / 2e-5
        scale = float(np.abs(before[name] - after[name]).max())
        assert before[name][at] - after[name][at] == pytest.approx(gradient, abs=1e-3 * scale)
    expected = reference.forward(NETWORK, weights, x, training=True).statistics
    for name, array in expected.items():
        assert relative_difference(after[name], array) < 2e-5, name


@pytest.mark.slow
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_weight_decay_spares_norms_and_biases(
    backend: Backend, optimiser: str, fashion: Images
) -> None:
    rate, decay = 0.01, 0.3
    ends = []
    for recipe in (
        PLAIN.replace(optimiser=optimiser),
        PLAIN.replace(optimiser=optimiser, weight_decay=decay),
    ):
        session = start(backend, recipe)
        steps(session, recipe, fashion, range(1), rate)
        ends.append(session.weights())
    before = random_weights(NETWORK)
    for tensor in tensors(NETWORK):
        without, with_decay = (end[tensor.name] for end in ends)
        if tensor.role in ("kernel", "dense"):
            expected = without - rate * decay * before[tensor.name]
            np.testing.assert_allclose(with_decay, expected, atol=2e-6)
        else:
            np.testing.assert_array_equal(with_decay, without)


def test_momentum_is_torchs_when_the_rate_changes(backend: Backend, fashion: Images) -> None:
    """v ← μv + g, w ← w - rate·v: the rate is not inside the velocity (DESIGN, fact 3)."""
    recipe = PLAIN.replace(momentum=0.5)
    session = start(backend, recipe)
    seen = [session.weights()["fc.bias"]]
    velocity = [np.zeros(10)]
    for step, rate in enumerate((0.1, 0.1, 0.01)):
        steps(session, recipe, fashion, range(step, step + 1), rate)
        velocity.append(session.state()["momentum/fc.bias"])
        seen.append(session.weights()["fc.bias"])
        np.testing.assert_allclose(seen[-1], seen[-2] - rate * velocity[-1], atol=1e-7)
    assert np.abs(velocity[3]).max() > 0


def test_clipping_bounds_the_whole_gradient(backend: Backend, fashion: Images) -> None:
    recipe = PLAIN.replace(clip=0.01)
    session = start(backend, recipe)
    before = session.weights()
    steps(session, recipe, fashion, range(1), 1.0)
    after = session.weights()
    learned = [t.name for t in tensors(NETWORK) if t.is_parameter]
    length = np.sqrt(sum(((after[n] - before[n]).astype(np.float64) ** 2).sum() for n in learned))
    assert length == pytest.approx(0.01, rel=1e-2)


def test_the_average_is_what_is_evaluated(backend: Backend, fashion: Images) -> None:
    recipe = PLAIN.replace(average=0.9)
    session = start(backend, recipe)
    average = random_weights(NETWORK)["fc.weight"].astype(np.float64)
    for step in range(4):
        steps(session, recipe, fashion, range(step, step + 1), 0.1)
        decay = min(0.9, (2 + step) / (11 + step))
        average = decay * average + (1 - decay) * session.state()["weights/fc.weight"]
    np.testing.assert_allclose(session.weights()["fc.weight"], average, rtol=1e-4, atol=1e-6)
    model = backend.build(NETWORK, weights=session.weights())
    logits = backend.evaluator(model, PREPROCESSING, device="cpu")(fashion.pixels[:8])
    np.testing.assert_array_equal(logits, session.eval_step(fashion.pixels[:8]))


def test_an_average_of_the_last_weights_alone_is_one(backend: Backend, fashion: Images) -> None:
    """``average=0`` is kept in the state by all frameworks, so it moves between them."""
    recipe = PLAIN.replace(average=0.0)
    session = start(backend, recipe)
    steps(session, recipe, fashion, range(1), 0.1)
    state = session.state()
    for name, array in session.weights().items():
        np.testing.assert_array_equal(array, state[f"average/{name}"])
        np.testing.assert_allclose(array, state[f"weights/{name}"], rtol=1e-6, atol=1e-7)


def test_smoothed_and_mixed_loss_against_the_definition(backend: Backend, fashion: Images) -> None:
    recipe = PLAIN.replace(label_smoothing=0.2, cutmix=1.0)
    batch = fashion[step_indices(recipe, len(fashion), step=0)]
    draws = draw_parameters(recipe, 0, count=16, size=(28, 28))
    assert draws.mix is not None and draws.mix.box is not None
    measured = start(backend, recipe).train_step(Batch(batch, draws), 0.0)
    top, left, bottom, right = draws.mix.box
    x = ((batch.pixels.transpose(0, 3, 1, 2) / 255) - 0.3) / 0.35
    x[:, :, top:bottom, left:right] = x[draws.mix.partner][:, :, top:bottom, left:right]
    weights = {n: a.astype(np.float64) for n, a in random_weights(NETWORK).items()}
    logits = reference.forward(NETWORK, weights, x, training=True).logits
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    own = np.eye(10)[batch.labels]
    target = draws.mix.share * own + (1 - draws.mix.share) * own[draws.mix.partner]
    target = 0.8 * target + 0.2 / 10
    losses = -(target * logs).sum(axis=1)
    assert measured.loss == pytest.approx(losses.mean(), rel=1e-5)
    np.testing.assert_allclose(measured.losses, losses, rtol=1e-4)
    assert measured.losses.dtype == np.float32


def test_a_state_of_another_network_or_optimiser_is_refused(
    backend: Backend, fashion: Images
) -> None:
    averaged = start(backend, RECIPES["averaged"])
    steps(averaged, RECIPES["averaged"], fashion, range(1))
    state = averaged.state()
    with pytest.raises(WeightsError, match=r"unexpected.*average/fc\.bias"):
        start(backend, PLAIN).restore(state)
    with pytest.raises(WeightsError, match=r"lacks weights/fc\.bias"):
        start(backend, RECIPES["averaged"]).restore(
            {name: array for name, array in state.items() if name != "weights/fc.bias"}
        )
    with pytest.raises(WeightsError, match=r"momentum/fc\.bias has shape \(3,\), not \(10,\)"):
        start(backend, RECIPES["averaged"]).restore(state | {"momentum/fc.bias": np.zeros(3)})
    with pytest.raises(WeightsError, match="number of steps"):
        start(backend, RECIPES["averaged"]).restore(state | {"steps": np.zeros(2)})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nesterov", "adamw"])
def test_a_state_before_the_first_step_resets_the_optimiser(
    backend: Backend, name: str, fashion: Images
) -> None:
    recipe = RECIPES[name]
    session = start(backend, recipe)
    begin = session.state()
    losses = steps(session, recipe, fashion, range(3))
    session.restore(begin)
    assert_same(session.state(), begin)
    assert steps(session, recipe, fashion, range(3)) == losses


def test_an_unknown_device_is_named(backend: Backend) -> None:
    model = backend.build(NETWORK)
    with pytest.raises(ResnetsError, match="abacus"):
        backend.session(model, PLAIN, preprocessing=PREPROCESSING, device="abacus")


def test_biases_that_do_nothing_are_left_alone(backend: Backend, fashion: Images) -> None:
    """Before a batch norm their gradient is zero; AdamW would make full steps of its rounding."""
    recipe = PLAIN.replace(optimiser="adamw", rate=0.01, weight_decay=0.1)
    model = backend.build(replace(NETWORK, bias=True))
    before = backend.dump(model)
    session = backend.session(model, recipe, preprocessing=PREPROCESSING, device="cpu")
    steps(session, recipe, fashion, range(4))
    after, redundant = session.weights(), redundant_biases(replace(NETWORK, bias=True))
    assert len(redundant) == 9
    for name in redundant:
        np.testing.assert_array_equal(after[name], before[name])
    assert np.abs(after["fc.bias"] - before["fc.bias"]).max() > 1e-3
