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

from resnets import backends, curves, data, records
from resnets.checkpoint import METRICS, MODEL, TIMINGS, RunFolder, State, finite
from resnets.data.images import Dataset
from resnets.errors import Diverged, MissingDependency, RunError
from resnets.evaluation import evaluate
from resnets.files import explained
from resnets.preparation import architecture_called, fingerprint, prepare
from resnets.progress import Plan, View
from resnets.recipe import Recipe, steps_per_epoch
from resnets.tensorboard import TensorBoard
from resnets.tensorboard import available as tensorboard_available
from resnets.tracing import trace
from resnets.training import Epoch, Event, Progress, Step, TrainingData, train
from resnets.weights import Network, load

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
    with folder.opened(network, recipe, fingerprint(dataset), resume=job.resume) as state:
        result = folder.result()
        if result is not None:
            view.note(f"{job.folder} has ended already; these are its figures")
            return result
        model = backend.build(network.architecture, weights=network.weights)
        session = backend.session(model, recipe, network.preprocessing, job.device)
        whole = recipe.epochs * steps_per_epoch(recipe, len(training.training))
        progress = _resume(state, session, whole, view) if state else Progress()
        past = records.epochs(folder.records(METRICS), folder.records(TIMINGS), progress)
        view.start(plan(job, recipe, network, training, session.device, progress, past))
        _Run(job, recipe, folder, session, view).follow(training, progress)
        _draw(folder, network, view)
        return _finish(job, backend, folder, dataset, recipe)


def _resume(state: State, session: backends.Session, whole: int, view: View) -> Progress:
    """Put the session where the state stands, of ``whole`` steps in all."""
    if state.progress.step > whole:
        raise RunError(f"the saved state is of step {state.progress.step}, beyond {whole}")
    session.restore(state.arrays)
    if state.threads != session.threads:
        view.note(
            f"the state was saved with {state.threads} threads and goes on with "
            f"{session.threads}: it will not be bit for bit the uninterrupted run"
        )
    return state.progress


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
        state = State(self.session.state(), event.progress, self.session.threads)
        state.require_finite()
        if isinstance(event, Epoch) and event.best:
            self.folder.save_model(self.session.weights())
        self.folder.save_state(state)

    def _log(self, event: Event) -> None:
        if isinstance(event, Step):
            if event.step % self.every == 0:
                self.folder.log(METRICS, records.of_step(event))
            return
        self.folder.log(METRICS, records.of_epoch(event), sync=True)
        self.folder.log(TIMINGS, records.timing(event))


def _finish(
    job: Job, backend: backends.Backend, folder: RunFolder, dataset: Dataset, recipe: Recipe
) -> dict[str, Any]:
    """Read the test set, for the first and only time, with the best epoch's weights."""
    if not (folder.path / MODEL).is_file():
        raise RunError(f"{folder.path}: {MODEL}, the best epoch, is gone; begin another run")
    best = load(folder.path)
    model = backend.build(best.architecture, weights=best.weights)
    found = evaluate(backend.evaluator(model, best.preprocessing, job.device), dataset.test())
    epochs = records.epochs(folder.records(), (), Progress())
    kept = next((epoch for epoch in reversed(epochs) if epoch.best), None)
    if kept is None:
        raise RunError(f"{folder.path / METRICS} has lost its epochs; begin another run")
    recall = dict(zip(best.class_names, map(finite, found.recall.tolist()), strict=True))
    result = {
        "network": best.architecture.name,
        "recipe": recipe.name,
        "data": dataset.name,
        "seed": recipe.seed,
        "epochs": len(epochs),
        "steps": epochs[-1].step,
        "best_epoch": kept.epoch,
        "validation_accuracy": kept.validation_accuracy,
        "validation_loss": kept.validation_loss,
        "test_accuracy": found.accuracy,
        "test_loss": found.loss,
        "test_images": found.images,
        "test_recall": recall,
    }
    folder.save_result(result)
    return result


def _draw(folder: RunFolder, network: Network, view: View) -> None:
    try:
        with explained(f"cannot draw the curves in {folder.path}", RunError):
            curves.draw(folder.records(), folder.path, network.architecture.name)
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
