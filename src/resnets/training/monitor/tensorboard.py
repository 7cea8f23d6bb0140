"""A run's numbers for TensorBoard, written by tensorboardX: no framework is needed."""

import importlib
import importlib.util
from pathlib import Path
from typing import Protocol, Self

from resnets.errors import MissingDependency
from resnets.training.events import Epoch, Event, Started, Step

STEPS_PER_POINT = 10
"""Steps between points; a point is the mean of the losses since the last."""


def is_available() -> bool:
    """Return whether tensorboardX is installed."""
    return importlib.util.find_spec("tensorboardX") is not None


class TensorBoard:
    """Writes the events of a run into the folder ``tensorboard`` of its run folder.

    A context manager and a consumer of events. When a run resumes, points of steps that an
    interrupted process took after the saved state are hidden: those steps are taken again.
    """

    def __init__(self) -> None:
        self._writer: _Writer | None = None
        self._loss = 0.0
        self._steps = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Write what is left to disk."""
        if self._writer is not None:
            self._writer.close()

    def __call__(self, event: Event) -> None:
        """Take an event of a run.

        Raises:
            MissingDependency: if tensorboardX cannot be imported; says how to install it.
        """
        match event:
            case Started():
                self._writer = _make_writer(Path(event.folder) / "tensorboard", event.done_steps)
            case Step() if self._writer is not None:
                self._loss += event.loss
                self._steps += 1
                if event.step % STEPS_PER_POINT == 0:
                    self._write_steps(self._writer, event)
            case Epoch() if self._writer is not None:
                self._write_epoch(self._writer, event)
            case _:
                return

    def _write_steps(self, writer: "_Writer", event: Step | Epoch) -> None:
        writer.add_scalar("loss/training", self._loss / self._steps, event.step)
        writer.add_scalar("rate", event.rate, event.step)
        self._loss, self._steps = 0.0, 0

    def _write_epoch(self, writer: "_Writer", event: Epoch) -> None:
        if self._steps:
            self._write_steps(writer, event)
        writer.add_scalar("loss/training_epoch", event.training_loss, event.step)
        if event.validation_loss is not None:
            writer.add_scalar("loss/validation", event.validation_loss, event.step)
        if event.validation_accuracy is not None:
            writer.add_scalar("accuracy/validation", event.validation_accuracy, event.step)
        writer.add_scalar("images_per_second", event.images_per_second, event.step)
        writer.flush()


class _Writer(Protocol):
    """The part of tensorboardX's writer that is used; its own types are too loose."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int, /) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _make_writer(folder: Path, after_step: int) -> _Writer:
    try:
        tensorboard_x = importlib.import_module("tensorboardX")
    except ImportError as error:
        message = f'TensorBoard needs tensorboardX: pip install "resnets[tensorboard]" ({error})'
        raise MissingDependency(message) from error
    purge = after_step + 1 if after_step else None
    return tensorboard_x.SummaryWriter(str(folder), purge_step=purge)
