"""Images resized on a device, to the last bit as Pillow does it on the processor.

Pillow's bilinear filter: a triangle, widened where the image shrinks; sums of 22-bit integers,
first along the rows and then along the columns, each rounded to a byte (its ``Resample.c``).
Products of such integers are exact in float64, in whatever order they are added.
"""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_BITS = 22
_IMAGES = 2048
"""Images resized at a time, to bound the memory that it takes."""


def resize(stored: Tensor, size: int) -> Tensor:
    """Resize square uint8 images [n, old, old, channels] to ``size`` pixels a side.

    Square only: for others, versions of Pillow differ in which side they resize first.
    """
    n, old, _, channels = stored.shape
    if old == size:
        return stored
    result = torch.empty((n, size, size, channels), dtype=torch.uint8, device=stored.device)
    sums = torch.from_numpy(shares(old, size)).to(stored.device)
    for start in range(0, n, _IMAGES):
        x = stored[start : start + _IMAGES].double()
        rows = _round(torch.einsum("nhwc,vw->nhvc", x, sums))
        columns = _round(torch.einsum("nhvc,uh->nuvc", rows, sums))
        result[start : start + _IMAGES] = columns.to(torch.uint8)
    return result


def _round(sums: Tensor) -> Tensor:
    return ((sums + 2 ** (_BITS - 1)) * 2.0**-_BITS).floor_().clamp_(0, 255)


def shares(old: int, new: int) -> npt.NDArray[np.float64]:
    """Return what each new pixel has of each old one, [new, old], in units of 2 to the -22."""
    scale = old / new
    wide = max(scale, 1.0)
    found = np.zeros((new, old))
    for i in range(new):
        centre = (i + 0.5) * scale
        least = max(math.floor(centre - wide + 0.5), 0)
        most = min(math.floor(centre + wide + 0.5), old)
        distances = (np.arange(least, most) - centre + 0.5) / wide
        weights = np.maximum(1 - np.abs(distances), 0.0)
        found[i, least:most] = np.floor(0.5 + weights / weights.sum() * 2**_BITS)
    return found
