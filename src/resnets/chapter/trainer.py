"""The chapter's ``Trainer``: the loop, its pictures and its files, the same for all four tabs.

A tab adds how its framework takes a step, in the methods that raise NotImplementedError here.
"""

import json
import math
import numbers
import operator
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

from resnets.chapter.arguments import check_whole
from resnets.chapter.board import ProgressBoard, is_notebook
from resnets.chapter.hyperparameters import HyperParameters
from resnets.chapter.measures import RunningMeans, read_measures, to_float
from resnets.chapter.plotting import PER_EPOCH, Figures, collect_figures
from resnets.chapter.views import FitInfo, FitView, NotebookView, choose_fit_view
from resnets.errors import Diverged, InvalidDescription, MissingDependency, Problem, RunError
from resnets.files import explain_os_errors, write_text
from resnets.schema import finite_or_none
from resnets.training import records
from resnets.training.events import Epoch, Progress, Step
from resnets.training.monitor import curves

MAX_IN_FLIGHT = 8
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
        board: the curves, a ``ProgressBoard``, with what the model plots itself.
        epochs: figures of the epochs that have ended, as ``resnets.training.events.Epoch``.
        optim: the optimiser, as the model's ``configure_optimizers`` made it.
        epoch, train_batch_idx, val_batch_idx: epochs and batches before the one under way.
        num_train_batches, num_val_batches: in an epoch; 0 where they cannot be counted.

    Raises:
        InvalidDescription: for numbers that cannot be.
    """

    framework = ""
    board: ProgressBoard
    epochs: list[Epoch]
    optimizer: Any
    epoch = train_batch_idx = val_batch_idx = num_train_batches = num_val_batches = 0

    def __init__(
        self,
        max_epochs: int,
        num_gpus: int = 0,
        gradient_clip_val: float = 0,
        *,
        folder: str | Path | None = "runs",
    ) -> None:
        self.max_epochs = check_whole("Trainer", "max_epochs", value=max_epochs)
        self.num_gpus = check_whole("Trainer", "num_gpus", value=num_gpus, least=0)
        if not (isinstance(gradient_clip_val, numbers.Real) and 0 <= gradient_clip_val < math.inf):  # pyright: ignore[reportUnnecessaryIsInstance]
            message = f"{gradient_clip_val!r} is no norm: a number from 0 on"
            raise InvalidDescription("Trainer", [Problem("gradient_clip_val", message)])
        self.gradient_clip_val, self.folder = gradient_clip_val, folder
        self.board, self.epochs = ProgressBoard(), []
        self._records: list[dict[str, Any]] = []
        self._plotted: set[str] = set()

    @property
    def optim(self) -> Any:
        """The optimiser, by the book's name."""
        return self.optimizer

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

    def validate(self, batch: tuple[Any, ...]) -> Any:
        """Take the model's validation step, by the running statistics, and give what it gives.

        That is the batch's mean loss and accuracy, or the loss alone, or nothing.
        """
        raise NotImplementedError

    def rate(self) -> float:
        """Give the optimiser's learning rate."""
        raise NotImplementedError

    def fit(self, model: Any, data: Any) -> None:
        """Train ``model`` on ``data``.

        Raises:
            Diverged: at the first loss that is infinite or not a number.
            DataError: from the data module.
            InvalidDescription: for what is no model or no data, or a loss that is no number.
        """
        _check_arguments(model, data)
        self.model, self.data = model, data
        self._prepare_data(data)
        self.board, self.epochs, self._records = ProgressBoard(xlabel="epoch"), [], []
        self._plotted.clear()
        self.epoch = self.train_batch_idx = self.val_batch_idx = 0
        batch = next(iter(self.train_dataloader), None)
        if batch is None:
            raise InvalidDescription("Trainer.fit", [Problem("data", "has no training batch")])
        self._explain_device()
        parameters = self.prepare_model(model, batch)
        seen = choose_fit_view(self.board, self._plotted)
        self.board.display = isinstance(seen, NotebookView)
        seen.start(self._plan(parameters))
        try:
            for epoch in range(self.max_epochs):
                self.epoch = epoch
                self._fit_epoch(epoch + 1, seen)
        finally:
            seen.stop()
            self._save(pictures=True)

    def _prepare_data(self, data: Any) -> None:
        self.train_dataloader = data.train_dataloader()
        self.val_dataloader = data.val_dataloader()
        self.num_train_batches = operator.length_hint(self.train_dataloader, 0)
        self.num_val_batches = operator.length_hint(self.val_dataloader, 0)

    def _fit_epoch(self, epoch: int, seen: FitView) -> None:
        began, loss_sum, images = time.perf_counter(), 0.0, 0
        pending: deque[tuple[int, Any, int, Figures]] = deque()

        def read() -> float:
            step, lazy, count, figures = pending.popleft()
            loss = float(lazy)
            if not math.isfinite(loss):
                raise Diverged(
                    f"the loss of step {step} (epoch {epoch}) is {loss}: "
                    f"a learning rate below {self.rate():g} may help"
                )
            event = Step(
                step=step, epoch=epoch, rate=self.rate(), loss=loss, images=count, progress=None
            )
            self._records.append(records.step_record(event))
            self._draw(figures, step)
            seen.step(event)
            return loss * count

        for batch in self.train_dataloader:
            with collect_figures() as figures:
                loss = self.train_step(batch)
            self.train_batch_idx += 1
            pending.append((self.train_batch_idx, loss, len(batch[-1]), figures))
            images += len(batch[-1])
            if len(pending) > MAX_IN_FLIGHT:
                loss_sum += read()
        while pending:
            loss_sum += read()
        seconds = max(time.perf_counter() - began, 1e-9)
        self._end_epoch(epoch, loss_sum / images, images, seconds, seen)

    def _end_epoch(
        self, epoch: int, loss: float, images: int, seconds: float, seen: FitView
    ) -> None:
        validation_loss, accuracy = self._validate_all()
        highest = max((e.validation_accuracy or 0.0 for e in self.epochs), default=-1.0)
        event = Epoch(
            epoch=epoch,
            step=self.train_batch_idx,
            rate=self.rate(),
            training_loss=loss,
            validation_loss=validation_loss,
            validation_accuracy=accuracy,
            best=accuracy is not None and accuracy > highest,
            seconds=seconds,
            images_per_second=images / seconds,
            progress=Progress(step=self.train_batch_idx),
        )
        self.epochs.append(event)
        self._records.append(records.epoch_record(event))
        seen.epoch(event)
        self._save(pictures=False)

    def _validate_all(self) -> tuple[float | None, float | None]:
        """Means over the validation images; None where there are none."""
        means = RunningMeans()
        for batch in self.val_dataloader if self.val_dataloader is not None else ():
            with collect_figures() as figures:
                given = self.validate(batch)
            means.add(len(batch[-1]), read_measures(given, figures))
            self._draw(figures, self.train_batch_idx)
            self.val_batch_idx += 1
        return means.read()

    def _draw(self, figures: Figures, step: int) -> None:
        """Draw what the model has plotted itself: over the steps, or at the epoch's end."""
        for label, value in figures.items():
            i = 0 if label.startswith("train_") else 1
            batches = (self.num_train_batches, self.num_val_batches)[i] or 1
            name = ("plot_train_per_epoch", "plot_valid_per_epoch")[i]
            every = max(int(batches / getattr(self.model, name, PER_EPOCH[i])), 1)
            x = self.epoch + 1 if i else step / batches
            self._plotted.add(label)
            self.board.draw(x, to_float(f"what is plotted as {label}", value), label, every)

    def _plan(self, parameters: int) -> FitInfo:
        title = (
            f"{type(self.model).__name__}: {parameters:,} parameters, {self.framework}, "
            f"{self.device_in_words()}"
        )
        points = getattr(self.model, "plot_train_per_epoch", PER_EPOCH[0])
        steps = self.num_train_batches or 1
        return FitInfo(title=title, epochs=self.max_epochs, steps=steps, points=points)

    def _explain_device(self) -> None:
        found = self.gpus()
        if self.wants_gpu() and not found:
            _print_line(f"{self.framework} finds no GPU here: training on the CPU")
        elif self.num_gpus > 1:
            _print_line(
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
            with explain_os_errors("cannot save the run", RunError):
                run.mkdir(parents=True, exist_ok=True)
                lines = (json.dumps(_drop_non_finite(record)) for record in self._records)
                write_text(run / "metrics.jsonl", "".join(f"{line}\n" for line in lines))
                if pictures:
                    curves.draw_curves(self._records, run, title=title)
                    _print_line(f"numbers and curves are in {run}")
        except (RunError, MissingDependency) as problem:
            _print_line(str(problem))
            if isinstance(problem, RunError):
                self.folder = None


def _drop_non_finite(record: dict[str, Any]) -> dict[str, Any]:
    """Leave out what JSON has not, such as a rate that an optimiser does not tell."""
    return {k: finite_or_none(v) if isinstance(v, float) else v for k, v in record.items()}


def _check_arguments(model: Any, data: Any) -> None:
    """See that what is given can be trained, and trained on."""
    problems = [
        Problem(what, f"{type(given).__name__} has no {method}, as {example} has")
        for what, given, method, example in (
            ("model", model, "configure_optimizers", "d2l.Module"),
            ("data", data, "train_dataloader", "d2l.DataModule"),
        )
        if not hasattr(given, method)
    ]
    if problems:
        raise InvalidDescription("Trainer.fit", problems)


def _print_line(text: str) -> None:
    """Say a line on standard error; in a notebook, in the cell's output."""
    print(text, file=sys.stdout if is_notebook() else sys.stderr, flush=True)
