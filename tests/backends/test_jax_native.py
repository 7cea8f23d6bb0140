"""What a user of JAX and Flax expects of a module, and of a session."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from backends.networks import images, random_weights, relative_difference, to_float64
from resnets import backends
from resnets.backends import Batch
from resnets.backends import jax as backend
from resnets.backends.jax.canonical import variables
from resnets.backends.jax.norm import BatchNorm
from resnets.backends.jax.parts import max_pool
from resnets.data.augmentation import AugmentationParameters, draw_parameters
from resnets.data.images import Images
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Preprocessing, Weights
from resnets.networks.spec import Block, Norm, Stage, Stem
from resnets.recipes.recipe import Recipe

TINY = Architecture(
    name="tiny",
    channels=3,
    classes=5,
    stem=Stem(width=8, kernel=3, stride=1, pool=True),
    stages=(
        Stage(depth=1, width=8, block=Block(kind="basic")),
        Stage(depth=1, width=12, stride=2, block=Block(kind="bottleneck", inner=6, groups=2)),
    ),
)
PREPROCESSING = Preprocessing(size=12, mean=(0.4, 0.5, 0.6), std=(0.3, 0.2, 0.25))
PLAIN = Recipe(batch=4, precision="fp32")


def _model(a: Architecture = TINY) -> Any:
    return backend.build(a, weights=random_weights(a))


def _input(a: Architecture = TINY) -> jax.Array:
    return jnp.asarray(images(a, 12, 11).transpose(0, 2, 3, 1))


def _batch(n: int = 4, draws: AugmentationParameters | None = None) -> Batch:
    rng = np.random.default_rng(n)
    pixels = rng.integers(0, 256, (n, 12, 12, 3), np.uint8)
    return Batch(Images(pixels, rng.integers(0, 5, n)), draws or AugmentationParameters())


def test_the_module_by_name_and_index() -> None:
    model = _model(catalog.get("resnet18", classes=4))
    assert isinstance(model, nnx.Module) and isinstance(model.layer1[0].bn1, nnx.BatchNorm)
    assert isinstance(model.layer2[0].downsample[0], nnx.Conv)
    assert model.layer2[0].downsample[0].kernel[...].shape == (1, 1, 64, 128)
    assert model.fc.kernel[...].shape == (512, 4)
    paths = [path for path, _ in nnx.to_flat_state(nnx.state(model))]
    assert ("layer4", 1, "bn2", "var") in paths and ("conv1", "kernel") in paths


def test_jit_split_and_merge_give_the_same_logits() -> None:
    model, x = _model(), _input()
    model.eval()
    expected = reference.forward(
        TINY, to_float64(random_weights(TINY)), images(TINY, 12, 11)
    ).logits
    definition, state = nnx.split(model)
    merged = jax.jit(lambda state, x: nnx.merge(definition, state)(x))(state, x)
    for logits in (model(x), nnx.jit(lambda m, x: m(x))(model, x), merged):
        assert relative_difference(np.asarray(logits), expected) < 1e-5


def test_modes_and_running_statistics() -> None:
    """Training moves the statistics, also through ``nnx.jit``, to those of the definition."""
    model, x = _model(), _input()
    before = backend.dump(model)
    model.eval()
    nnx.jit(lambda m, x: m(x))(model, x)
    assert all((backend.dump(model)[n] == before[n]).all() for n in before)
    model.train()
    nnx.jit(lambda m, x: m(x))(model, x)
    after, wide = backend.dump(model), to_float64(before)
    forward = reference.forward(TINY, wide, images(TINY, 12, 11), training=True)
    assert forward.statistics.keys() == {n for n in before if (after[n] != before[n]).any()}
    for name, array in forward.statistics.items():
        assert relative_difference(after[name], array) < 1e-5, name


def test_batch_norm_keeps_its_digits_far_from_zero() -> None:
    norm = BatchNorm(2, epsilon=1e-5, momentum=0.9, rngs=nnx.Rngs(0))
    x = 1000 + np.random.default_rng(0).normal(size=(64, 3, 3, 2)).astype(np.float32)
    found = norm(jnp.asarray(x))
    exact = x.astype(np.float64)
    exact = (exact - exact.mean((0, 1, 2))) / np.sqrt(exact.var((0, 1, 2)) + 1e-5)
    assert np.abs(np.asarray(found) - exact).max() < 2e-3  # the fast variance is 0.1 off here
    unbiased = 0.9 + 0.1 * x.astype(np.float64).var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(np.asarray(norm.var[...]), unbiased, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 1), (5, 4), (8, 8)])
def test_max_pool_and_its_gradient_are_flaxs(size: tuple[int, int]) -> None:
    """Also where values are equal, and where one is not a number."""

    def flaxs(x: jax.Array) -> jax.Array:
        return nnx.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))

    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(0, 3, (2, *size, 3)).astype(np.float32))
    np.testing.assert_array_equal(max_pool(x), flaxs(x))
    dy = jnp.asarray(rng.normal(size=flaxs(x).shape).astype(np.float32))
    found, expected = (jax.vjp(pool, x)[1](dy)[0] for pool in (max_pool, flaxs))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert jnp.isnan(max_pool(x.at[0, 0, 0, 0].set(jnp.nan)))[0, 0, 0, 0]


@pytest.mark.slow
def test_training_by_optax_is_the_sessions_step() -> None:
    """``nnx.Optimizer`` with optax's SGD, on the module itself."""
    recipe = PLAIN.replace(momentum=0.9, nesterov=True)
    session = backend.session(_model(), recipe, preprocessing=PREPROCESSING, device="cpu")
    model, prepare, rate = _model(), session.prepare, 0.05
    optimiser = nnx.Optimizer(model, optax.sgd(rate, 0.9, nesterov=True), wrt=nnx.Param)

    @nnx.jit
    def step(model: Any, optimiser: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
        def loss_of(model: Any) -> jax.Array:
            losses = optax.softmax_cross_entropy_with_integer_labels(model(x), labels)
            return losses.mean()

        loss, gradients = nnx.value_and_grad(loss_of)(model)
        optimiser.update(model, gradients)
        return loss

    model.train()
    for _ in range(2):
        batch = _batch()
        loss = step(model, optimiser, prepare(batch.images.pixels), batch.images.labels)
        assert session.train_step(batch, rate).loss == pytest.approx(float(loss), rel=1e-5)
    found, expected = backend.dump(model), session.weights()
    assert max(relative_difference(found[n], expected[n]) for n in expected) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    "a",
    [
        Architecture(
            name="gated",
            stages=(Stage(depth=1, width=64, block=Block(squeeze=10, gated=True)),),
            stem=Stem(width=64, kernel=3),
            norm=Norm(kind="group", groups=2),
            bias=True,
            classes=64,
        ),
        Architecture(
            name="before_grouped",
            stages=(Stage(depth=1, width=32, block=Block(kind="bottleneck", groups=4, inner=32)),),
            stem=Stem(width=32, kernel=3),
            preactivation=True,
            classes=32,
        ),
    ],
    ids=lambda a: a.name,
)
def test_own_initial_weights(a: Architecture) -> None:
    """``rngs`` draws from the distributions of ``initial_weights``, other numbers."""
    family = type(backend.build(a))
    found = backend.dump(family(a, rngs=nnx.Rngs(0)))
    expected = initial_weights(a, seed=0)
    assert {n: v.shape for n, v in found.items()} == {n: v.shape for n, v in expected.items()}
    for name, array in expected.items():
        if array.std() == 0:
            np.testing.assert_array_equal(found[name], array, err_msg=name)
        elif array.size > 500:
            assert found[name].std() == pytest.approx(array.std(), rel=0.15), name
            assert abs(found[name].mean() - array.mean()) < 5 * array.std() / array.size**0.5
            assert (found[name] != array).any()


def test_export_to_a_file_and_back() -> None:
    model, x = _model(), _input()
    model.eval()
    definition, state = nnx.split(model)
    arrays = nnx.to_pure_dict(state)
    function = jax.jit(lambda x: nnx.merge(definition, state)(x))
    text = jax.export.export(function)(x).serialize()
    again = jax.export.deserialize(text).call(x)
    np.testing.assert_allclose(again, model(x), rtol=1e-5, atol=1e-6)
    assert set(arrays) == {"conv1", "bn1", "layer1", "layer2", "fc"}


@pytest.mark.slow
def test_gradients_for_each_image_by_vmap() -> None:
    model, x = _model(), _input()
    model.eval()
    definition, parameters, others = nnx.split(model, nnx.Param, ...)

    def first_logit(parameters: Any, image: jax.Array) -> jax.Array:
        return nnx.merge(definition, parameters, others)(image[None])[0, 0]

    gradients = jax.jit(jax.vmap(jax.grad(first_logit), (None, 0)))(parameters, x)
    whole = jax.jit(jax.grad(lambda p: sum(first_logit(p, image) for image in x)))(parameters)
    for one, all_ in zip(jax.tree.leaves(gradients), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(one.sum(0), all_, rtol=1e-3, atol=1e-4 * np.abs(all_).max())


@pytest.mark.slow
def test_float64_is_asked_for_and_stays_inside() -> None:
    session = backend.session(
        _model(), PLAIN.replace(precision="fp64"), preprocessing=PREPROCESSING, device="cpu"
    )
    session.train_step(_batch(), 0.1)
    assert all(v.dtype == np.float64 for n, v in session.state().items() if n != "steps")
    assert jnp.ones(3).dtype == np.float32
    with jax.enable_x64(True):
        model = _model()
        for variable in variables(model).values():
            variable.set_value(variable[...].astype(np.float64))
    x = images(TINY, 12, 11).astype(np.float64)
    found = backend.features(model, x, wanted=["stage1", "logits"])
    expected = reference.forward(TINY, to_float64(random_weights(TINY)), x)
    assert found["stage1"].dtype == found["logits"].dtype == np.float64
    assert relative_difference(found["logits"], expected.logits) < 1e-12


def test_the_module_given_stays_as_it_is() -> None:
    model = _model()
    session = backend.session(model, PLAIN, preprocessing=PREPROCESSING, device="cpu")
    session.train_step(_batch(), 0.1)
    for name, array in random_weights(TINY).items():
        np.testing.assert_array_equal(backend.dump(model)[name], array)
    assert (session.weights()["fc.bias"] != random_weights(TINY)["fc.bias"]).any()


@pytest.mark.slow
def test_rates_and_draws_compile_nothing_again() -> None:
    recipe = PLAIN.replace(flip=True, crop=2, erase=0.5, mixup=1.0, cutmix=1.0, average=0.9)
    # Sessions of equal settings share what is compiled: these settings are no other test's.
    recipe = recipe.replace(label_smoothing=0.07)
    session = backend.session(_model(), recipe, preprocessing=PREPROCESSING, device="cpu")
    for step in range(4):
        session.train_step(
            _batch(4, draw_parameters(recipe, step, count=4, size=(12, 12))), 0.1 / (step + 1)
        )
    assert session._step._cache_size() == 1
    session.train_step(_batch(3, draw_parameters(recipe, 4, count=3, size=(12, 12))), 0.1)
    assert session._step._cache_size() == 2


@pytest.mark.slow
def test_bf16_only_computes_so() -> None:
    session = backend.session(
        _model(), PLAIN.replace(precision="bf16"), preprocessing=PREPROCESSING, device="cpu"
    )
    batch = _batch()
    loss = session.train_step(batch, 0.1).loss
    exact = (
        backend.session(_model(), PLAIN, preprocessing=PREPROCESSING, device="cpu")
        .train_step(batch, 0.1)
        .loss
    )
    assert loss != exact and loss == pytest.approx(exact, rel=0.02)
    assert all(v.dtype == np.float32 for n, v in session.state().items() if n != "steps")
    assert session.eval_step(batch.images.pixels).dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize("first, second", [("torch", "jax"), ("jax", "torch")])
def test_a_run_goes_on_in_the_other_framework(first: str, second: str) -> None:
    recipe = PLAIN.replace(
        optimiser="adamw", precision="fp64", weight_decay=0.1, average=0.9, label_smoothing=0.1
    )

    def session(framework: str, weights: Weights) -> Any:
        loaded = backends.load(framework)
        model = loaded.build(TINY, weights=weights)
        return loaded.session(model, recipe, preprocessing=PREPROCESSING, device="cpu")

    one = session(first, random_weights(TINY))
    one.train_step(_batch(), 1e-3)
    # As if that bias had been added after three steps: AdamW counts a new tensor's own steps.
    state = {**one.state(), "steps": np.array(4), "born/fc.bias": np.array(3)}
    one.restore(state)
    other = session(second, initial_weights(TINY))
    other.restore(state)
    for part in (one, other):
        part.train_step(_batch(), 1e-3)
    found, expected = other.state(), one.state()
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert relative_difference(found[name], array) < 1e-9, name


def test_a_network_is_pickled(small: Architecture) -> None:
    """The copy has an equal structure and equal arrays; nothing has to be compiled to see that."""
    import pickle  # for who hands networks to other processes; we read none

    model = backend.build(small, seed=3)
    graph, state = nnx.split(model)
    copied_graph, copied_state = nnx.split(pickle.loads(pickle.dumps(model)))
    assert copied_graph == graph
    assert jax.tree.structure(copied_state) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, copied_state, state)


def test_half_precision_stays_half(small: Architecture) -> None:
    """As the trace of the network says, which takes no compilation."""
    model = backend.build(small)
    model.eval()
    graph, state = nnx.split(model)
    half = jax.tree.map(lambda v: v.astype(jnp.bfloat16), state)
    x = jnp.ones((1, 24, 24, small.channels), jnp.bfloat16)
    found = jax.eval_shape(lambda state, x: nnx.merge(graph, state).features(x), half, x)
    assert {name: value.dtype for name, value in found.items()} == dict.fromkeys(
        found, jnp.dtype(jnp.bfloat16)
    )
