"""The chapter's data: Fashion-MNIST in batches, the samples in a new order each epoch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from resnets import data as sources
from resnets.chapter.arguments import check_whole
from resnets.chapter.board import is_notebook
from resnets.chapter.hyperparameters import HyperParameters
from resnets.data.fashion_mnist.loading import CLASS_NAMES
from resnets.data.images import Images
from resnets.errors import InvalidDescription, Problem

Array = npt.NDArray[Any]
Convert = Callable[[Array], Any]
"""From a NumPy array to the framework's own."""


LARGEST = 1024
"""Pixels a side that images may be resized to: 70,000 of them are 73 GB then."""


class Loader:
    """Batches of arrays that belong together, as the framework's own arrays.

    Each pass gives every sample once. Shuffled, single samples are drawn, not whole batches, in
    an order that follows from the seed and the number of the pass.
    """

    def __init__(
        self,
        read: Callable[[npt.NDArray[np.int64]], Sequence[Array]],
        count: int,
        batch_size: int,
        convert: Convert,
        *,
        shuffle: bool,
        seed: int = 0,
    ) -> None:
        self.read, self.count, self.batch_size = read, count, batch_size
        self.convert, self.shuffle, self.seed = convert, shuffle, seed
        self.passes = 0

    def __len__(self) -> int:
        """Batches of a pass; the last may be smaller."""
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        order = np.arange(self.count)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.passes]).permutation(self.count)
        self.passes += 1
        for start in range(0, self.count, self.batch_size):
            index = order[start : start + self.batch_size]
            yield tuple(self.convert(array) for array in self.read(index))


class DataModule(HyperParameters):
    """What gives a trainer its batches; a reader's own overrides ``get_dataloader``."""

    batch_size: int

    def __init__(self, root: str = "../data", num_workers: int = 4) -> None:
        self.save_hyperparameters()

    @staticmethod
    def array(values: Array) -> Any:
        """Turn a NumPy array into the framework's own; each tab has its way."""
        return values

    def get_dataloader(self, train: bool) -> Any:
        """Give batches to train on, or to validate with."""
        raise NotImplementedError(f"{type(self).__name__} needs a method get_dataloader(train)")

    def train_dataloader(self) -> Any:
        """Give batches to train on."""
        return self.get_dataloader(train=True)

    def val_dataloader(self) -> Any:
        """Give batches to validate with."""
        return self.get_dataloader(train=False)

    def get_tensorloader(
        self, tensors: Sequence[Any], train: bool, indices: slice = slice(0, None)
    ) -> Loader:
        """Give batches of arrays that belong together, shuffled to train on."""
        chosen = [as_numpy(tensor)[indices] for tensor in tensors]
        return Loader(
            lambda index: [array[index] for array in chosen],
            len(chosen[0]),
            self.batch_size,
            self.array,
            shuffle=train,
        )


class FashionMNIST(DataModule):
    """Fashion-MNIST, its pixels from 0 to 1, and its 10,000 test images to validate with.

    The chapter calls the test images validation images and chooses nothing by them. Images are
    float32 [n, 1, height, width], or [n, height, width, 1] in TensorFlow and JAX; labels are
    whole numbers [n] from 0 to 9.

    ``resize`` is a number of pixels a side, or two that are equal; None leaves the 28 × 28.

    Attributes:
        train, val: the images as they are stored, uint8.
        seed: of the order in which samples are drawn.

    Raises:
        DataError: where the data set cannot be had; lists what was tried.
        InvalidDescription: for a size or a batch that cannot be.
    """

    channels_first = True

    def __init__(
        self,
        batch_size: int = 64,
        resize: int | tuple[int, int] | None = (28, 28),
        *,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.batch_size = check_whole("FashionMNIST", "batch_size", value=batch_size)
        self.seed = seed
        dataset = sources.load_dataset(
            "fashion_mnist", size=_parse_size(resize), announce=_print_announcement
        )
        self.train, self.val = dataset.training, dataset.test()

    def text_labels(self, indices: Sequence[int]) -> list[str]:
        """Give the names of classes by their numbers."""
        return [CLASS_NAMES[int(i)] for i in indices]

    def get_dataloader(self, train: bool) -> Loader:
        """Give batches of images and labels; to train on, in a new order each time."""
        images = self.train if train else self.val
        return Loader(
            lambda index: self._read(images, index),
            len(images),
            self.batch_size,
            self.array,
            shuffle=train,
            seed=self.seed,
        )

    def _read(self, images: Images, index: npt.NDArray[np.int64]) -> Sequence[Array]:
        chosen = images[index]
        pixels = chosen.pixels.astype(np.float32) / np.float32(255)
        if self.channels_first:
            pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        return pixels, chosen.labels

    def visualize(
        self, batch: Sequence[Any], nrows: int = 1, ncols: int = 8, labels: Sequence[str] = ()
    ) -> Any:
        """Draw the first images of a batch with their labels' names; gives the figure.

        In a notebook it is shown where the call is a cell's last line.
        """
        from matplotlib.figure import Figure

        images, numbers = (as_numpy(part) for part in batch[:2])
        if self.channels_first:
            images = images.transpose(0, 2, 3, 1)
        titles = labels or self.text_labels(numbers.tolist())
        figure = Figure(figsize=(1.5 * ncols, 1.7 * nrows), layout="tight")
        grid = figure.subplots(nrows, ncols, squeeze=False)
        for axes, image, title in zip(grid.flat, images, titles, strict=False):
            axes.imshow(image.squeeze(), cmap="gray")
            axes.set_title(title, fontsize=9)
        for axes in grid.flat:
            axes.set_axis_off()
        return figure


def as_numpy(array: Any) -> Array:
    """Copy a framework's array to NumPy; MXNet's goes only when it is asked by name."""
    return array.asnumpy() if hasattr(array, "asnumpy") else np.asarray(array)


def _parse_size(resize: Any) -> int:
    """Give the number of pixels a side; None leaves the images as they are."""
    if resize is None:
        return 28
    sides: tuple[Any, ...] = (resize, resize)
    if isinstance(resize, (tuple, list)):
        sides = tuple(cast("Any", resize))
    if len(sides) != 2 or sides[0] != sides[1]:
        message = f"{resize!r} is not square, such as (96, 96); the images are"
        raise InvalidDescription("FashionMNIST", [Problem("resize", message)])
    return check_whole("FashionMNIST", "resize", value=sides[0], most=LARGEST)


def _print_announcement(text: str) -> None:
    """Say what is fetched: on standard error, or in a notebook's output."""
    import sys

    print(text, file=sys.stdout if is_notebook() else sys.stderr)
