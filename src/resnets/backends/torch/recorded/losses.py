"""Losses that stay on the device until they are read, many at a time."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

SECONDS = 1.0
"""How long steps may be under way before a loss is read; each reading makes the device wait."""

FEWEST, MOST = 50, 1024
"""Steps that may be under way."""


class Losses:
    """A ring of losses on a device; each step writes one."""

    def __init__(self, device: torch.device) -> None:
        self.ring = torch.zeros(MOST, device=device)
        self.round = _Round(self)
        self.taken = 0
        self.lag = FEWEST
        self._read = (time.perf_counter(), 0)

    def next(self) -> "RecordedLoss":
        """Give the place of the next step's loss."""
        slot = self.taken % MOST
        if slot == 0 and self.taken:
            self.round.values = self.ring.clone()
            self.round = _Round(self)
        self.taken += 1
        self.round.written = slot + 1
        return RecordedLoss(self.round, slot)

    def paced(self) -> None:
        """Note that losses were read, and choose when the next ones should be."""
        now, (before, taken) = time.perf_counter(), self._read
        speed = (self.taken - taken) / max(now - before, 1e-9)
        self.lag = min(max(round(speed * SECONDS), FEWEST), MOST)
        self._read = (now, self.taken)


class _Round:
    """One filling of the ring; what was not read before the next one is kept."""

    def __init__(self, losses: Losses) -> None:
        self.losses = losses
        self.values: Tensor | None = None
        self.written = 0
        self.known: list[float] = []

    def read(self, slot: int) -> float:
        if slot >= len(self.known):
            values = self.losses.ring if self.values is None else self.values
            self.known = values[: self.written].tolist()
            if self.values is None:
                self.losses.paced()
        return self.known[slot]


@dataclass(frozen=True)
class RecordedLoss:
    """A step's mean loss. Reading one reads all that were taken before."""

    round: _Round
    slot: int

    @property
    def loss(self) -> float:
        return self.round.read(self.slot)
