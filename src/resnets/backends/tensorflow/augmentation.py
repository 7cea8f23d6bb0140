"""Pixels as they are stored become a network's input, in TensorFlow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from resnets.data.augmentation import AugmentationParameters

Tensors = dict[str, Any]


def tensors_of(draws: AugmentationParameters) -> Tensors:
    """Return the drawn parameters as tensors by name, without those that were not drawn.

    The names are those of ``AugmentationParameters`` and of its ``Mix``: a compiled step is traced
    once for each set of them.
    """
    found: dict[str, Any] = {"flipped": draws.flipped, "erased": draws.erased_boxes}
    if draws.offsets is not None:
        found |= {"offsets": draws.offsets, "border": draws.padding}
    if draws.mix is not None:
        mix = draws.mix
        share = np.float64(mix.share)
        found |= {"partner": mix.partner, "share": share, "box": mix.box}
    found["branches"] = draws.drop_path_scales
    return {name: tf.constant(value) for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Preparation:
    """Applies the draws, normalises.

    Attributes:
        mean, scale: of a pixel value from 0 to 255, [channels]: it becomes
            (value - mean) * scale.
    """

    mean: npt.NDArray[Any]
    scale: npt.NDArray[Any]

    @staticmethod
    def of(
        mean: tuple[float, ...], std: tuple[float, ...], *, dtype: str = "float32"
    ) -> "Preparation":
        """Prepare by ``mean`` and ``std`` of pixel values scaled to 0 to 1."""
        return Preparation(np.array(mean, dtype) * 255, 1 / (np.array(std, dtype) * 255))

    def __call__(self, stored: Any, draws: Mapping[str, Any] | None = None) -> Any:
        """Return [n, height, width, channels] for ``stored`` of that shape.

        Erased pixels get the value of the mean.
        """
        draws = draws or {}
        if "flipped" in draws or "offsets" in draws:
            stored = _cut(stored, draws)
        x = (tf.cast(stored, self.mean.dtype) - self.mean) * self.scale
        if "erased" in draws:
            top, left, tall, wide = tf.unstack(draws["erased"][:, :, None], axis=1)
            x = tf.where(
                _is_inside(x, top, left, top + tall, left + wide), tf.zeros([], x.dtype), x
            )
        if "partner" in draws:
            other = tf.gather(x, draws["partner"])
            if "box" in draws:
                sides = tf.cast(draws["box"], tf.int64)[:, None, None]
                return tf.where(_is_inside(x, *tf.unstack(sides)), other, x)
            x = other + tf.cast(draws["share"], x.dtype) * (x - other)
        return x


def _cut(stored: Any, draws: Mapping[str, Any]) -> Any:
    """Cut [n, h, w, c] out of its black border and mirror it."""
    n, height, width, _ = tf.unstack(tf.shape(stored, tf.int64))
    rows = tf.broadcast_to(tf.range(height), [n, height])
    columns = tf.broadcast_to(tf.range(width), [n, width])
    if "flipped" in draws:
        columns = tf.where(draws["flipped"][:, None], columns[:, ::-1], columns)
    if "offsets" in draws:
        b = draws["border"]
        stored = tf.pad(stored, [[0, 0], [b, b], [b, b], [0, 0]])
        rows += draws["offsets"][:, :1]
        columns += draws["offsets"][:, 1:]
    stored = tf.gather(stored, rows, axis=1, batch_dims=1)
    return tf.gather(stored, columns, axis=2, batch_dims=1)


def _is_inside(x: Any, top: Any, left: Any, bottom: Any, right: Any) -> Any:
    """Return whether each pixel lies in its image's rectangle, [n, height, width, 1].

    Sides are [n, 1].
    """
    shape = tf.shape(x, tf.int64)
    y, z = tf.range(shape[1]), tf.range(shape[2])
    rows = (y >= top) & (y < bottom)
    columns = (z >= left) & (z < right)
    return (rows[:, :, None] & columns[:, None, :])[..., None]
