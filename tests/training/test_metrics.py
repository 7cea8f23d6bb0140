"""Figures from logits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnets.training.metrics import (
    average_mirrored,
    evaluate_logits,
    flip_horizontally,
    log_softmax,
)


def test_figures_by_hand() -> None:
    logits = np.array([[2.0, 0, 0], [0, 1.0, 0], [0, 3.0, 0], [1.0, 0, 0]], np.float32)
    found = evaluate_logits(logits, np.array([0, 1, 0, 0]))
    assert found.accuracy == 0.75
    assert found.images == 4
    assert found.confusion.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert found.recall[:2].tolist() == pytest.approx([2 / 3, 1])
    assert np.isnan(found.recall[2])
    assert found.precision[:2].tolist() == pytest.approx([1, 0.5])
    rows = [np.log(np.exp(r).sum()) - r[y] for r, y in zip(logits, [0, 1, 0, 0], strict=True)]
    assert found.loss == pytest.approx(np.mean(rows), rel=1e-6)


def test_large_logits_do_not_overflow() -> None:
    logs = log_softmax(np.array([[1e30, 0.0], [-1e30, 0.0]], np.float32))
    assert logs[0, 0] == 0 and logs[1, 1] == 0


@given(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)))
def test_mirror_image_of_any_size(shape: tuple[int, int, int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = flip_horizontally(pixels)
    assert min(found.strides) > 0
    np.testing.assert_array_equal(found, pixels[:, :, ::-1])


def test_mirrored_averages_both_directions() -> None:
    pixels = np.arange(2 * 2 * 3 * 1, dtype=np.uint8).reshape(2, 2, 3, 1)

    def left_column(images: np.ndarray) -> np.ndarray:
        assert images.flags.c_contiguous
        return images[:, :, 0, 0].astype(np.float32)

    # Left column 0 and 3, right column 2 and 5, of the first image.
    assert average_mirrored(left_column)(pixels).tolist() == [[1, 4], [7, 10]]
