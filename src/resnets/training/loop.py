"""The training loop, once for all frameworks: a generator of events.

Progress views, logs, checkpoints and trackers are consumers of its events. A batch is a pure
function of the recipe's seed and the step, so an interrupted run continues from its
``Progress`` alone.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from resnets.backends import Batch, Measured, Session
from resnets.data.augmentation import Index, draw_parameters
from resnets.data.images import Images
from resnets.data.sampling import Sampler
from resnets.errors import Diverged
from resnets.networks.network import Weights
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe
from resnets.recipes.schedule import Schedule
from resnets.training.events import Epoch, Grown, LoopEvent, Progress, Step
from resnets.training.metrics import evaluate

Grow = Callable[[int], Session]
"""Applies the recipe's growth of that index and returns the session of the deeper network."""


class NewTensors(Protocol):
    """How a step (from 0) treats tensors that a recent growth added."""

    def lr_scales(self, step: int) -> Mapping[str, float]:
        """Return the factor of the learning rate of each tensor whose factor is not 1."""
        ...

    def parameter_additions(self, step: int) -> Weights:
        """Return what is added to which tensors before the step."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """Images to train on, and the held-out ones; ``validation`` is None if none are held out."""

    training: Images
    validation: Images | None


def train(
    session: Session,
    data: TrainingData,
    *,
    recipe: Recipe,
    start: Progress | None = None,
    grow: Grow | None = None,
    new_tensors: NewTensors | None = None,
    sampler: Sampler | None = None,
) -> Iterator[LoopEvent]:
    """Train to the end of the recipe and yield what happens.

    Args:
        session: the model; its state must belong to ``start``.
        data: images to train and to validate on.
        recipe: how to train.
        start: where an interrupted run continues; None: at the first step.
        grow: called where the recipe says that the network grows.
        new_tensors: how steps treat what a growth added.
        sampler: which images each step takes; its state must belong to ``start``.

    Raises:
        Diverged: at the first loss that is infinite or not a number.
    """
    schedule = Schedule(recipe, len(data.training))
    sampler = sampler or Sampler(recipe, len(data.training))
    loop = _Loop(session, data, schedule, sampler, new_tensors)
    progress = start or Progress()
    while (epoch := _epoch_under_way(progress, schedule)) <= recipe.epochs:
        if progress.stopped:
            return
        if grow is not None and _growth_is_due(recipe, progress, ended=epoch - 1):
            loop.session = grow(progress.grown)
            progress = replace(progress, grown=progress.grown + 1)
            yield _describe_growth(loop.session, progress, ended=epoch - 1)
            continue
        for event in loop.run_epoch(progress, epoch):
            progress = event.progress or progress
            yield event


def _growth_is_due(recipe: Recipe, progress: Progress, *, ended: int) -> bool:
    """Return whether the next growth comes after ``ended`` epochs, none being under way."""
    due = recipe.grow[progress.grown :]
    return bool(due) and due[0].epoch <= ended and not progress.images


def _describe_growth(session: Session, progress: Progress, *, ended: int) -> Grown:
    network = session.architecture
    return Grown(
        number=progress.grown,
        epoch=ended,
        step=progress.step,
        network=network.name,
        depths=tuple(stage.depth for stage in network.stages),
        progress=progress,
    )


def _epoch_under_way(progress: Progress, schedule: Schedule) -> int:
    """Return the number, from 1, of the epoch that has not ended.

    After its last step an epoch still has to be validated: ``progress.images`` is not 0 then.
    """
    if progress.images:
        return math.ceil(progress.step / schedule.steps_per_epoch)
    return schedule.epoch(progress.step)


@dataclass
class _Loop:
    """Takes the steps of an epoch and validates after them."""

    session: Session
    data: TrainingData
    schedule: Schedule
    order: Sampler
    new_tensors: NewTensors | None

    def run_epoch(self, progress: Progress, epoch: int) -> Iterator[Step | Epoch]:
        """Take what is left of an epoch's steps, then validate."""
        began, seen = time.perf_counter(), progress.images
        for event in self._take_steps(progress, epoch * self.schedule.steps_per_epoch):
            progress = event.progress or progress
            yield event
        seconds = max(time.perf_counter() - began, 1e-9)
        speed = (progress.images - seen) / seconds
        yield self._validate(progress, epoch, seconds=seconds, images_per_second=speed)

    def _take_steps(self, progress: Progress, until: int) -> Iterator[Step]:
        """Take the steps up to ``until``; losses are read with up to ``max_in_flight`` steps in
        flight.
        """
        pending: list[tuple[Step, Index, Measured]] = []
        size = self.data.training.shape[1:3]
        multiply_adds = 3 * trace(self.session.architecture, size).multiply_adds
        for step in range(progress.step, until):
            pending.append(self._take_step(step, size))
            if len(pending) < self.session.max_in_flight and step + 1 < until:
                continue
            for taken, index, measured in pending:
                loss = measured.loss
                if not math.isfinite(loss):
                    where = f"step {taken.step}, epoch {taken.epoch}"
                    raise Diverged(f"the loss became {loss} at {where}")
                if self.schedule.recipe.skip:
                    self.order.record_losses(index, measured.losses)
                progress = replace(
                    progress,
                    step=taken.step,
                    loss_sum=progress.loss_sum + loss * taken.images,
                    images=progress.images + taken.images,
                    multiply_adds=progress.multiply_adds + multiply_adds * taken.images,
                )
                settled = progress if taken.step == step + 1 else None
                yield replace(taken, loss=loss, progress=settled)
            pending.clear()

    def _take_step(self, step: int, size: tuple[int, int]) -> tuple[Step, Index, Measured]:
        index = self.order.indices(step)
        blocks = sum(stage.depth for stage in self.session.architecture.stages)
        draws = draw_parameters(
            self.schedule.recipe, step, count=len(index), size=size, blocks=blocks
        )
        batch = Batch(self.data.training, draws, index, self.order.next_indices(step))
        rate = self.schedule.rate(step)
        slowed: Mapping[str, float] = {}
        if self.new_tensors is not None:
            slowed = self.new_tensors.lr_scales(step)
            if lifted := self.new_tensors.parameter_additions(step):
                self.session.add_to_parameters(lifted)
        measured = self.session.train_step(batch, rate, lr_scales=slowed)
        taken = Step(
            step=step + 1,
            epoch=self.schedule.epoch(step),
            rate=rate,
            loss=math.nan,
            images=len(index),
            progress=None,
        )
        return taken, index, measured

    def _validate(
        self, progress: Progress, epoch: int, *, seconds: float, images_per_second: float
    ) -> Epoch:
        """Validate, and decide whether this is the best epoch.

        Without validation images the last epoch is the best.
        """
        loss = progress.loss_sum / progress.images
        found = None
        if self.data.validation is not None:
            found = evaluate(self.session.eval_step, self.data.validation)
            if not math.isfinite(found.loss):
                raise Diverged(f"the validation loss became {found.loss} after epoch {epoch}")
        best = found is None or (found.accuracy, -found.loss) > (
            progress.best_accuracy,
            -progress.best_loss,
        )
        progress = replace(progress, loss_sum=0.0, images=0)
        if best:
            progress = replace(progress, best_epoch=epoch)
        if best and found is not None:
            progress = replace(progress, best_accuracy=found.accuracy, best_loss=found.loss)
        progress = replace(progress, stopped=self._stops_early(progress, epoch))
        return Epoch(
            epoch=epoch,
            step=progress.step,
            rate=self.schedule.rate(progress.step - 1),
            training_loss=loss,
            validation_loss=None if found is None else found.loss,
            validation_accuracy=None if found is None else found.accuracy,
            best=best,
            seconds=seconds,
            images_per_second=images_per_second,
            progress=progress,
            multiply_adds=progress.multiply_adds,
        )

    def _stops_early(self, progress: Progress, epoch: int) -> bool:
        """Return whether patience ends training after ``epoch``.

        A growth is meant to end a plateau. So patience waits for all growths, and after each
        fade-in it allows as many epochs again.
        """
        recipe = self.schedule.recipe
        if recipe.patience is None or progress.grown < len(recipe.grow):
            return False
        grown = max(map(self.schedule.end_of_fade_in, recipe.grow), default=0)
        return epoch - max(progress.best_epoch, grown) >= recipe.patience
