"""One training job, from a recipe and a run folder to a trained network: a generator of events.

``run`` wires the parts together: the plan, the run folder, the data, the session and the loop.
It writes the run's logs and states. Everything that people look at consumes its events.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnets import backends, data
from resnets.data.sampling import Sampler
from resnets.errors import Diverged, RunError
from resnets.networks.architecture import Architecture
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe
from resnets.recipes.schedule import Schedule
from resnets.training import records
from resnets.training.events import (
    Epoch,
    Event,
    Finished,
    Grown,
    LoopEvent,
    Progress,
    Started,
    Step,
    Trained,
)
from resnets.training.fingerprint import fingerprint
from resnets.training.growth.network import GrowingNetwork
from resnets.training.loop import TrainingData, train
from resnets.training.plan import RunPlan, RunStart, resolve
from resnets.training.result import conclude
from resnets.training.run_folder import METRICS, TIMINGS, RunFolder, read_recipe
from resnets.training.run_state import State

LOGGED_STEPS = 20
"""Steps per epoch whose loss is logged."""

Consumer = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train, where, and on what.

    Attributes:
        recipe: how to train.
        folder: the run folder.
        framework, device: what trains it.
        resume: whether a run that is already in the folder continues.
        own_size: whether images have the size of the weights to start from, not the recipe's.
        save_seconds: longest time between two saves of the state; each epoch's end saves too.
    """

    recipe: Recipe
    folder: Path
    framework: str = "torch"
    device: str = "auto"
    resume: bool = False
    own_size: bool = False
    save_seconds: float = 60.0


class Interrupted(Exception):
    """The run was asked to stop; its state is saved."""


def run(
    job: Job,
    *,
    announce: Callable[[str], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[Event]:
    """Train, keep the best epoch, and evaluate it once on the test set.

    Args:
        job: what to train.
        announce: called with notes for the user.
        stop: asked after each step; once it returns true, the state is saved and the run ends.

    Yields:
        ``Started``, the loop's events, ``Trained`` and ``Finished``; of a run that had already
        ended, ``Finished`` alone.

    Raises:
        ResnetsError: as its parts do.
        Interrupted: after ``stop`` returned true; the state is saved.
    """
    backend = backends.load(job.framework)
    folder = RunFolder(job.folder)
    before = folder.framework()
    plan = resolve(
        job.recipe,
        backend,
        device=job.device,
        precision=_saved_precision(folder) if job.resume and before == job.framework else None,
        own_size=job.own_size,
    )
    # A run that changed its framework has a precision that recipe.json does not know.
    any_precision = before not in (None, job.framework)
    any_precision = any_precision or folder.precision() == plan.recipe.precision
    with folder.claim(plan.recipe, resume=job.resume, any_precision=any_precision):
        result = folder.result()
        if result is not None:
            announce(f"{job.folder} has already ended; these are its figures")
            yield Finished(result=result)
            return
        dataset = data.load_dataset(plan.recipe.data, size=plan.recipe.size, announce=announce)
        start = plan.bind(dataset)
        state = folder.begin(
            start.network,
            plan.recipe,
            images=fingerprint(dataset),
            grown=[growth.target for growth in start.growths],
        )
        yield from _Run(job, plan, start, folder, backend, announce).follow(state, stop)
        yield Trained(network=start.network.architecture.name, folder=str(job.folder))
        yield Finished(
            result=conclude(
                folder, plan.recipe, dataset=dataset, backend=backend, device=job.device
            )
        )


def follow(events: Generator[Event], consumers: Iterable[Consumer]) -> Mapping[str, Any]:
    """Hand each event to all consumers; return the result that the run ends with."""
    consumers = tuple(consumers)
    result: Mapping[str, Any] = {}
    with closing(events):
        for event in events:
            for consume in consumers:
                consume(event)
            if isinstance(event, Finished):
                result = event.result
    return result


def describe(
    recipe: Recipe,
    architecture: Architecture,
    images: TrainingData,
    *,
    framework: str,
    device: str,
    folder: Path,
    progress: Progress,
    history: tuple[Epoch, ...],
) -> Started:
    """Return the event that a run starts with.

    Args:
        recipe: with its precision decided.
        architecture: the network that is trained next.
        images: to train and to validate on.
        framework, device: what trains it, in words.
        folder: of the run.
        progress: where this process starts.
        history: epochs that have ended.
    """
    layers = trace(architecture, recipe.size)
    schedule = Schedule(recipe, len(images.training))
    return Started(
        title=f"{architecture.name} on {recipe.data}, recipe {recipe.name}",
        network=architecture.name,
        parameters=layers.parameters,
        multiply_adds=layers.multiply_adds,
        device=device,
        framework=framework,
        precision=recipe.precision,
        training_images=schedule.images,
        epoch_images=schedule.images_per_epoch,
        validation_images=len(images.validation) if images.validation is not None else 0,
        epochs=recipe.epochs,
        steps_per_epoch=schedule.steps_per_epoch,
        done_steps=progress.step,
        folder=str(folder),
        history=history,
    )


class _Run:
    """Owns the session: starts it where the saved state is, writes logs and states."""

    def __init__(
        self,
        job: Job,
        plan: RunPlan,
        start: RunStart,
        folder: RunFolder,
        backend: backends.Backend,
        announce: Callable[[str], None],
    ) -> None:
        self.job = job
        self.recipe = plan.recipe
        self.data = start.data
        self.schedule = start.schedule
        self.folder = folder
        self.backend = backend
        self.announce = announce
        self.growing = GrowingNetwork(start.network, start.growths, start.schedule)
        self.order = Sampler(plan.recipe, start.schedule.images)

    def follow(self, state: State | None, stop: Callable[[], bool]) -> Iterator[Event]:
        """Train from the saved state to the end."""
        progress = self._begin(state)
        past = records.read_epochs(
            self.folder.records(METRICS), self.folder.records(TIMINGS), progress=progress
        )
        yield describe(
            self.recipe,
            self.growing.network.architecture,
            self.data,
            framework=self.job.framework,
            device=self.session.device,
            folder=self.job.folder,
            progress=progress,
            history=past,
        )
        saved_at, saved_step = time.monotonic(), progress.step
        try:
            for event in self._train(progress):
                self._log(event)
                stopping = stop()
                if event.progress is not None:
                    due = time.monotonic() - saved_at >= self.job.save_seconds
                    if not isinstance(event, Step) or due or stopping:
                        self._save(event, event.progress)
                        saved_at, saved_step = time.monotonic(), event.step
                yield event
                if stopping and event.progress is not None:
                    raise Interrupted(f"stopped after step {event.step}; the state is saved")
        except Diverged as error:
            kept = f"the state of step {saved_step} and the best epoch" if saved_step else "nothing"
            raise Diverged(
                f"{error}; {self.job.folder} keeps {kept}. "
                f"A lower rate (now {self.recipe.rate:g}), a warm-up or clip may help"
            ) from error

    def _begin(self, state: State | None) -> Progress:
        """Create the session and restore the saved state."""
        progress = state.progress if state else Progress()
        if progress.step > self.schedule.steps:
            raise RunError(
                f"the saved state is of step {progress.step}, beyond {self.schedule.steps}"
            )
        self.growing.advance(progress.grown)
        self.session = self._create_session()
        if state is not None:
            own = self.order.state()
            self.order.restore(state.arrays, progress.step)
            self.session.restore({n: a for n, a in state.arrays.items() if n not in own})
            self._announce_differences(state)
            if state.best:  # the process may have been killed between the state and the model
                self._save_model()
        start = records.start_record(
            self.job.framework,
            self.session.device,
            threads=self.session.threads,
            precision=self.recipe.precision,
            progress=progress,
        )
        self.folder.log(TIMINGS, start)
        return progress

    def _create_session(self) -> backends.Session:
        network = self.growing.network
        model = self.backend.build(network.architecture, weights=network.weights)
        return self.backend.session(
            model, self.recipe, preprocessing=network.preprocessing, device=self.job.device
        )

    def _announce_differences(self, state: State) -> None:
        before = state.framework or self.folder.framework()
        if before not in (None, self.job.framework):
            self.announce(
                f"the run was trained by {before} and continues with {self.job.framework}: "
                "the same function, rounded differently"
            )
        elif state.threads != self.session.threads:
            self.announce(
                f"the state was saved with {state.threads} threads and training continues with "
                f"{self.session.threads}: it will not equal the uninterrupted run bit for bit"
            )

    def _train(self, progress: Progress) -> Iterator[LoopEvent]:
        return train(
            self.session,
            self.data,
            recipe=self.recipe,
            start=progress,
            grow=self._grow,
            new_tensors=self.growing,
            sampler=self.order,
        )

    def _grow(self, index: int) -> backends.Session:
        """Apply the recipe's growth of that index; the session of the deeper network continues."""
        state = self.growing.grow(index, self.session.state(), note=self.announce)
        self.session = self._create_session()
        self.session.restore(state)
        return self.session

    def _save(self, event: LoopEvent, progress: Progress) -> None:
        best = isinstance(event, Epoch) and event.best
        state = State(
            arrays={**self.session.state(), **self.order.state()},
            progress=progress,
            threads=self.session.threads,
            framework=self.job.framework,
            best=best,
        )
        state.require_finite()
        # The model comes second: it must never be of an epoch that another framework trains again.
        self.folder.save_state(state)
        if best:
            self._save_model()

    def _save_model(self) -> None:
        self.folder.save_model(self.session.weights(), self.session.architecture)

    def _log(self, event: LoopEvent) -> None:
        match event:
            case Step():
                if event.step % max(1, self.schedule.steps_per_epoch // LOGGED_STEPS) == 0:
                    self.folder.log(METRICS, records.step_record(event))
            case Grown():
                self.folder.log(METRICS, records.growth_record(event), sync=True)
            case Epoch():
                self.folder.log(METRICS, records.epoch_record(event), sync=True)
                preparing = self.session.preparing
                self.folder.log(TIMINGS, records.timing_record(event, preparing))


def _saved_precision(folder: RunFolder) -> str | None:
    """Return the precision that a run continues in; None if there is no run."""
    if not folder.has_begun():
        return None
    return folder.precision() or read_recipe(folder.path).precision
