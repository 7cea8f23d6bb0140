"""Arrays on the host that copies to the device leave from without anybody waiting."""

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor


class Staging:
    """A few arrays like ``target``, used in turn; one is filled while others are on their way.

    On a GPU they are page-locked: only from there does a copy go on beside other work.
    """

    def __init__(self, target: Tensor, count: int) -> None:
        self.target = target
        on_gpu = target.device.type == "cuda"
        count = count if on_gpu else 1
        self.sources = [
            torch.empty(target.shape, dtype=target.dtype, pin_memory=on_gpu) for _ in range(count)
        ]
        self.sent: list[Any] = [torch.cuda.Event() if on_gpu else None for _ in range(count)]
        self.turn = 0

    def array(self) -> npt.NDArray[Any]:
        """Return the next array to fill; waits only where its last copy has not ended."""
        if self.sent[self.turn] is not None:
            self.sent[self.turn].synchronize()
        return self.sources[self.turn].numpy()

    def send(self) -> None:
        """Copy it to the target, after the work that the device has been given before."""
        self.target.copy_(self.sources[self.turn], non_blocking=True)
        if self.sent[self.turn] is not None:
            self.sent[self.turn].record()
        self.turn = (self.turn + 1) % len(self.sources)
