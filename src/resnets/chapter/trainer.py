"""The chapter's ``Trainer``: the loop, its pictures and its files, the same for all four tabs.

A tab adds how its framework takes a step, in the methods that raise NotImplementedError here.
"""

import json
import math
import operator
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from resnets import curves, records
from resnets.chapter.board import ProgressBoard, in_notebook
from resnets.chapter.hyperparameters import HyperParameters
from resnets.chapter.views import Plan, View, view
from resnets.checkpoint import finite
from resnets.errors import Diverged, InvalidDescription, MissingDependency, Problem, RunError
from resnets.files import explained, write_text
from resnets.training import Epoch, Progress, Step

LAG = 8
"""Steps that may be under way before a loss is read, so that a GPU need not wait."""


class Trainer(HyperParameters):
    """Trains a model on a data module for ``max_epochs``, and validates it after each.

    Training uses each batch's statistics in the norms, validation the running ones; its loss and
    accuracy are means over images, however large the last batch is.

    In a notebook the curves are drawn while they grow; elsewhere a table is written to standard
    error. After ``fit``, and after Ctrl-C, ``folder`` has a folder of the model's name with the
    numbers (metrics.jsonl) and the curves (curves.svg, curves.png); a run of the same name before
    it is replaced.

    Attributes:
        max_epochs: passes over the training images.
        num_gpus: 1 for a GPU if there is one; without one the CPU is used and a line says so.
        gradient_clip_val: norm to which gradients are cut; 0 for no cutting.
        folder: where the run's folder is made; None to save nothing.
        board: the curves, a ``ProgressBoard``.
        epochs: figures of the epochs that have ended, as ``resnets.training.Epoch``.

    Raises:
        InvalidDescription: for numbers that cannot be.
    """

    framework = ""
    board: ProgressBoard
    epochs: list[Epoch]

    def __init__(
        self,
        max_epochs: int,
        num_gpus: int = 0,
        gradient_clip_val: float = 0,
        *,
        folder: str | Path | None = "runs",
    ) -> None:
        problems = [
            Problem(name, f"{value!r} is not a whole number from {least} on")
            for name, value, least in (("max_epochs", max_epochs, 1), ("num_gpus", num_gpus, 0))
            if not _is_whole(value) or value < least
        ]
        if not 0 <= gradient_clip_val < math.inf:
            problems.append(Problem("gradient_clip_val", f"{gradient_clip_val!r} is no norm"))
        if problems:
            raise InvalidDescription("Trainer", problems)
        self.max_epochs, self.num_gpus = max_epochs, num_gpus
        self.gradient_clip_val, self.folder = gradient_clip_val, folder
        self.board, self.epochs = ProgressBoard(), []
        self._records: list[dict[str, Any]] = []

    def gpus(self) -> int:
        """Count the GPUs that the framework finds."""
        raise NotImplementedError

    def wants_gpu(self) -> bool:
        """Whether a GPU was asked for."""
        return self.num_gpus > 0

    def device_in_words(self) -> str:
        """Say what is computed on."""
        raise NotImplementedError

    def prepare_model(self, model: Any, batch: tuple[Any, ...]) -> int:
        """Put the model on its device and make its optimiser; give its number of parameters.

        ``batch`` is one to see shapes by; norms must not see it.
        """
        raise NotImplementedError

    def train_step(self, batch: tuple[Any, ...]) -> Any:
        """Take a step; give the batch's mean loss, which ``float`` can read."""
        raise NotImplementedError

    def validate(self, batch: tuple[Any, ...]) -> tuple[float, float | None]:
        """Give the batch's mean loss and accuracy, by the running statistics."""
        raise NotImplementedError

    def rate(self) -> float:
        """Give the optimiser's learning rate."""
        raise NotImplementedError

    def fit(self, model: Any, data: Any) -> None:
        """Train ``model`` on ``data``.

        Raises:
            Diverged: at the first loss that is infinite or not a number.
            DataError: from the data module.
        """
        self.model, self.data = model, data
        self.train_dataloader = data.train_dataloader()
        self.val_dataloader = data.val_dataloader()
        self.board, self.epochs, self._records = ProgressBoard(), [], []
        self.steps = 0
        batch = next(iter(self.train_dataloader), None)
        if batch is None:
            raise InvalidDescription("Trainer.fit", [Problem("data", "has no training batch")])
        self._explain_device()
        parameters = self.prepare_model(model, batch)
        seen = view(self.board)
        seen.start(self._plan(parameters))
        try:
            for epoch in range(1, self.max_epochs + 1):
                self._fit_epoch(epoch, seen)
        finally:
            seen.stop()
            self._save(pictures=True)

    def _fit_epoch(self, epoch: int, seen: View) -> None:
        began, loss_sum, images = time.perf_counter(), 0.0, 0
        pending: deque[tuple[int, Any, int]] = deque()

        def read() -> float:
            step, lazy, count = pending.popleft()
            loss = float(lazy)
            if not math.isfinite(loss):
                raise Diverged(
                    f"the loss of step {step} (epoch {epoch}) is {loss}: "
                    f"a learning rate below {self.rate():g} may help"
                )
            event = Step(
                step=step, epoch=epoch, rate=self.rate(), loss=loss, images=count, progress=None
            )
            self._records.append(records.of_step(event))
            seen.step(event)
            return loss * count

        for batch in self.train_dataloader:
            self.steps += 1
            pending.append((self.steps, self.train_step(batch), len(batch[-1])))
            images += len(batch[-1])
            if len(pending) > LAG:
                loss_sum += read()
        while pending:
            loss_sum += read()
        seconds = max(time.perf_counter() - began, 1e-9)
        self._end(epoch, loss_sum / images, images, seconds, seen)

    def _end(self, epoch: int, loss: float, images: int, seconds: float, seen: View) -> None:
        validation_loss, accuracy = self._validate_all()
        highest = max((e.validation_accuracy or 0.0 for e in self.epochs), default=-1.0)
        event = Epoch(
            epoch=epoch,
            step=self.steps,
            rate=self.rate(),
            training_loss=loss,
            validation_loss=validation_loss,
            validation_accuracy=accuracy,
            best=accuracy is not None and accuracy > highest,
            seconds=seconds,
            images_per_second=images / seconds,
            progress=Progress(step=self.steps),
        )
        self.epochs.append(event)
        self._records.append(records.of_epoch(event))
        seen.epoch(event)
        self._save(pictures=False)

    def _validate_all(self) -> tuple[float | None, float | None]:
        """Means over the validation images; None where there are none."""
        loss_sum, right, images, known = 0.0, 0.0, 0, True
        for batch in self.val_dataloader if self.val_dataloader is not None else ():
            count = len(batch[-1])
            loss, accuracy = self.validate(batch)
            loss_sum += loss * count
            right += (accuracy or 0.0) * count
            known = known and accuracy is not None
            images += count
        if not images:
            return None, None
        return loss_sum / images, right / images if known else None

    def _plan(self, parameters: int) -> Plan:
        steps = operator.length_hint(self.train_dataloader, 0)
        title = (
            f"{type(self.model).__name__}: {parameters:,} parameters, {self.framework}, "
            f"{self.device_in_words()}"
        )
        return Plan(title=title, epochs=self.max_epochs, steps=steps or 1)

    def _explain_device(self) -> None:
        found = self.gpus()
        if self.wants_gpu() and not found:
            _say(f"{self.framework} finds no GPU here: training on the CPU")
        elif self.num_gpus > 1:
            _say(
                f"num_gpus={self.num_gpus}: this Trainer trains on one GPU ({self.framework} "
                f"finds {found})"
            )

    def _save(self, *, pictures: bool) -> None:
        """Write the numbers and perhaps the pictures; a refusal is said, and training goes on."""
        if self.folder is None or not self._records:
            return
        title = f"{type(self.model).__name__}, {self.framework}"
        run = Path(self.folder) / f"chapter-{type(self.model).__name__.lower()}-{self.framework}"
        try:
            with explained("cannot save the run", RunError):
                run.mkdir(parents=True, exist_ok=True)
                lines = (json.dumps(_finite(record)) for record in self._records)
                write_text(run / "metrics.jsonl", "".join(f"{line}\n" for line in lines))
                if pictures:
                    curves.draw(self._records, run, title)
                    _say(f"numbers and curves are in {run}")
        except (RunError, MissingDependency) as problem:
            _say(str(problem))
            if isinstance(problem, RunError):
                self.folder = None


def _finite(record: dict[str, Any]) -> dict[str, Any]:
    """Leave out what JSON has not, such as a rate that an optimiser does not tell."""
    return {k: finite(v) if isinstance(v, float) else v for k, v in record.items()}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _say(text: str) -> None:
    """Say a line on standard error; in a notebook, in the cell's output."""
    print(text, file=sys.stdout if in_notebook() else sys.stderr, flush=True)
