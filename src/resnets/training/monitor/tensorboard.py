"""A run's numbers for TensorBoard, written by tensorboardX: no framework is needed."""

import importlib
import importlib.util
from pathlib import Path
from typing import Protocol

from resnets.errors import MissingDependency
from resnets.training.events import Epoch, Event, Grown, Step

EVERY = 10
"""Steps between points; a point is the mean of the losses since the last."""


def available() -> bool:
    """Say whether tensorboardX is installed."""
    return importlib.util.find_spec("tensorboardX") is not None


class TensorBoard:
    """Writes the events of a run into ``folder / "tensorboard"``.

    Args:
        folder: of the run.
        after_step: steps taken before this process; what an interrupted run had written beyond
            them is hidden, for it is about to happen again.

    Raises:
        MissingDependency: if tensorboardX cannot be imported; says how to install it.
    """

    def __init__(self, folder: Path, *, after_step: int) -> None:
        self._writer = _writer(folder / "tensorboard", after_step)
        self._loss = 0.0
        self._steps = 0

    def __call__(self, event: Event) -> None:
        """Take an event of ``training.train``."""
        if isinstance(event, Epoch):
            self._take_epoch(event)
            return
        if isinstance(event, Grown):
            return
        self._loss += event.loss
        self._steps += 1
        if event.step % EVERY == 0:
            self._write_steps(event)

    def close(self) -> None:
        """Write what is left to disk."""
        self._writer.close()

    def _write_steps(self, event: Step | Epoch) -> None:
        self._writer.add_scalar("loss/training", self._loss / self._steps, event.step)
        self._writer.add_scalar("rate", event.rate, event.step)
        self._loss, self._steps = 0.0, 0

    def _take_epoch(self, event: Epoch) -> None:
        if self._steps:
            self._write_steps(event)
        self._writer.add_scalar("loss/training_epoch", event.training_loss, event.step)
        if event.validation_loss is not None:
            self._writer.add_scalar("loss/validation", event.validation_loss, event.step)
        if event.validation_accuracy is not None:
            self._writer.add_scalar("accuracy/validation", event.validation_accuracy, event.step)
        self._writer.add_scalar("images_per_second", event.images_per_second, event.step)
        self._writer.flush()


class _Writer(Protocol):
    """The part of tensorboardX's writer that is used; its own types are too loose."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int, /) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _writer(folder: Path, after_step: int) -> _Writer:
    try:
        tensorboard_x = importlib.import_module("tensorboardX")
    except ImportError as error:
        message = f'TensorBoard needs tensorboardX: pip install "resnets[tensorboard]" ({error})'
        raise MissingDependency(message) from error
    purge = after_step + 1 if after_step else None
    return tensorboard_x.SummaryWriter(str(folder), purge_step=purge)
