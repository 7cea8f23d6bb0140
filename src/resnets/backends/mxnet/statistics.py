"""Running statistics of batch norms, by the definition in ``architecture.Norm``.

MXNet's operator moves the running variance towards the biased variance of the batch, and has the
decay in single precision. What it did to the statistics is corrected after each step.
"""

from typing import Any

import numpy as np

from resnets.networks.architecture import Architecture
from resnets.networks.tracing import trace


class Statistics:
    """The running means and variances of a network in training.

    Attributes:
        parameters: of the network, by canonical name.
    """

    def __init__(self, architecture: Architecture, parameters: dict[str, Any]) -> None:
        self.architecture = architecture
        self.parameters = parameters
        self._pixels: dict[tuple[int, int], dict[str, int]] = {}

    def copy(self, height: int, width: int) -> dict[str, Any]:
        """Copy the statistics as they are before a step on images of that size."""
        return {n: self.parameters[n].data().copy() for n in self._count_pixels(height, width)}

    def correct(self, before: dict[str, Any], images: tuple[int, ...]) -> None:
        """Correct what the operator made of ``before``, for images [n, c, height, width].

        new = kept * old + (1 - kept) * batch is the operator's; ``batch`` follows from it.
        """
        decay = self.architecture.norm.decay
        kept = np.float32(decay)
        share = (1 - decay) / float(np.float32(1) - kept)
        for name, pixels in self._count_pixels(*images[2:]).items():
            count = images[0] * pixels
            unbiased = count / max(count - 1, 1) if name.endswith("running_var") else 1.0
            value = self.parameters[name].data()
            value *= share * unbiased
            value += before[name] * (decay - share * unbiased * float(kept))

    def _count_pixels(self, height: int, width: int) -> dict[str, int]:
        """Pixels of an image's map that each statistic is of, by name."""
        size = (height, width)
        if size not in self._pixels:
            self._pixels[size] = {
                tensor.name: layer.shape[1] * layer.shape[2]
                for layer in trace(self.architecture, size).layers
                for tensor in layer.tensors
                if not tensor.is_parameter
            }
        return self._pixels[size]
