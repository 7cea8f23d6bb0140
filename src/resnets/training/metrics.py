"""Metrics from logits, in NumPy, for every framework alike."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from resnets.backends import Evaluator
from resnets.data.images import Images, Labels, Pixels

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Evaluation:
    """How well logits match labels.

    Attributes:
        loss: mean cross-entropy in nats.
        confusion: images by true class (rows) and predicted class (columns).
    """

    loss: float
    confusion: npt.NDArray[np.int64]

    @property
    def images(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of the images whose largest logit is their label's."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """Share of each class's images that is found, [classes]; nan where there are none."""
        return _ratios(self.confusion.diagonal(), self.confusion.sum(axis=1))

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """Share of each class's predictions that is right, [classes]; nan where none."""
        return _ratios(self.confusion.diagonal(), self.confusion.sum(axis=0))


def confidence_interval(accuracy: float, images: int) -> tuple[float, float]:
    """Give where the accuracy on all such images lies, with a confidence of 95%.

    Wilson's score interval (1927): it also holds for few images and near 0 and 1.
    """
    z = 1.959964
    middle = (accuracy + z * z / (2 * images)) / (1 + z * z / images)
    spread = accuracy * (1 - accuracy) / images + (z / (2 * images)) ** 2
    half = z * math.sqrt(spread) / (1 + z * z / images)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def evaluate(evaluator: Evaluator, images: Images) -> Evaluation:
    """Compute logits for ``images``, batch by batch, and compare them with the labels."""
    logits = np.concatenate(list(iter_logits(evaluator, images)))
    return evaluate_logits(logits, images.labels)


def evaluate_both(evaluator: Evaluator, images: Images) -> tuple[Evaluation, Evaluation]:
    """Evaluate as ``evaluate`` does, and with ``average_mirrored``; the images are read once."""
    plain: list[npt.NDArray[np.float32]] = []

    def evaluate_mirrored(pixels: Pixels) -> npt.NDArray[np.float32]:
        plain.append(evaluator(pixels))
        return _mean_logits(plain[-1], evaluator(flip_horizontally(pixels)))

    both = evaluate(evaluate_mirrored, images)
    return evaluate_logits(np.concatenate(plain), images.labels), both


def average_mirrored(evaluator: Evaluator) -> Evaluator:
    """Average the logits of each image and of its mirror image."""

    def evaluate_mirrored(pixels: Pixels) -> npt.NDArray[np.float32]:
        return _mean_logits(evaluator(pixels), evaluator(flip_horizontally(pixels)))

    return evaluate_mirrored


def _mean_logits(
    one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    return np.float32(0.5) * (one + other)


def flip_horizontally(pixels: Pixels) -> Pixels:
    """Turn left to right: images [n, height, width, channels]."""
    # Not ascontiguousarray: it lets a width of 1 keep its stride below zero, which torch refuses.
    return pixels[:, :, ::-1].copy()


def iter_logits(evaluator: Evaluator, images: Images) -> Iterator[npt.NDArray[np.float32]]:
    """Yield logits batch by batch."""
    for start in range(0, len(images), EVALUATION_BATCH):
        after = start + EVALUATION_BATCH
        images.prefetch(slice(after, after + EVALUATION_BATCH))
        yield evaluator(images[start:after].pixels)


def evaluate_logits(logits: npt.NDArray[np.floating], labels: Labels) -> Evaluation:
    """Compare logits [n, classes] with labels [n]; sums in float64."""
    classes = logits.shape[1]
    own = log_softmax(logits)[np.arange(len(labels)), labels]
    predicted = logits.argmax(axis=1)
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return Evaluation(float(-own.mean()), counts.reshape(classes, classes))


def log_softmax(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Logarithms of the probabilities, [n, classes]."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _ratios(parts: npt.NDArray[np.int64], wholes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.where(wholes > 0, parts / np.maximum(wholes, 1), np.nan)
