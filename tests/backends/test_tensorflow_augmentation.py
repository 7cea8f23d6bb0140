"""Draws applied to pixels in TensorFlow, against loops in NumPy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from resnets.backends.tensorflow.augmentation import Preparation, tensors_of
from resnets.data.augmentation import AugmentationParameters, draw_parameters
from resnets.recipes.recipe import Recipe

MEAN, STD = (0.2, 0.4, 0.6), (0.3, 0.2, 0.1)
PREPARE = Preparation.of(MEAN, STD)


def _pixels(n: int = 6, height: int = 9, width: int = 7) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def _expected(pixels: npt.NDArray[np.uint8], draws: AugmentationParameters) -> npt.NDArray[Any]:
    n, height, width, _ = pixels.shape
    b, out = draws.padding, np.zeros((n, height, width, 3))
    for k in range(n):
        image = np.pad(pixels[k], ((b, b), (b, b), (0, 0)))
        row, column = draws.offsets[k] if draws.offsets is not None else (0, 0)
        image = image[row : row + height, column : column + width]
        if draws.flipped is not None and draws.flipped[k]:
            image = image[:, ::-1]
        x = (image / 255 - np.array(MEAN)) / np.array(STD)
        if draws.erased_boxes is not None:
            top, left, tall, wide = draws.erased_boxes[k]
            x[top : top + tall, left : left + wide] = 0
        out[k] = x
    if draws.mix is not None:
        other = out[draws.mix.partner]
        if draws.mix.box is None:
            return draws.mix.share * out + (1 - draws.mix.share) * other
        top, left, bottom, right = draws.mix.box
        out[:, top:bottom, left:right] = other[:, top:bottom, left:right]
    return out


RECIPES = {
    "none": {},
    "flip": {"flip": True},
    "crop": {"crop": 2},
    "erase": {"erase": 0.8},
    "mixup": {"mixup": 0.5},
    "cutmix": {"cutmix": 1.0},
    "all": {"flip": True, "crop": 4, "erase": 0.5, "mixup": 1.0, "cutmix": 1.0},
}


@pytest.mark.parametrize("settings", RECIPES.values(), ids=RECIPES.keys())
@pytest.mark.parametrize("step", [0, 1, 2])
def test_against_loops(settings: dict[str, Any], step: int) -> None:
    pixels = _pixels()
    draws = draw_parameters(Recipe(**settings), step, count=len(pixels), size=(9, 7))
    found = PREPARE(tf.constant(pixels), tensors_of(draws))
    np.testing.assert_allclose(found.numpy(), _expected(pixels, draws), atol=1e-5)


def test_one_compiled_function_serves_all_draws_of_a_kind() -> None:
    traced = []

    @tf.function(autograph=False)
    def prepared(pixels: Any, draws: Any) -> Any:
        traced.append(draws)
        return PREPARE(pixels, draws)

    pixels, recipe = _pixels(), Recipe(flip=True, crop=3, erase=0.5, cutmix=1.0)
    for step in range(3):
        draws = draw_parameters(recipe, step, count=len(pixels), size=(9, 7))
        found = prepared(tf.constant(pixels), tensors_of(draws)).numpy()
        np.testing.assert_allclose(found, _expected(pixels, draws), atol=1e-5)
    assert len(traced) == 1
