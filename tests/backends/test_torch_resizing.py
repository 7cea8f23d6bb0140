"""Resizing in torch, bit for bit Pillow's."""

import numpy as np
import pytest
import torch
from PIL import Image

from resnets.backends.torch.resizing import resize


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("old", "new"), [(28, 96), (28, 20), (31, 12), (9, 40), (33, 32)])
def test_bit_for_bit_as_pillow(old: int, new: int, channels: int) -> None:
    rng = np.random.default_rng(old + channels)
    pixels = rng.integers(0, 256, (5, old, old, channels), dtype=np.uint8)
    pixels[0], pixels[1] = 255, 0
    found = resize(torch.from_numpy(pixels), new)
    for image, ours in zip(pixels, found.numpy(), strict=True):
        picture = Image.fromarray(image.squeeze(-1) if channels == 1 else image)
        expected = np.asarray(picture.resize((new, new), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(ours, expected.reshape(ours.shape))


def test_nothing_is_done_where_the_size_is_right() -> None:
    pixels = torch.zeros((2, 6, 6, 1), dtype=torch.uint8)
    assert resize(pixels, 6) is pixels
