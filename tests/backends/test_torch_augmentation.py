"""Draws applied to pixels in torch, against loops in NumPy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from resnets.backends.torch.augmentation import Preparation
from resnets.data.augmentation import AugmentationParameters, Mix, draw_parameters
from resnets.recipes.recipe import Recipe

MEAN, STD = (0.2, 0.4, 0.6), (0.3, 0.2, 0.1)
PREPARE = Preparation.of(MEAN, STD, device=torch.device("cpu"))


def _pixels(n: int = 6, height: int = 9, width: int = 7) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def _expected(pixels: npt.NDArray[np.uint8], draws: AugmentationParameters) -> npt.NDArray[Any]:
    n, height, width, _ = pixels.shape
    b, out = draws.padding, np.zeros((n, 3, height, width))
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
        out[k] = x.transpose(2, 0, 1)
    if draws.mix is not None:
        other = out[draws.mix.partner]
        if draws.mix.box is None:
            out = draws.mix.share * out + (1 - draws.mix.share) * other
        else:
            top, left, bottom, right = draws.mix.box
            out[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
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
    found = PREPARE(pixels, draws)
    np.testing.assert_allclose(found.numpy(), _expected(pixels, draws), atol=1e-5)


def test_channels_last_without_a_copy_and_the_stored_pixels_untouched() -> None:
    pixels = _pixels()
    before = pixels.copy()
    mix = Mix(np.arange(6)[::-1].copy(), 0.5, (1, 1, 4, 4))
    found = PREPARE(pixels, AugmentationParameters(np.ones(6, bool), None, 0, None, mix))
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(pixels, before)
