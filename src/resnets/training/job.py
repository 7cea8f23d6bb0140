"""A training job: from a recipe and a folder to a trained network and its figures.

The loop itself is ``training``; here its events reach those who consume them.
"""

import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from resnets import backends, data
from resnets.data.sampling import Order
from resnets.errors import Diverged, MissingDependency, RunError
from resnets.files import explained
from resnets.networks.tracing import trace
from resnets.networks.weights import Network
from resnets.recipes.recipe import Recipe
from resnets.recipes.schedule import images_per_epoch, steps_per_epoch
from resnets.training import records
from resnets.training.events import Epoch, Event, Grown, Progress, Step
from resnets.training.growth.network import Growing
from resnets.training.loop import TrainingData, train
from resnets.training.monitor import curves
from resnets.training.monitor.progress import Plan, View
from resnets.training.monitor.tensorboard import TensorBoard
from resnets.training.monitor.tensorboard import available as tensorboard_available
from resnets.training.preparation import fingerprint, growth_plan, prepare, starting_architecture
from resnets.training.result import conclude
from resnets.training.run_folder import METRICS, TIMINGS, RunFolder, State, read_recipe

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
    folder = RunFolder(job.folder)
    recipe = replace(job.recipe, precision=_precision(job, backend, folder))
    described = starting_architecture(recipe)  # a wrong name is said before a download
    growth_plan(recipe, described)  # and so is a wrong target; the data decide nothing about it
    dataset = data.load(recipe.data, size=recipe.size, announce=view.note)
    network, training = prepare(described, recipe, dataset)
    plans = growth_plan(recipe, network.architecture)
    grown = [growth.target for growth in plans]
    # Who moved trains in a precision of its own, which recipe.json does not tell.
    moved = folder.framework() not in (None, job.framework)
    moved = moved or folder.precision() == recipe.precision
    images = fingerprint(dataset)
    with folder.opened(
        network, recipe, images, resume=job.resume, grown=grown, moved=moved
    ) as state:
        result = folder.result()
        if result is not None:
            view.note(f"{job.folder} has ended already; these are its figures")
            return result
        per_epoch = steps_per_epoch(recipe, len(training.training))
        growing = Growing(network, plans, recipe, per_epoch)
        order = Order(recipe, len(training.training))
        running = _Run(job, recipe, folder, backend, growing, order, view)
        progress = running.begin(state)
        past = records.epochs(folder.records(METRICS), folder.records(TIMINGS), progress)
        device = running.session.device
        view.start(plan(job, recipe, growing.network, training, device, progress, past))
        running.follow(training, progress)
        _draw(folder, network, view)
        return conclude(folder, recipe, dataset, backend, job.device)


@dataclass
class _Run:
    """Owns the session; hands the loop's events on, saves, and stops when asked to."""

    job: Job
    recipe: Recipe
    folder: RunFolder
    backend: backends.Backend
    growing: Growing
    order: Order
    view: View
    consumers: list[Callable[[Event], None]] = field(default_factory=list[Callable[[Event], None]])

    def begin(self, state: State | None) -> Progress:
        """Make the session, and put it where the state stands."""
        progress = state.progress if state else Progress()
        whole = self.recipe.epochs * self.growing.per_epoch
        if progress.step > whole:
            raise RunError(f"the saved state is of step {progress.step}, beyond {whole}")
        self.growing.advance(progress.grown)
        self.session = self._session()
        if state is not None:
            own = self.order.state()
            self.order.restore(state.arrays, progress.step)
            self.session.restore({n: a for n, a in state.arrays.items() if n not in own})
            self._say_what_differs(state)
            if state.best:  # a kill may have come between the state and the model
                self._save_model()
        where = (self.job.framework, self.session.device, self.session.threads)
        self.folder.log(TIMINGS, records.of_start(*where, self.recipe.precision, progress))
        return progress

    def _session(self) -> backends.Session:
        network = self.growing.network
        model = self.backend.build(network.architecture, weights=network.weights)
        return self.backend.session(
            model, self.recipe, preprocessing=network.preprocessing, device=self.job.device
        )

    def _say_what_differs(self, state: State) -> None:
        before = state.framework or self.folder.framework()
        if before not in (None, self.job.framework):
            self.view.note(
                f"the run was trained by {before} and goes on with {self.job.framework}: "
                "the same function, rounded differently"
            )
        elif state.threads != self.session.threads:
            self.view.note(
                f"the state was saved with {state.threads} threads and goes on with "
                f"{self.session.threads}: it will not be bit for bit the uninterrupted run"
            )

    def grow(self, index: int) -> backends.Session:
        """Make the recipe's growth of that index."""
        state = self.growing.grow(index, self.session.state(), self.view.note)
        self.session = self._session()
        self.session.restore(state)
        return self.session

    def follow(self, training: TrainingData, progress: Progress) -> None:
        """Train from ``progress`` to the end."""
        self.consumers = [self.view.show, self._log]
        self.every = max(1, self.growing.per_epoch // LOGGED_STEPS)
        with _board(self.job.folder, progress.step) as board, _stop_requests() as asked:
            if board is not None:
                self.consumers.append(board)
            self._follow(training, progress, asked)

    def _follow(self, training: TrainingData, progress: Progress, asked: threading.Event) -> None:
        saved_at, saved_step = time.monotonic(), progress.step
        try:
            for event in self._events(training, progress):
                for consume in self.consumers:
                    consume(event)
                if event.progress is None:
                    continue
                due = time.monotonic() - saved_at >= self.job.save_seconds
                if not isinstance(event, Step) or due or asked.is_set():
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

    def _events(self, training: TrainingData, progress: Progress) -> Iterator[Event]:
        given = (self.grow, self.growing, self.order)
        return train(self.session, training, self.recipe, progress, *given)

    def _save(self, event: Event) -> None:
        assert event.progress is not None
        arrays = {**self.session.state(), **self.order.state()}
        best = isinstance(event, Epoch) and event.best
        about = (self.session.threads, self.job.framework, best)
        state = State(arrays, event.progress, *about)
        state.require_finite()
        # The model second: it must never be of an epoch that another framework trains again.
        self.folder.save_state(state)
        if best:
            self._save_model()

    def _save_model(self) -> None:
        self.folder.save_model(self.session.weights(), self.session.architecture)

    def _log(self, event: Event) -> None:
        if isinstance(event, Step):
            if event.step % self.every == 0:
                self.folder.log(METRICS, records.of_step(event))
            return
        if isinstance(event, Grown):
            self.folder.log(METRICS, records.of_growth(event), sync=True)
            return
        self.folder.log(METRICS, records.of_epoch(event), sync=True)
        self.folder.log(TIMINGS, records.timing(event, self.session.preparing))


def _precision(job: Job, backend: backends.Backend, folder: RunFolder) -> Any:
    """Resolve ``auto``: a run goes on in its framework's precision, another begins in its own."""
    same = folder.framework() == job.framework
    if job.recipe.precision == "auto" and job.resume and same:
        return folder.precision() or read_recipe(folder.path).precision
    return backend.precision(job.recipe, job.device)


def _draw(folder: RunFolder, network: Network, view: View) -> None:
    try:
        with explained(f"cannot draw the curves in {folder.path}", RunError):
            lines = folder.records()
            curves.draw(lines, folder.path, _title(network, lines))
    except MissingDependency as error:
        view.note(f"no curves drawn: {error}")


def _title(network: Network, lines: Sequence[Mapping[str, Any]]) -> str:
    """Name the network that was trained, and what it became."""
    grown = [line["depths"] for line in lines if line["event"] == "growth"]
    became = f", grown to {'-'.join(map(str, grown[-1]))}" if grown else ""
    return f"{network.architecture.name}{became}"


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
        epoch_images=images_per_epoch(recipe, len(training.training)),
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
