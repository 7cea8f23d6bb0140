"""The training images on the device."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from resnets.data.images import Images


@dataclass(frozen=True)
class Placed:
    """Images on a device.

    Attributes:
        pixels: as they are stored, [n, height, width, channels], uint8.
        labels: [n], int64.
    """

    pixels: Tensor
    labels: Tensor


def fits(images: Images, device: torch.device, *, share: float) -> bool:
    """Return whether the images take no more than ``share`` of the device's free memory."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return math.prod(images.shape) <= share * free


def place(images: Images, device: torch.device) -> Placed:
    """Copy all images to the device, piece by piece: they may lie on a disk."""
    pixels = torch.empty(images.shape, dtype=torch.uint8, device=device)
    start = 0
    for piece in images.iter_chunks():
        end = start + len(piece)
        pixels[start:end].copy_(torch.from_numpy(np.require(piece, requirements="CW")))
        start = end
    return Placed(pixels, torch.from_numpy(np.array(images.labels, np.int64)).to(device))
