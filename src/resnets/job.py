"""A training job: from a recipe and a folder to a trained network and its figures.

The loop itself is ``training``; here its events reach those who consume them.
"""

import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from resnets import backends, catalog, curves, data
from resnets.architecture import Architecture
from resnets.checkpoint import METRICS, TIMINGS, RunFolder, State, finite
from resnets.data.augmentation import split
from resnets.data.images import Dataset
from resnets.errors import DataError, Diverged, MissingDependency, RunError
from resnets.evaluation import evaluate
from resnets.files import explained
from resnets.initial import initial_weights
from resnets.layout import trace
from resnets.progress import Plan, View
from resnets.recipe import Recipe, steps_per_epoch
from resnets.tensorboard import TensorBoard
from resnets.tensorboard import available as tensorboard_available
from resnets.training import Epoch, Event, Progress, Step, TrainingData, train
from resnets.weights import Network, Preprocessing, load

LOGGED_STEPS = 20
"""Steps of an epoch whose loss is logged."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train, where, and on what.

    Attributes:
        recipe: how.
        folder: the run folder.
        framework, device: what trains it.
        resume: whether a run already in the folder goes on.
        save_seconds: longest time between two saves of the state; each epoch's end saves too.
    """

    recipe: Recipe
    folder: Path
    framework: str = "torch"
    device: str = "auto"
    resume: bool = False
    save_seconds: float = 60.0


class Interrupted(Exception):
    """The user stopped the run; its state is saved."""


def run(job: Job, view: View) -> dict[str, Any]:
    """Train, keep the best epoch, evaluate it on the test set once; give result.json's content.

    Raises:
        ResnetsError: of the kinds that its parts raise.
        Interrupted: after Ctrl-C or a polite kill; the state is saved.
    """
    backend = backends.load(job.framework)
    recipe = replace(job.recipe, precision=backend.precision(job.recipe, job.device))
    described = architecture_called(recipe.network)  # a wrong name is said before a download
    dataset = data.load(recipe.data, size=recipe.size, announce=view.note)
    network, training = prepare(described, recipe, dataset)
    folder = RunFolder(job.folder)
    with folder.opened(network, recipe, resume=job.resume) as state:
        result = folder.result()
        if result is not None:
            view.note(f"{job.folder} has ended already; these are its figures")
            return result
        model = backend.build(network.architecture, weights=network.weights)
        session = backend.session(model, recipe, network.preprocessing, job.device)
        if state is not None:
            session.restore(state.arrays)
            if state.threads != session.threads:
                view.note(
                    f"the state was saved with {state.threads} threads and goes on with "
                    f"{session.threads}: it will not be bit for bit the uninterrupted run"
                )
        progress = state.progress if state else Progress()
        past = history(folder, progress)
        view.start(plan(job, recipe, network, training, session.device, progress, past))
        _Run(job, recipe, folder, session, view).follow(training, progress)
        result = _finish(job, backend, folder, dataset, recipe)
        _draw(folder, network, view)
    return result


def prepare(
    described: Architecture, recipe: Recipe, dataset: Dataset
) -> tuple[Network, TrainingData]:
    """Fit a network to the data, draw its initial weights, hold images out.

    Raises:
        DataError: where there are too few images.
    """
    architecture = replace(
        described,
        channels=dataset.channels,
        classes=len(dataset.class_names),
    )
    kept, held = split(dataset.training.labels, recipe.validation, recipe.seed)
    if len(kept) < 2:
        raise DataError(f"{len(kept)} images to train on; there must be two at least")
    training = dataset.training[kept] if len(held) else dataset.training
    validation = dataset.training[held] if len(held) else None
    _refuse_lone_values(architecture, recipe, len(kept))
    channels = dataset.channels
    mean, std = (0.0,) * channels, (1.0,) * channels
    if recipe.normalise:
        mean, std = data.mean_and_std(training.pixels)
    preprocessing = Preprocessing(size=recipe.size, mean=mean, std=std)
    weights = initial_weights(
        architecture,
        seed=recipe.seed,
        scheme=recipe.initialisation,
        zero_last_scale=recipe.zero_last_scale,
    )
    network = Network(architecture, weights, preprocessing, dataset.class_names)
    return network, TrainingData(training, validation)


def architecture_called(network: str) -> Architecture:
    """Give the catalog's network of that name, or the one that a JSON file describes.

    Raises:
        UnknownName, InvalidDescription: if it is neither; RunError: if the file cannot be read.
    """
    path = Path(network)
    if path.suffix != ".json":
        return catalog.get(network)
    if not path.is_file():
        raise RunError(f"{path}: no such file; a network is a name (resnets models) or a JSON file")
    with explained(f"cannot read {path}", RunError):
        text = path.read_text(encoding="utf-8", errors="replace")
    described = Architecture.from_text(text)
    return described if described.name else replace(described, name=path.stem)


def _refuse_lone_values(architecture: Architecture, recipe: Recipe, images: int) -> None:
    """A batch norm in training needs two values a channel: two images, or more than one pixel."""
    pixels = min(
        layer.shape[1] * layer.shape[2]
        for layer in trace(architecture, recipe.size).layers
        if layer.operation == "norm"
    )
    if min(recipe.batch, images) * pixels < 2:
        raise RunError(
            f"batch 1 at size {recipe.size} leaves the norms of {architecture.name} a single "
            "value to normalise; use a batch of 2 or larger images"
        )


@dataclass
class _Run:
    """Hands the loop's events on, saves, and stops when asked to."""

    job: Job
    recipe: Recipe
    folder: RunFolder
    session: backends.Session
    view: View
    consumers: list[Callable[[Event], None]] = field(default_factory=list[Callable[[Event], None]])

    def follow(self, training: TrainingData, progress: Progress) -> None:
        """Train from ``progress`` to the end."""
        self.consumers = [self.view.show, self._log]
        per_epoch = steps_per_epoch(self.recipe, len(training.training))
        self.every = max(1, per_epoch // LOGGED_STEPS)
        with _board(self.job.folder, progress.step) as board, _stop_requests() as asked:
            if board is not None:
                self.consumers.append(board)
            self._follow(training, progress, asked)

    def _follow(self, training: TrainingData, progress: Progress, asked: threading.Event) -> None:
        saved_at, saved_step = time.monotonic(), progress.step
        try:
            for event in train(self.session, training, self.recipe, progress):
                for consume in self.consumers:
                    consume(event)
                if event.progress is None:
                    continue
                due = time.monotonic() - saved_at >= self.job.save_seconds
                if isinstance(event, Epoch) or due or asked.is_set():
                    self._save(event)
                    saved_at, saved_step = time.monotonic(), event.step
                if asked.is_set():
                    raise Interrupted(f"stopped after step {event.step}; the state is saved")
        except Diverged as error:
            kept = f"the state of step {saved_step} and the best epoch" if saved_step else "nothing"
            raise Diverged(
                f"{error}; {self.job.folder} keeps {kept}. "
                f"A lower rate (now {self.recipe.rate:g}), a warm-up or clip may help"
            ) from error

    def _save(self, event: Event) -> None:
        assert event.progress is not None
        if isinstance(event, Epoch) and event.best:
            self.folder.save_model(self.session.weights())
        self.folder.save_state(State(self.session.state(), event.progress, self.session.threads))

    def _log(self, event: Event) -> None:
        if isinstance(event, Step):
            if event.step % self.every == 0:
                self.folder.log(METRICS, _step_record(event))
            return
        self.folder.log(METRICS, _epoch_record(event), sync=True)
        timing = {
            "event": "epoch",
            "epoch": event.epoch,
            "step": event.step,
            "seconds": event.seconds,
            "images_per_second": event.images_per_second,
        }
        self.folder.log(TIMINGS, timing)


def _step_record(event: Step) -> dict[str, Any]:
    return {
        "event": "step",
        "step": event.step,
        "epoch": event.epoch,
        "rate": event.rate,
        "loss": event.loss,
    }


def _epoch_record(event: Epoch) -> dict[str, Any]:
    return {
        "event": "epoch",
        "epoch": event.epoch,
        "step": event.step,
        "rate": event.rate,
        "training_loss": event.training_loss,
        "validation_loss": event.validation_loss,
        "validation_accuracy": event.validation_accuracy,
        "best": event.best,
    }


def _finish(
    job: Job, backend: backends.Backend, folder: RunFolder, dataset: Dataset, recipe: Recipe
) -> dict[str, Any]:
    """Read the test set, for the first and only time, with the best epoch's weights."""
    best = load(folder.path)
    model = backend.build(best.architecture, weights=best.weights)
    found = evaluate(backend.evaluator(model, best.preprocessing, job.device), dataset.test())
    epochs = [record for record in folder.records() if record["event"] == "epoch"]
    kept = next(record for record in reversed(epochs) if record["best"])
    recall = dict(zip(best.class_names, map(finite, found.recall.tolist()), strict=True))
    result = {
        "network": best.architecture.name,
        "recipe": recipe.name,
        "data": dataset.name,
        "seed": recipe.seed,
        "epochs": len(epochs),
        "steps": epochs[-1]["step"],
        "best_epoch": kept["epoch"],
        "validation_accuracy": kept["validation_accuracy"],
        "validation_loss": kept["validation_loss"],
        "test_accuracy": found.accuracy,
        "test_loss": found.loss,
        "test_images": found.images,
        "test_recall": recall,
    }
    folder.save_result(result)
    return result


def _draw(folder: RunFolder, network: Network, view: View) -> None:
    title = f"{network.architecture.name}"
    try:
        curves.draw(folder.records(), folder.path, title)
    except MissingDependency as error:
        view.note(f"no curves drawn: {error}")


def plan(
    job: Job,
    recipe: Recipe,
    network: Network,
    training: TrainingData,
    device: str,
    progress: Progress,
    past: tuple[Epoch, ...],
) -> Plan:
    """Say what is about to be trained."""
    steps = trace(network.architecture, recipe.size)
    return Plan(
        title=f"{network.architecture.name} on {recipe.data}, recipe {recipe.name}",
        network=network.architecture.name,
        parameters=steps.parameters,
        multiply_adds=steps.multiply_adds,
        device=device,
        framework=job.framework,
        precision=recipe.precision,
        training_images=len(training.training),
        validation_images=len(training.validation) if training.validation is not None else 0,
        epochs=recipe.epochs,
        steps_per_epoch=steps_per_epoch(recipe, len(training.training)),
        done_steps=progress.step,
        folder=str(job.folder),
        history=past,
    )


def history(folder: RunFolder, progress: Progress) -> tuple[Epoch, ...]:
    """Give the epochs that the run folder's logs hold."""
    timings = {record["epoch"]: record for record in folder.records(TIMINGS)}
    return tuple(
        Epoch(
            **{name: value for name, value in record.items() if name != "event"},
            seconds=timings.get(record["epoch"], {}).get("seconds", 0.0),
            images_per_second=timings.get(record["epoch"], {}).get("images_per_second", 0.0),
            progress=progress,
        )
        for record in folder.records(METRICS)
        if record["event"] == "epoch"
    )


@contextmanager
def _board(folder: Path, after_step: int) -> Generator[TensorBoard | None]:
    """Write TensorBoard's events where tensorboardX is installed."""
    board = TensorBoard(folder, after_step=after_step) if tensorboard_available() else None
    try:
        yield board
    finally:
        if board is not None:
            board.close()


@contextmanager
def _stop_requests() -> Generator[threading.Event]:
    """Note Ctrl-C and polite kills instead of dying of them mid-step; the second one kills."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread may handle signals
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: object) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
