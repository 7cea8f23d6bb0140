"""Losses that stay on the device until they are read, many at a time."""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SECONDS = 1.0
"""How long steps may be under way before a loss is read; each reading makes the device wait."""

FEWEST, MOST = 50, 1024
"""Steps that may be under way."""


class Losses:
    """A ring of losses on a device; each step writes a row: the mean, and where they are wanted
    those of its images, of which there are ``images`` at most.
    """

    def __init__(self, device: torch.device, images: int = 0) -> None:
        self.ring = torch.zeros(MOST, 1 + images, device=device)
        self.round = _Round(self)
        self.taken = 0
        self.max_in_flight = FEWEST
        self._read = (time.perf_counter(), 0)

    def write(self, slot: Tensor, *, losses: Tensor, mean: Tensor) -> None:
        """Put a step's losses in the row that lies on the device, [1]."""
        row = mean.detach().reshape(1).float()
        if self.ring.shape[1] > 1:
            row = torch.cat([row, losses.detach().float()])
        self.ring[:, : len(row)].index_copy_(0, slot, row[None])

    def next(self, images: int) -> "RecordedLoss":
        """Return the place of the losses of the next step, on so many images."""
        slot = self.taken % MOST
        if slot == 0 and self.taken:
            self.round.values = self.ring.clone()
            self.round = _Round(self)
        self.taken += 1
        self.round.written = slot + 1
        return RecordedLoss(self.round, slot, images)

    def set_pace(self) -> None:
        """Note that losses were read, and choose when the next ones should be."""
        now, (before, taken) = time.perf_counter(), self._read
        speed = (self.taken - taken) / max(now - before, 1e-9)
        self.max_in_flight = min(max(round(speed * SECONDS), FEWEST), MOST)
        self._read = (now, self.taken)


class _Round:
    """One filling of the ring; what was not read before the next one is kept."""

    def __init__(self, losses: Losses) -> None:
        self.losses = losses
        self.values: Tensor | None = None
        self.written = 0
        self.known: npt.NDArray[np.float32] = np.empty((0, 1), np.float32)

    def read(self, slot: int) -> npt.NDArray[np.float32]:
        if slot >= len(self.known):
            values = self.losses.ring if self.values is None else self.values
            self.known = values[: self.written].cpu().numpy().copy()
            if self.values is None:
                self.losses.set_pace()
        return self.known[slot]


@dataclass(frozen=True)
class RecordedLoss:
    """A step's losses. Reading one reads all that were taken before."""

    round: _Round
    slot: int
    images: int

    @property
    def loss(self) -> float:
        return float(self.round.read(self.slot)[0])

    @property
    def losses(self) -> npt.NDArray[np.float32]:
        return self.round.read(self.slot)[1 : 1 + self.images]
