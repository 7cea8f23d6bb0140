"""The work that every contender does: one network, one size, one batch."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from resnets.networks.architecture import Architecture
from resnets.networks.layers import Trace
from resnets.networks.memory import training_memory
from resnets.networks.tracing import trace
from resnets.schema import from_json, to_json

Purpose = Literal["training", "inference"]

FEWEST_BATCHES, MOST_BATCHES = 2, 8
IMAGE_BYTES = 2**26
"""Most bytes of stored images that a process draws, unless two batches are larger."""

FP32_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Work:
    """One network at one size.

    Attributes:
        architecture: the network.
        size: height and width of its images in pixels.
        batch: images in a step.
        purpose: training or inference.
        precision: of our own contenders: auto, fp32, bf16 or fp64.
        device: as the framework calls it, or auto.
    """

    architecture: Architecture
    size: int
    batch: int
    purpose: Purpose
    precision: str = "auto"
    device: str = "auto"

    def trace(self) -> Trace:
        """Return the network's layers at this size."""
        return trace(self.architecture, self.size)

    def batches(self) -> tuple[int, ...]:
        """Return the batches to measure; inference includes a single image."""
        return (self.batch,) if self.purpose == "training" else tuple(sorted({1, self.batch}))

    def count_drawn_batches(self) -> int:
        """Count the batches that ``draw_images`` draws."""
        fitting = IMAGE_BYTES // (self.batch * self.size**2 * self.architecture.channels)
        return min(max(fitting, FEWEST_BATCHES), MOST_BATCHES)

    def draw_images(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """Draw a few batches of noise [n, size, size, channels], and labels [n].

        The time of a step does not depend on what the images show.
        """
        rng, a = np.random.default_rng(0), self.architecture
        count = self.batch * self.count_drawn_batches()
        pixels = rng.integers(0, 256, (count, self.size, self.size, a.channels), dtype=np.uint8)
        return pixels, rng.integers(0, a.classes, count)

    def step_multiply_adds(self) -> int:
        """Return a step's multiply-adds for one image.

        Training makes three passes; the gradient of the images themselves is not needed.
        """
        steps = self.trace()
        if self.purpose == "inference":
            return steps.multiply_adds
        first = (
            layer.multiply_adds
            for layer in steps.layers
            if layer.operation == "convolution"
            and steps.by_name[layer.inputs[0]].operation == "input"
        )
        return 3 * steps.multiply_adds - sum(first)

    def estimate_memory(self, *, on_cpu: bool) -> int:
        """Estimate the bytes that the images and a step in fp32 take in main memory."""
        steps, batch = self.trace(), self.batch
        drawn = batch * self.count_drawn_batches() * self.size**2 * self.architecture.channels
        images = drawn * (1 + FP32_BYTES)  # as bytes and as floats
        if not on_cpu:
            return images
        if self.purpose == "training":
            return images + training_memory(steps, batch).total
        # An output, what it is computed from, and the shortcut that waits.
        largest = sorted(layer.output_size for layer in steps.layers)[-3:]
        return images + FP32_BYTES * (batch * sum(largest) + steps.parameters)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, for another process."""
        return {**asdict(self), "architecture": to_json(self.architecture)}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Work":
        """Read what ``to_json`` returned."""
        architecture: Architecture = from_json(Architecture, value["architecture"], "architecture")
        others: dict[str, Any] = {n: v for n, v in value.items() if n != "architecture"}
        return Work(architecture=architecture, **others)
