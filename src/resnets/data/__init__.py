"""Sources of labelled images: Fashion-MNIST by name, a folder of images by path."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from resnets.data import folder
from resnets.data.fashion_mnist import loading
from resnets.data.images import Dataset, Images
from resnets.errors import DataError
from resnets.progress_bar import count_bar

NAMES = ("fashion_mnist",)


def load_dataset(
    name: str, *, size: int, announce: Callable[[str], None] = lambda _: None
) -> Dataset:
    """Load a data set by name or by the path of its folder, at ``size`` pixels a side.

    Raises:
        DataError: if it cannot be had, or is not what it should be.
    """
    if name == "fashion_mnist":
        return resize_dataset(loading.load(announce=announce), size)
    if not name or not Path(name).exists():
        raise DataError(
            f"no data set is called {name!r} and no folder is there "
            f"(data sets: {', '.join(NAMES)}; or a folder with one folder of images a class)"
        )
    return folder.load_folder(Path(name), size=size, announce=announce)


def resize_dataset(dataset: Dataset, size: int) -> Dataset:
    """Resize all images to ``size`` pixels a side, bilinearly as Pillow and torchvision do."""
    return dataclasses.replace(
        dataset,
        training=_resize_images(dataset.training, size),
        test=lambda: _resize_images(dataset.test(), size),
    )


def _resize_images(images: Images, size: int) -> Images:
    n, height, width, channels = images.shape
    if (height, width) == (size, size):
        return images
    result = np.empty((n, size, size, channels), np.uint8)

    def resize(number: int) -> None:
        picture = Image.fromarray(images.pixels[number].squeeze())
        small = picture.resize((size, size), Image.Resampling.BILINEAR)
        result[number] = np.asarray(small).reshape(size, size, channels)

    with ThreadPoolExecutor() as pool:  # Pillow resizes outside Python's lock
        for _ in pool.map(resize, range(n), chunksize=256):
            pass
    return Images(result, images.labels)


def mean_and_std(images: Images) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Give each channel's mean and deviation, of values scaled to 0 to 1; exact, from counts.

    A channel of one value has deviation 0, which no one can divide by: 1 is given instead.
    """
    counts = np.array(images.cached("values", lambda: _histograms(images).tolist()), np.int64)
    values = np.arange(256) / 255
    mean = (counts * values).sum(axis=1) / counts.sum(axis=1)
    variance = (counts * (values - mean[:, None]) ** 2).sum(axis=1) / counts.sum(axis=1)
    std = np.where(variance > 0, np.sqrt(variance), 1.0)
    return tuple(mean.tolist()), tuple(std.tolist())


def _histograms(images: Images) -> npt.NDArray[np.int64]:
    """Count each value of each channel, [channels, 256]; Pillow counts three times as fast."""
    channels = images.shape[3]
    counts = np.zeros((channels, 256), np.int64)
    with count_bar("counting pixel values", len(images)) as advance:
        for piece in images.iter_chunks():
            rows = piece.reshape(len(piece) * piece.shape[1], piece.shape[2], channels)
            picture = Image.fromarray(rows.squeeze(axis=2) if channels == 1 else rows)
            counts += np.reshape(picture.histogram(), (channels, 256))
            advance(len(piece))
    return counts
