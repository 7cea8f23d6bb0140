"""The NumPy definition against loops that nobody can misread."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnets.errors import InvalidDescription, WeightsError
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import initial_weights
from resnets.networks.tracing import trace
from strategies import architectures


@pytest.mark.parametrize(
    ("kernel", "stride", "groups"), [(1, 1, 1), (3, 2, 1), (5, 3, 2), (3, 1, 4)]
)
def test_convolution(kernel: int, stride: int, groups: int) -> None:
    rng = np.random.default_rng(0)
    x, w, b = (
        rng.normal(size=(2, 4, 7, 6)),
        rng.normal(size=(8, 4 // groups, kernel, kernel)),
        rng.normal(size=8),
    )
    y = reference.convolution(x, w, b, stride, kernel // 2, groups)
    height, width = -(-7 // stride), -(-6 // stride)
    assert y.shape == (2, 8, height, width)
    for n, o, i, j in itertools.product(range(2), range(8), range(height), range(width)):
        total = b[o]
        first = o // (8 // groups) * (4 // groups)
        for c, p, q in itertools.product(range(4 // groups), range(kernel), range(kernel)):
            row, column = i * stride + p - kernel // 2, j * stride + q - kernel // 2
            if 0 <= row < 7 and 0 <= column < 6:
                total += x[n, first + c, row, column] * w[o, c, p, q]
        assert y[n, o, i, j] == pytest.approx(total, rel=1e-12)


def test_max_pool_pads_with_minus_infinity() -> None:
    x = -np.ones((1, 1, 3, 3))
    assert (reference.max_pool(x, 3, 2, 1) == -1).all()


def test_padded_shortcut_is_option_a() -> None:
    x = np.arange(18.0).reshape(1, 2, 3, 3)
    y = reference.pad_shortcut(x, 4, 2)
    assert y.shape == (1, 4, 2, 2)
    assert y[0, 0].tolist() == [[0, 2], [6, 8]]
    assert not y[0, 2:].any()


def test_training_mode_uses_the_batch_and_updates_with_the_unbiased_variance(
    small: Architecture,
) -> None:
    weights = {name: array.astype(np.float64) for name, array in initial_weights(small).items()}
    images = np.random.default_rng(1).normal(size=(3, small.channels, 9, 8))
    forward = reference.forward(small, weights, images, training=True)
    if small.norm.kind != "batch":
        assert forward.statistics == {}
        same = reference.forward(small, weights, images)
        np.testing.assert_array_equal(forward.logits, same.logits)
        return
    norm = next(layer for layer in trace(small, 9).layers if layer.operation == "norm")
    x = forward.outputs[norm.inputs[0]]
    decay = small.norm.decay
    mean = forward.statistics[f"{norm.name}.running_mean"]
    variance = forward.statistics[f"{norm.name}.running_var"]
    np.testing.assert_allclose(mean, (1 - decay) * x.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(variance, decay + (1 - decay) * x.var(axis=(0, 2, 3), ddof=1))
    normed = forward.outputs[norm.name]
    np.testing.assert_allclose(normed.mean(axis=(0, 2, 3)), 0, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(architectures(), st.integers(1, 17), st.integers(1, 17))
def test_every_output_has_the_shape_that_the_trace_states(
    architecture: Architecture, height: int, width: int
) -> None:
    images = np.ones((2, architecture.channels, height, width), np.float32)
    outputs = reference.forward(architecture, initial_weights(architecture), images).outputs
    for layer in trace(architecture, (height, width)).layers:
        assert outputs[layer.name].shape == (2, *layer.shape)


def test_images_of_other_channels_or_order_are_refused() -> None:
    a = catalog.get("resnet8_slim")
    weights = initial_weights(a)
    for shape in ((1, 3, 16, 16), (1, 16, 16, 1), (1, 16, 16)):
        with pytest.raises(InvalidDescription, match="images are"):
            reference.forward(a, weights, np.zeros(shape, np.float32))
    del weights["fc.bias"]
    with pytest.raises(WeightsError, match=r"fc\.bias"):
        reference.forward(a, weights, np.zeros((1, 1, 16, 16), np.float32))
