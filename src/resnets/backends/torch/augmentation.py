"""Pixels as they are stored become a network's input, on the device of the network."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from resnets.data.augmentation import AugmentationParameters
from resnets.data.images import Pixels


@dataclass(frozen=True)
class Preparation:
    """Moves batches to the device, applies the draws, normalises.

    Attributes:
        mean, scale: of a pixel value from 0 to 255, [channels, 1, 1]: it becomes
            (value - mean) * scale.
    """

    mean: Tensor
    scale: Tensor

    @staticmethod
    def of(
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> "Preparation":
        """Prepare by ``mean`` and ``std`` of pixel values scaled to 0 to 1."""
        shift = torch.tensor(mean, dtype=dtype, device=device)[:, None, None] * 255
        scale = 1 / (torch.tensor(std, dtype=dtype, device=device)[:, None, None] * 255)
        return Preparation(shift, scale)

    def __call__(self, pixels: Pixels, draws: AugmentationParameters | None = None) -> Tensor:
        """Return [n, channels, height, width], channels last in memory.

        Erased pixels get the value of the mean.
        """
        device = self.mean.device
        stored = torch.from_numpy(pixels)
        if device.type == "cuda":
            stored = stored.pin_memory().to(device, non_blocking=True)
        else:
            stored = stored.to(device)
        if draws is None:
            return self.normalise(stored)
        if draws.flipped is not None or draws.offsets is not None:
            stored = _cut(stored, draws)
        x = self.normalise(stored)
        if draws.erased_boxes is not None:
            x = x.masked_fill(is_inside(torch.from_numpy(draws.erased_boxes).to(device), x), 0)
        if draws.mix is not None:
            other = x[torch.from_numpy(draws.mix.partner).to(device)]
            if draws.mix.box is None:
                x = torch.lerp(other, x, draws.mix.share)
            else:
                top, left, bottom, right = draws.mix.box
                x[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
        return x

    def normalise(self, stored: Tensor) -> Tensor:
        """Return stored images [n, h, w, c] as [n, c, h, w], shifted and scaled."""
        # A permuted view of [n, height, width, channels] is channels-last already: no copy.
        return (stored.permute(0, 3, 1, 2).to(self.mean.dtype) - self.mean) * self.scale


def _cut(stored: Tensor, draws: AugmentationParameters) -> Tensor:
    """Cut [n, h, w, c] out of its black border and mirror it, by one gather."""
    n, height, width, _ = stored.shape
    rows = np.broadcast_to(np.arange(height), (n, height))
    columns = np.broadcast_to(np.arange(width), (n, width))
    if draws.flipped is not None:
        columns = np.where(draws.flipped[:, None], columns[:, ::-1], columns)
    if draws.offsets is not None:
        b = draws.padding
        stored = torch.nn.functional.pad(stored, (0, 0, b, b, b, b))
        rows = rows + draws.offsets[:, :1]
        columns = columns + draws.offsets[:, 1:]
    images = torch.arange(n, device=stored.device)
    y = torch.from_numpy(rows.copy()).to(stored.device)
    x = torch.from_numpy(columns.copy()).to(stored.device)
    return stored[images[:, None, None], y[:, :, None], x[:, None, :]]


def is_inside(erased: Tensor, x: Tensor) -> Tensor:
    """Return whether each pixel of ``x`` lies in its image's rectangle, [n, 1, height, width]."""
    top, left, tall, wide = erased[:, :, None].unbind(1)
    y = torch.arange(x.shape[2], device=x.device)
    z = torch.arange(x.shape[3], device=x.device)
    rows = (y >= top) & (y < top + tall)
    columns = (z >= left) & (z < left + wide)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
