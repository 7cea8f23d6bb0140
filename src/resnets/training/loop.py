"""The training loop, once for all frameworks: a generator of events.

Progress views, metrics, checkpoints and TensorBoard are consumers of its events. A batch is a
pure function of the recipe's seed and the step, so going on after an interruption is
``start=progress``.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from resnets.backends import Batch, Measured, Session
from resnets.data.augmentation import Index, draw
from resnets.data.images import Images
from resnets.data.sampling import Order
from resnets.errors import Diverged
from resnets.networks.tracing import trace
from resnets.networks.weights import Weights
from resnets.recipes.recipe import Recipe
from resnets.recipes.schedule import faded_in, rate_at, steps_per_epoch
from resnets.training.events import Epoch, Event, Grown, Progress, Step
from resnets.training.metrics import evaluate

Grow = Callable[[int], Session]
"""Makes the recipe's growth of that index; gives the session to go on with."""


class Newcomers(Protocol):
    """How a step (from 0) treats what was added not long ago."""

    def slowed(self, step: int) -> Mapping[str, float]:
        """Say which tensors take what share of the rate; all others take it whole."""
        ...

    def lifted(self, step: int) -> Weights:
        """Say what is added to which tensors before the step."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """Images to train on, and the held-out ones; None where none are held out."""

    training: Images
    validation: Images | None


def train(
    session: Session,
    data: TrainingData,
    recipe: Recipe,
    start: Progress | None = None,
    grow: Grow | None = None,
    newcomers: Newcomers | None = None,
    order: Order | None = None,
) -> Iterator[Event]:
    """Train from where ``start`` stands to the recipe's end; ``grow`` is called where it says.

    ``newcomers`` is for what grew not long ago; ``order`` says which images steps take, and
    stands where ``start`` does.

    Raises:
        Diverged: at the first loss that is infinite or not a number; naming the step.
    """
    progress = start or Progress()
    order = order or Order(recipe, len(data.training))
    per_epoch = steps_per_epoch(recipe, len(data.training))
    while (epoch := _under_way(progress, per_epoch)) <= recipe.epochs and not progress.stopped:
        if grow is not None and _grows(recipe, progress, ended=epoch - 1):
            session = grow(progress.grown)
            progress = replace(progress, grown=progress.grown + 1)
            yield _grown(session, progress, epoch - 1)
            continue
        began, seen = time.perf_counter(), progress.images
        steps = _Steps(session, data.training, recipe, newcomers, order)
        for event in steps.taken(progress, epoch * per_epoch):
            progress = event.progress or progress
            yield event
        seconds = max(time.perf_counter() - began, 1e-9)
        loss, speed = progress.loss_sum / progress.images, (progress.images - seen) / seconds
        event = _epoch(session, data, recipe, progress, epoch, loss, seconds, speed)
        progress = event.progress
        yield event


def _grows(recipe: Recipe, progress: Progress, *, ended: int) -> bool:
    """Whether the next growth is due, between two epochs."""
    due = recipe.grow[progress.grown :]
    return bool(due) and due[0].epoch <= ended and not progress.images


def _impatient(recipe: Recipe, progress: Progress, epoch: int) -> bool:
    """Whether patience ends training after ``epoch``.

    A plateau is what a growth is for: none is given up, and each gets as many epochs to pay, once
    it is faded in.
    """
    if recipe.patience is None or progress.grown < len(recipe.grow):
        return False
    grown = max((faded_in(growth, recipe.epochs) for growth in recipe.grow), default=0)
    return epoch - max(progress.best_epoch, grown) >= recipe.patience


def _grown(session: Session, progress: Progress, ended: int) -> Grown:
    network = session.architecture
    return Grown(
        number=progress.grown,
        epoch=ended,
        step=progress.step,
        network=network.name,
        depths=tuple(stage.depth for stage in network.stages),
        progress=progress,
    )


def _under_way(progress: Progress, per_epoch: int) -> int:
    """Give the number of the epoch that has not ended.

    After its last step an epoch still has to be validated: its images are not zero then.
    """
    if progress.images:
        return math.ceil(progress.step / per_epoch)
    return progress.step // per_epoch + 1


@dataclass(frozen=True)
class _Steps:
    """Takes steps with one session."""

    session: Session
    images: Images
    recipe: Recipe
    newcomers: Newcomers | None
    order: Order

    def taken(self, progress: Progress, until: int) -> Iterator[Step]:
        """Take the steps up to ``until``; read losses when ``lag`` of them are under way."""
        pending: list[tuple[Step, Index, Measured]] = []
        multiply_adds = 3 * trace(self.session.architecture, self._size).multiply_adds
        for step in range(progress.step, until):
            pending.append(self._take(step))
            if len(pending) < self.session.lag and step + 1 < until:
                continue
            for taken, index, value in pending:
                loss = value.loss
                if not math.isfinite(loss):
                    where = f"step {taken.step}, epoch {taken.epoch}"
                    raise Diverged(f"the loss became {loss} at {where}")
                if self.recipe.skip:
                    self.order.note(index, value.losses)
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

    @property
    def _size(self) -> tuple[int, int]:
        return self.images.shape[1:3]

    def _take(self, step: int) -> tuple[Step, Index, Measured]:
        recipe, per_epoch = self.recipe, steps_per_epoch(self.recipe, len(self.images))
        rate = rate_at(recipe, step, recipe.epochs * per_epoch, per_epoch)
        index = self.order.chosen(step)
        blocks = sum(stage.depth for stage in self.session.architecture.stages)
        following = self.order.following(step)
        draws = draw(recipe, step, len(index), self._size, blocks)
        batch = Batch(self.images, draws, index, following)
        slowed: Mapping[str, float] = {}
        if self.newcomers is not None:
            slowed = self.newcomers.slowed(step)
            if lifted := self.newcomers.lifted(step):
                self.session.lift(lifted)
        measured = self.session.train_step(batch, rate, slowed=slowed)
        taken = Step(
            step=step + 1,
            epoch=step // per_epoch + 1,
            rate=rate,
            loss=math.nan,
            images=len(index),
            progress=None,
        )
        return taken, index, measured


def _epoch(
    session: Session,
    data: TrainingData,
    recipe: Recipe,
    progress: Progress,
    epoch: int,
    loss: float,
    seconds: float,
    speed: float,
) -> Epoch:
    """Validate, and note whether this is the best epoch; without validation the last one is."""
    found = evaluate(session.eval_step, data.validation) if data.validation is not None else None
    if found is not None and not math.isfinite(found.loss):
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
    progress = replace(progress, stopped=_impatient(recipe, progress, epoch))
    per_epoch = steps_per_epoch(recipe, len(data.training))
    return Epoch(
        epoch=epoch,
        step=progress.step,
        rate=rate_at(recipe, progress.step - 1, recipe.epochs * per_epoch, per_epoch),
        training_loss=loss,
        validation_loss=None if found is None else found.loss,
        validation_accuracy=None if found is None else found.accuracy,
        best=best,
        seconds=seconds,
        images_per_second=speed,
        progress=progress,
        multiply_adds=progress.multiply_adds,
    )
