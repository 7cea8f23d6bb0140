"""Gradients of kernels as products: the same as TensorFlow's own, and only in training sessions."""

from typing import Any

import numpy as np
import pytest

from resnets.backends import tensorflow as backend
from resnets.backends.tensorflow.kernels import gradients as kernel_gradients
from resnets.backends.tensorflow.kernels import use_fast_kernel_gradients
from resnets.backends.tensorflow.layers import Convolution
from resnets.networks import catalog
from resnets.networks.network import Preprocessing
from resnets.recipes import presets

import tensorflow as tf  # isort: skip  # after the backend, which keeps TensorFlow quiet

SIZES = [(1, 1), (1, 2), (2, 2), (3, 3), (3, 5), (4, 4), (5, 2), (6, 6), (7, 7), (9, 9), (2, 8)]


def gradients(layer: Convolution, x: Any, dy: Any) -> tuple[Any, ...]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    return (y, *tape.gradient(y, [x, layer.kernel.value], dy))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_they_are_tensorflow_s_own(size: tuple[int, int], stride: int) -> None:
    random = np.random.default_rng(0)
    layer = Convolution(5, 3, stride, "same", dtype="float64", bias_initializer="normal")
    x = tf.constant(random.standard_normal((4, *size, 3)))
    dy = tf.constant(random.standard_normal(layer(x).shape))
    expected = gradients(layer, x, dy)
    asked: list[tuple[int, ...]] = []

    def convolve(x: Any, kernel: Any, stride: int) -> Any:
        asked.append(tuple(x.shape))
        return kernel_gradients.convolve(x, kernel, stride)

    layer.own_gradient = convolve
    found = gradients(layer, x, dy)
    assert asked == [tuple(x.shape)] or layer._sees_all(x)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=1e-12)


def test_which_maps_are_taken_so() -> None:
    kernel = tf.zeros((3, 3, 2, 2))

    def taken(kind: Any, size: tuple[int, int], stride: int) -> bool:
        x = tf.zeros((1, *size, 2), kind)
        return kernel_gradients.convolve(x, tf.cast(kernel, kind), stride) is not None

    assert taken(tf.float32, (3, 3), 1) and taken(tf.float32, (6, 5), 2)
    assert not taken(tf.float32, (4, 3), 1) and not taken(tf.float32, (7, 7), 2)
    assert taken(tf.bfloat16, (7, 7), 1) and taken(tf.bfloat16, (14, 14), 2)
    assert not taken(tf.bfloat16, (8, 7), 1) and not taken(tf.bfloat16, (15, 2), 2)
    assert not taken(tf.float16, (3, 3), 1) and not taken(tf.float32, (6, 6), 3)


def test_the_module_stays_as_it_is() -> None:
    a = catalog.get("resnet8_thin", channels=1, classes=4)
    model = backend.build(a)
    with use_fast_kernel_gradients(model):
        layers = [one for one in model.layers if isinstance(one, Convolution)]
        assert layers and all(one.own_gradient is not None for one in layers)
    assert all(one.own_gradient is None for one in layers)
    recipe = presets.get_preset("chapter").replace(size=12)
    preprocessing = Preprocessing(size=12, mean=(0.0,), std=(1.0,))
    session = backend.session(model, recipe, preprocessing=preprocessing, device="cpu")
    function = session._compiled_step.get_concrete_function(
        tf.zeros((4, 12, 12, 1), tf.uint8), tf.zeros(4, tf.int64), {}, _numbers(session)
    )
    kinds = [node.op for node in function.graph.as_graph_def().node]
    assert kinds.count("MatMul") > 9 and all(one.own_gradient is None for one in layers)


def _numbers(session: Any) -> dict[str, Any]:
    rates = np.zeros(len(session.learned))
    found = session.optimiser.numbers(rates, 1)
    return {name: tf.constant(number, tf.float64) for name, number in found.items()}
