"""What is measured: the same for every process."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from resnets.networks.architecture import Architecture
from resnets.networks.layers import Trace
from resnets.networks.tracing import trace
from resnets.schema import from_json, to_json

Purpose = Literal["training", "inference"]

MOST_BATCHES, FEWEST_BATCHES = 8, 2
LARGEST_SET = 2**26
"""Bytes of stored images that a process draws, unless two batches are more."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One network at one size.

    Attributes:
        architecture: the network.
        size: height and width of its images in pixels.
        batch: images in a step.
        purpose: training or inference.
        precision: of our own rows: auto, fp32, bf16 or fp64.
        device: as the framework calls it, or auto.
    """

    architecture: Architecture
    size: int
    batch: int
    purpose: Purpose
    precision: str = "auto"
    device: str = "auto"

    def trace(self) -> Trace:
        """Give the network's layers at this size."""
        return trace(self.architecture, self.size)

    def batches(self) -> tuple[int, ...]:
        """Give the batches that are measured: for inference one image, too."""
        return (self.batch,) if self.purpose == "training" else tuple(sorted({1, self.batch}))

    def images(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Draw images [n, size, size, channels] and labels [n], a few batches of them.

        They are noise: the time of a step does not depend on what they show.
        """
        rng, a = np.random.default_rng(0), self.architecture
        count = self.batch * self.drawn_batches()
        pixels = rng.integers(0, 256, (count, self.size, self.size, a.channels), dtype=np.uint8)
        return pixels, rng.integers(0, a.classes, count)

    def drawn_batches(self) -> int:
        """Count the batches that ``images`` draws."""
        room = LARGEST_SET // (self.batch * self.size**2 * self.architecture.channels)
        return min(max(room, FEWEST_BATCHES), MOST_BATCHES)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values, for another process."""
        return {**asdict(self), "architecture": to_json(self.architecture)}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Work":
        """Read what ``to_json`` gave."""
        described: Architecture = from_json(Architecture, value["architecture"], "architecture")
        others: dict[str, Any] = {n: v for n, v in value.items() if n != "architecture"}
        return Work(architecture=described, **others)
