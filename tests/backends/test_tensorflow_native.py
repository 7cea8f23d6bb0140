"""What a user of Keras and TensorFlow expects of a model."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from backends.networks import images, random_weights, relative_difference
from resnets.backends import Batch
from resnets.backends import tensorflow as backend
from resnets.data.augmentation import AugmentationParameters
from resnets.data.images import Images
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.network import Preprocessing
from resnets.networks.spec import Block, Norm, Stage, Stem
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe
from strategies import SMALL_ARCHITECTURES

# Keras 3.15 turns variables into arrays in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SMALL = {a.name: a for a in SMALL_ARCHITECTURES}
EVERY_LAYER = [
    SMALL[name] for name in ("regnet_odd", "shift", "highway_option_a", "excited_resnext", "gelu")
]
"""Between them they have every layer of ours, group norms, squeezing and scaling."""

TINY = Architecture(
    channels=1,
    classes=2,
    stem=Stem(width=4, kernel=3, stride=2, pool=True),
    stages=(Stage(depth=1, width=4), Stage(depth=1, width=8, stride=2)),
    norm=Norm(decay=0.7),
)


def _model_and_input(a: Architecture, n: int = 2) -> tuple[keras.Model, Any]:
    model = backend.build(a, weights=random_weights(a))
    return model, tf.constant(images(a, 17, 16, n).transpose(0, 2, 3, 1))


def test_layers_have_the_traces_names_and_shapes(small: Architecture) -> None:
    model, _ = _model_and_input(small)
    layers = {layer.name: layer for layer in trace(small, 32).layers}
    assert {layer.name for layer in model.layers} == layers.keys()
    for layer in model.layers:
        channels = layers[layer.name].shape[0]
        assert layer.output.shape[-1] == channels, layer.name
    assert model.count_params() == sum(t.size for one in layers.values() for t in one.tensors)
    trained = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert trained == trace(small, 32).parameters


@pytest.mark.parametrize("a", EVERY_LAYER, ids=lambda a: a.name)
def test_a_saved_model_is_loaded_with_what_was_frozen(a: Architecture, tmp_path: Path) -> None:
    model, x = _model_and_input(a)
    frozen = model.layers[1].name
    model.get_layer(frozen).trainable = False
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is backend.ResNet and loaded.architecture == a
    assert [one.name for one in loaded.layers if not one.trainable] == [frozen]
    np.testing.assert_array_equal(loaded(x), model(x))
    np.testing.assert_array_equal(backend.dump(loaded)["fc.bias"], backend.dump(model)["fc.bias"])


def test_each_layer_is_described_in_json(small: Architecture) -> None:
    """Which is all that Keras needs to save, clone and write any part of a network."""
    for layer in backend.ResNet(small).layers:
        described = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
        copy = keras.saving.deserialize_keras_object(described)
        assert type(copy) is type(layer) and copy.get_config() == layer.get_config()


@pytest.mark.parametrize("a", [*EVERY_LAYER, TINY], ids=lambda a: a.name)
def test_a_network_with_another_head_is_saved_and_cloned(a: Architecture, tmp_path: Path) -> None:
    """It is a plain Keras model, of which every layer is described."""
    model, x = _model_and_input(a)
    part = keras.Model(model.input, keras.layers.Dense(2)(model.layers[-2].output))
    part.save(tmp_path / "part.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "part.keras")(x), part(x))
    clone = keras.models.clone_model(part)
    clone.set_weights(part.get_weights())
    np.testing.assert_array_equal(clone(x), part(x))


def test_the_old_format_opens_with_the_class_named(tmp_path: Path) -> None:
    model, x = _model_and_input(TINY)
    model.save(tmp_path / "model.h5")
    named = {"ResNet": backend.ResNet}
    loaded = keras.saving.load_model(tmp_path / "model.h5", custom_objects=named)
    np.testing.assert_array_equal(loaded(x), model(x))


@pytest.fixture
def channels_first() -> Iterator[None]:
    """Keras set up for [n, channels, height, width], as ~/.keras/keras.json may do."""
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.usefixtures("channels_first")
@pytest.mark.parametrize("name", ["average_projection", "excited_resnext"])
def test_the_order_that_keras_is_set_to_does_not_matter(name: str) -> None:
    a = SMALL[name]
    model, x = _model_and_input(a)
    weights = {n: array.astype(np.float64) for n, array in backend.dump(model).items()}
    channels_first = x.numpy().transpose(0, 3, 1, 2).astype(np.float64)
    assert (
        relative_difference(model(x).numpy(), reference.forward(a, weights, channels_first).logits)
        < 1e-5
    )


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16"])
def test_norms_work_in_every_policy(policy: str) -> None:
    model, x = _model_and_input(TINY, n=4)
    narrow = backend.ResNet(TINY, dtype=policy)
    backend.load(narrow, backend.dump(model))
    close = 5e-2 if policy == "bfloat16" else 1e-2
    for training in (False, True):
        found, expected = narrow(x, training=training), model(x, training=training)
        assert found.dtype == narrow.variable_dtype
        assert relative_difference(tf.cast(found, tf.float32).numpy(), expected.numpy()) < close
    for old, new in zip(model.weights, narrow.weights, strict=True):  # the statistics moved
        assert relative_difference(np.asarray(new, np.float32), np.asarray(old)) < close


@pytest.mark.parametrize("name", ["", "_[bold] é/1", "a b"])
def test_any_name_will_do(name: str, tmp_path: Path) -> None:
    model, x = _model_and_input(replace(TINY, name=name))
    assert model.name and tf.function(model, autograph=False)(x).shape == (2, 2)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").architecture.name == name


def test_saved_model_without_keras(tmp_path: Path) -> None:
    model, x = _model_and_input(TINY)
    model.export(tmp_path / "exported", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "exported")
    assert relative_difference(loaded.serve(x).numpy(), model(x).numpy()) < 1e-6


def test_compile_fit_evaluate_and_predict(fashion: Images) -> None:
    a = catalog.get("resnet8_slim", channels=1, classes=2)
    model = backend.build(replace(a, norm=Norm(decay=0.5)))  # there are thirty steps only
    chosen = fashion.labels < 2
    x = fashion.pixels[chosen].astype(np.float32) / 255
    labels = fashion.labels[chosen]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss, metrics=["accuracy"])
    history = model.fit(x, labels, batch_size=16, epochs=6, verbose=0).history
    assert history["loss"][-1] < 0.3 * history["loss"][0]
    accuracy = model.evaluate(x, labels, verbose=0)[1]
    assert accuracy > 0.9
    found = np.argmax(model.predict(x, verbose=0), axis=1)
    assert np.mean(found == labels) == pytest.approx(accuracy)


def test_fit_moves_the_statistics_by_the_definition() -> None:
    """The decay is ours and not Keras's, the variance unbiased; at rate 0 nothing else moves."""
    model, x = _model_and_input(TINY, n=4)
    before = {n: v.astype(np.float64) for n, v in backend.dump(model).items()}
    model.compile(keras.optimizers.SGD(0.0), "mse")
    model.fit(x, np.zeros((4, 2)), batch_size=4, verbose=0)
    after = backend.dump(model)
    x = x.numpy().transpose(0, 3, 1, 2).astype(np.float64)
    expected = reference.forward(TINY, before, x, training=True).statistics
    for name, array in after.items():
        assert relative_difference(array, expected.get(name, before[name])) < 1e-5, name


def test_a_frozen_norm_keeps_its_statistics() -> None:
    model, x = _model_and_input(TINY)
    model.get_layer("bn1").trainable = False
    before = backend.dump(model)
    model(x, training=True)
    after = backend.dump(model)
    assert (before["bn1.running_mean"] == after["bn1.running_mean"]).all()
    assert (before["layer1.0.bn1.running_mean"] != after["layer1.0.bn1.running_mean"]).any()


@pytest.mark.parametrize("a", EVERY_LAYER, ids=lambda a: a.name)
def test_function_gradients_and_features_of_any_layer(a: Architecture) -> None:
    model, x = _model_and_input(a)
    end = trace(a, 32).features["stage1"]
    both = keras.Model(model.input, [model.get_layer(end).output, model.output])
    stage, logits = tf.function(both, autograph=False)(x)
    assert relative_difference(logits.numpy(), model(x).numpy()) < 1e-5
    assert stage.shape[-1] == a.stages[0].width
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x, training=True) ** 2)
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        assert gradient is not None and np.isfinite(gradient).all(), variable.path


def test_keras_policies() -> None:
    """Under a mixed policy weights and logits stay float32; in between it computes in bf16."""
    weights = random_weights(TINY)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = backend.build(TINY, weights=weights)
    finally:
        keras.config.set_dtype_policy("float32")
    x = tf.constant(images(TINY, 17, 16).transpose(0, 2, 3, 1))
    logits = model(x)
    assert logits.dtype == tf.float32
    assert model.get_layer("layer1.0.conv1").output.dtype == "bfloat16"
    np.testing.assert_array_equal(backend.dump(model)["conv1.weight"], weights["conv1.weight"])
    expected = backend.build(TINY, weights=weights)(x)
    assert 1e-5 < relative_difference(logits.numpy(), expected.numpy()) < 0.1
    found = backend.features(model, images(TINY, 17, 16), wanted=["stage1"])["stage1"]
    assert found.dtype == np.float32 and found.shape == (2, 4, 5, 4)


@pytest.mark.parametrize("groups", [2, 8])
@pytest.mark.parametrize("stride", [1, 2])
def test_keras_own_grouped_convolution_is_ours(groups: int, stride: int) -> None:
    """Keras has these compiled by XLA; ours, one for each group or depthwise, are the same."""
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(2, 9, 9, 8)).astype(np.float32))
    settings = {"strides": stride, "groups": groups, "kernel_initializer": "he_normal"}
    ours = backend.resnet.Convolution(16, 3, padding="same", **settings)
    theirs = keras.layers.Conv2D(16, 3, padding="valid", **settings)
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    theirs.build(padded.shape)
    ours.build(x.shape)
    theirs.set_weights(ours.get_weights())
    assert relative_difference(ours(x).numpy(), theirs(padded).numpy()) < 1e-5


@pytest.mark.parametrize("kernel", [3, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (2, 3)])
def test_keras_own_convolution_of_few_pixels_is_ours(
    kernel: int, stride: int, size: tuple[int, int]
) -> None:
    """Where there is one output, ours is a product of what meets the pixels."""
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(3, *size, 4)).astype(np.float32))
    border = [kernel // 2] * 2
    padded = tf.pad(x, [[0, 0], border, border, [0, 0]])
    ours = backend.resnet.Convolution(5, kernel, padding="same", strides=stride)
    theirs = keras.layers.Conv2D(5, kernel, padding="valid", strides=stride)
    theirs.build(padded.shape)
    ours.build(x.shape)
    theirs.set_weights(ours.get_weights())
    assert ours._sees_all(x) == (max(size) <= stride)
    found = []
    for layer, images_ in ((ours, x), (theirs, padded)):
        with tf.GradientTape() as tape:
            y = layer(images_)
            loss = tf.reduce_sum(y**2)
        found.append([y, tape.gradient(loss, layer.kernel)])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape
        assert relative_difference(one.numpy(), other.numpy()) < 1e-5


def test_a_session_trains_the_model_it_is_given_and_compiles_once() -> None:
    model, _ = _model_and_input(TINY)
    recipe = Recipe(batch=4, precision="fp32")
    session = backend.session(
        model, recipe, preprocessing=Preprocessing(size=9, mean=(0.5,), std=(0.5,)), device="cpu"
    )
    rng = np.random.default_rng(0)
    for step in range(4):
        batch = Images(rng.integers(0, 256, (4, 9, 9, 1), np.uint8), rng.integers(0, 2, 4))
        session.train_step(Batch(batch, AugmentationParameters()), 0.1 / (1 + step))
    assert session._compiled_step.experimental_get_tracing_count() == 1
    trained = backend.dump(model)
    for name, array in session.weights().items():
        np.testing.assert_array_equal(trained[name], array)
    assert (trained["fc.weight"] != random_weights(TINY)["fc.weight"]).any()


def test_a_session_in_bf16_leaves_the_models_policies_as_they_were() -> None:
    a = Architecture(
        channels=1,
        classes=2,
        stem=Stem(width=4, kernel=3, stride=1, pool=False),
        stages=(Stage(depth=1, width=8, stride=2, block=Block(squeeze=2)),),
        activation="gelu",
    )
    model, x = _model_and_input(a)
    before = model(x).numpy()
    recipe = Recipe(batch=4, precision="bf16")
    session = backend.session(
        model, recipe, preprocessing=Preprocessing(size=9, mean=(0.5,), std=(0.5,)), device="cpu"
    )
    batch = Images(np.full((4, 9, 9, 1), 7, np.uint8), np.array([0, 1, 0, 1]))
    session.train_step(Batch(batch, AugmentationParameters()), 0.0)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    backend.load(model, random_weights(a))
    np.testing.assert_array_equal(model(x).numpy(), before)


def _python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("TF_", "KERAS_"))}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_import_is_quiet_and_keeps_to_the_threads_asked_for() -> None:
    done = _python(
        "import os, sys\n"
        "from resnets.backends import load\n"
        "os.write(2, b'a word of the user\\n')\n"
        "backend = load('tensorflow')\n"
        "import tensorflow as tf\n"
        "tf.ones((2, 2)) @ tf.ones((2, 2))\n"
        "print(backend.devices.threads(), tf.config.threading.get_inter_op_parallelism_threads())\n"
        "print(backend.precision.__module__, tf.__name__)\n",
        OMP_NUM_THREADS="3",
    )
    assert done.stderr == "a word of the user\n"
    assert done.stdout == "3 3\nresnets.backends.tensorflow.devices tensorflow\n"


def test_another_keras_backend_is_refused_in_a_sentence() -> None:
    done = _python(
        "from resnets import backends, errors\n"
        "try:\n"
        "    backends.load('tensorflow')\n"
        "except errors.ResnetsError as error:\n"
        "    print(error)\n",
        KERAS_BACKEND="jax",
    )
    assert done.stdout.startswith("Keras is set to compute with jax; set KERAS_BACKEND=tensorflow")


def test_many_networks_evaluated_in_a_row_are_no_warning() -> None:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    preprocessing = Preprocessing(size=8, mean=(0.0,), std=(1.0,))
    tf.get_logger().addHandler(handler)
    try:
        for seed in range(6):
            logits = backend.evaluator(backend.build(TINY, seed=seed), preprocessing, device="cpu")
            logits(np.zeros((1, 8, 8, 1), np.uint8))
    finally:
        tf.get_logger().removeHandler(handler)
    assert said == []
