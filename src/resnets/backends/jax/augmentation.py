"""Pixels as they are stored become a network's input, on the device of the network."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array

from resnets.backends.jax.placement import Placement
from resnets.data.augmentation import AugmentationParameters
from resnets.data.images import Pixels


@dataclass(frozen=True)
class Preparation:
    """Moves batches to the devices, applies the draws, normalises; one compiled function.

    Attributes:
        mean, scale: of a pixel value from 0 to 255, [channels]: it becomes
            (value - mean) * scale.
        placement: where.
    """

    mean: npt.NDArray[Any]
    scale: npt.NDArray[Any]
    placement: Placement

    @staticmethod
    def of(
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        device: jax.Device | Placement,
        dtype: npt.DTypeLike = np.float32,
    ) -> "Preparation":
        """Prepare by ``mean`` and ``std`` of pixel values scaled to 0 to 1."""
        shift, spread = (np.array(v, np.float64) * 255 for v in (mean, std))
        placement = device if isinstance(device, Placement) else Placement((device,))
        return Preparation(shift.astype(dtype), (1 / spread).astype(dtype), placement)

    def __call__(self, pixels: Pixels, draws: AugmentationParameters | None = None) -> Array:
        """Return [n, height, width, channels].

        Erased pixels get the value of the mean.
        """
        draws = AugmentationParameters() if draws is None else draws
        mix = None
        if draws.mix is not None:
            box = None if draws.mix.box is None else np.array(draws.mix.box, np.int32)
            share = self.mean.dtype.type(draws.mix.share)
            mix = {"partner": _index(draws.mix.partner), "share": share, "box": box}
        given = {
            "flipped": draws.flipped,
            "offsets": _index(draws.offsets),
            "erased": _index(draws.erased_boxes),
        }
        own = self.placement.split(len(pixels))
        pixels, given = jax.device_put((pixels, given), own)
        mean, scale, mix = jax.device_put((self.mean, self.scale, mix), self.placement.whole)
        x = _prepare(pixels, mean, scale, {**given, "mix": mix}, border=draws.padding)
        return jax.device_put(x, own)


def _index(array: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int32] | None:
    """JAX has no 64-bit integers unless it is told to."""
    return None if array is None else array.astype(np.int32)


@partial(jax.jit, static_argnames="border")
def _prepare(
    stored: Array, mean: Array, scale: Array, draws: dict[str, Any], *, border: int
) -> Array:
    if draws["flipped"] is not None or draws["offsets"] is not None:
        stored = _cut(stored, draws["flipped"], draws["offsets"], border)
    x = (stored.astype(mean.dtype) - mean) * scale
    if draws["erased"] is not None:
        top, left, tall, wide = draws["erased"].T[:, :, None]
        inside = _is_inside(x, top, left, top + tall, left + wide)
        x = jnp.where(inside, 0, x)
    if draws["mix"] is not None:
        mix = draws["mix"]
        other = x[mix["partner"]]
        if mix["box"] is None:
            x = other + mix["share"] * (x - other)
        else:
            x = jnp.where(_is_inside(x, *mix["box"]), other, x)
    return x


def _cut(stored: Array, flipped: Array | None, offsets: Array | None, border: int) -> Array:
    """Cut [n, h, w, c] out of its black border and mirror it, by one gather."""
    n, height, width, _ = stored.shape
    rows = jnp.broadcast_to(jnp.arange(height), (n, height))
    columns = jnp.broadcast_to(jnp.arange(width), (n, width))
    if flipped is not None:
        columns = jnp.where(flipped[:, None], columns[:, ::-1], columns)
    if offsets is not None:
        stored = jnp.pad(stored, ((0, 0), (border, border), (border, border), (0, 0)))
        rows = rows + offsets[:, :1]
        columns = columns + offsets[:, 1:]
    images = jnp.arange(n)[:, None, None]
    return stored[images, rows[:, :, None], columns[:, None, :]]


def _is_inside(x: Array, top: Array, left: Array, bottom: Array, right: Array) -> Array:
    """Return whether each pixel lies in the rectangle, one for all images or one for each."""
    rows, columns = jnp.arange(x.shape[1]), jnp.arange(x.shape[2])
    tall = jnp.atleast_2d((rows >= top) & (rows < bottom))
    wide = jnp.atleast_2d((columns >= left) & (columns < right))
    return (tall[:, :, None] & wide[:, None, :])[..., None]
