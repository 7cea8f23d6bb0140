"""Pixels as they are stored become a network's input.

Images are cut and mirrored by NumPy as bytes, which is copying; values are computed on the
device of the network.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.transfer import to_device
from resnets.data.augmentation import AugmentationParameters, Index, Mix
from resnets.data.images import Pixels


@dataclass(frozen=True)
class Preparation:
    """Moves batches to the device, applies the draws, normalises.

    Attributes:
        mean, scale: of a pixel value from 0 to 255, [1, channels, 1, 1]: it becomes
            (value - mean) * scale.
    """

    mean: Any
    scale: Any

    @staticmethod
    def of(
        mean: tuple[float, ...], std: tuple[float, ...], *, device: Any, dtype: str = "float32"
    ) -> "Preparation":
        """Prepare by ``mean`` and ``std`` of pixel values scaled to 0 to 1."""
        shift = np.array(mean)[None, :, None, None] * 255
        scale = 1 / (np.array(std)[None, :, None, None] * 255)
        shift, scale = (to_device(v, device, dtype) for v in (shift, scale))
        return Preparation(shift, scale)

    def __call__(self, pixels: Pixels, draws: AugmentationParameters | None = None) -> Any:
        """Return [n, channels, height, width]; erased pixels get the value of the mean."""
        if draws is not None and (draws.flipped is not None or draws.offsets is not None):
            pixels = _cut(pixels, draws)
        channels_first = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        stored = to_device(channels_first, self.mean.context, "uint8")
        x = (stored.astype(self.mean.dtype) - self.mean) * self.scale
        if draws is None:
            return x
        if draws.erased_boxes is not None:
            x = x * self._array(~_is_inside(draws.erased_boxes, x.shape[2], x.shape[3]))
        return x if draws.mix is None else self._mix(x, draws.mix)

    def _mix(self, x: Any, mix: Mix) -> Any:
        other = mx.nd.take(x, to_device(mix.partner, x.context, "int32"))
        if mix.box is None:
            return x * mix.share + other * (1 - mix.share)
        top, left, bottom, right = mix.box
        own = np.ones((1, 1, x.shape[2], x.shape[3]), np.bool_)
        own[:, :, top:bottom, left:right] = False
        mask = mx.nd.broadcast_like(self._array(own), x)
        return mx.nd.where(mask, x, other)

    def _array(self, values: npt.NDArray[np.bool_]) -> Any:
        return to_device(values, self.mean.context, self.mean.dtype)


def _cut(pixels: Pixels, draws: AugmentationParameters) -> Pixels:
    """Cut [n, height, width, c] out of its black border and mirror it."""
    n, height, width, _ = pixels.shape
    b = draws.padding
    bordered = np.pad(pixels, ((0, 0), (b, b), (b, b), (0, 0))) if b else pixels
    result = np.empty_like(pixels)
    for k in range(n):
        row, column = (0, 0) if draws.offsets is None else draws.offsets[k]
        image = bordered[k, row : row + height, column : column + width]
        mirrored = draws.flipped is not None and draws.flipped[k]
        result[k] = image[:, ::-1] if mirrored else image
    return result


def _is_inside(erased: Index, height: int, width: int) -> npt.NDArray[np.bool_]:
    """Return whether each pixel lies in its image's rectangle, [n, 1, height, width]."""
    top, left, tall, wide = erased.T[:, :, None]
    y, x = np.arange(height), np.arange(width)
    rows = (y >= top) & (y < top + tall)
    columns = (x >= left) & (x < left + wide)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
