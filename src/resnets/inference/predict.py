"""Naming what images show: files and folders of them, each read as the network wants it."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from resnets.data.decoding import open_image, silence_decoders
from resnets.data.listing import find_images
from resnets.errors import DataError, RunError
from resnets.inference.evaluate import load_network, make_evaluator
from resnets.networks.network import Network
from resnets.training.metrics import log_softmax

PREDICTION_BATCH = 64
LARGEST_INPUT = 256 * 2**20
"""Bytes of an image taken from standard input."""


@dataclass(frozen=True)
class Prediction:
    """What an image shows, or why it could not be read.

    Attributes:
        image: the file's path, or ``-`` for standard input.
        classes: names and probabilities, the likeliest first.
        error: what was wrong with the image; None if nothing.
    """

    image: str
    classes: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the prediction as JSON values."""
        if self.error is not None:
            return {"image": self.image, "error": self.error}
        classes = [{"class": name, "probability": share} for name, share in self.classes]
        return {"image": self.image, "classes": classes}


def predict_images(
    folder: Path | str,
    images: Sequence[str],
    *,
    top: int,
    framework: str,
    device: str,
    announce: Callable[[str], None] = lambda _: None,
    engine: str | None = None,
    mirror: bool = False,
) -> Iterator[Prediction]:
    """Yield a prediction for each image file, in order; folders give those to train on within.

    ``folder`` may be any source that ``resnets.convert.receive`` reads; ``announce`` is told
    what had to be assumed of it, and which files are left aside; ``engine`` computes in place of
    the framework (``resnets.export``); ``mirror`` averages the logits of each image and of its
    mirror image.

    Raises:
        WeightsError: if the network cannot be had; RunError: if ``top`` is below 1.
        DataError: if a folder holds no images, or may not be read.
    """
    if top < 1:
        raise RunError(f"--top {top}: at least one class is named")
    network = load_network(folder, announce)
    logits = make_evaluator(
        network, folder, framework=framework, device=device, engine=engine, mirror=mirror
    )
    for sources in _iter_batches(expand_paths(images, announce)):
        with silence_decoders():
            read = [read_image(source, network) for source in sources]
        good = [pixels for pixels in read if isinstance(pixels, np.ndarray)]
        shares = iter(np.exp(log_softmax(logits(np.stack(good)))) if good else ())
        for source, pixels in zip(sources, read, strict=True):
            if isinstance(pixels, str):
                yield Prediction(source, error=pixels)
                continue
            yield Prediction(source, top_classes(next(shares), network.class_names, top=top))


def top_classes(
    shares: "np.ndarray[Any, Any]", names: Sequence[str], *, top: int
) -> tuple[tuple[str, float], ...]:
    """Give names and probabilities of the ``top`` likeliest of all classes, the likeliest first."""
    best: list[int] = np.argsort(-shares, kind="stable")[:top].tolist()
    return tuple((names[i], float(shares[i])) for i in best)


def read_image(source: str, network: Network) -> "np.ndarray[Any, Any] | str":
    """Read an image as the network wants it; where that fails, say why instead."""
    size, channels = network.preprocessing.size, network.architecture.channels
    try:
        if source == "-":
            content = sys.stdin.buffer.read(LARGEST_INPUT + 1)
            if len(content) > LARGEST_INPUT:
                return f"standard input: over {LARGEST_INPUT} bytes"
            return open_image(content, size=size, channels=channels, name="standard input")
        return open_image(Path(source), size=size, channels=channels)
    except DataError as error:
        return str(error)


def expand_paths(images: Sequence[str], announce: Callable[[str], None]) -> Iterator[str]:
    """Give the files named, whatever they are, and the images in the folders named."""
    for image in images:
        if not Path(image).is_dir():
            yield image
            continue
        inside, ignored = find_images(Path(image))
        if not inside:
            raise DataError(f"{image}: a folder without images")
        if ignored:
            announce(f"note: {image}: ignored {ignored} files that are hidden or not images")
        yield from map(str, inside)


def _iter_batches(items: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for item in items:
        batch.append(item)
        if len(batch) == PREDICTION_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
