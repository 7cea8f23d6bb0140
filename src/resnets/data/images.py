"""What every source of images gives: pixels and labels as plain arrays."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""Images, [n, height, width, channels], 0 to 255."""

Labels = npt.NDArray[np.int64]
"""Class numbers, [n], from 0."""


@dataclass(frozen=True)
class Images:
    """Labelled images of one size, in memory."""

    pixels: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: "npt.NDArray[np.int64] | slice") -> "Images":
        return Images(self.pixels[index], self.labels[index])


@dataclass(frozen=True)
class Dataset:
    """A named data set: images to train on, images to test on, and what the classes are called.

    ``test`` is a function because the test set is read once, at the end of a run; a source
    checks the test files when it is opened, so that the call cannot fail hours later.
    """

    name: str
    class_names: tuple[str, ...]
    training: Images
    test: Callable[[], Images]

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return self.training.pixels.shape[3]
