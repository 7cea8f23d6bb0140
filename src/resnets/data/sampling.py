"""The order in which a run takes its images; with the recipe's ``skip``, which of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.data.augmentation import Index, shuffle_epoch, step_indices
from resnets.errors import WeightsError
from resnets.recipes.recipe import Recipe
from resnets.recipes.schedule import Schedule

Losses = npt.NDArray[np.float32]

UNSEEN = np.finfo(np.float32).max
"""The loss of an image that no step has taken; above all others, and finite in a saved state."""

BEFORE, LATEST = "losses/before", "losses/latest"


class Sampler:
    """Which of a run's training images each step takes.

    A function of the seed and the step; with ``skip`` also of the images' losses, which are then
    part of a saved state: ``before`` the epoch under way, and the ``latest``.
    """

    def __init__(self, recipe: Recipe, images: int) -> None:
        self._recipe = recipe
        self._images = images
        self._schedule = Schedule(recipe, images)
        self._latest = np.full(images, UNSEEN, np.float32)
        self._before = self._latest
        self._epoch = -1
        self._taken = np.empty(0, np.int64)

    def indices(self, step: int) -> Index:
        """Give the numbers of the images of ``step``, from 0; steps come in their order."""
        recipe = self._recipe
        if not recipe.skip:
            return step_indices(recipe, self._images, step=step)
        epoch, within = divmod(step, self._schedule.steps_per_epoch)
        if epoch != self._epoch:
            self._begin_epoch(epoch, self._latest.copy())
        return self._taken[within * recipe.batch : (within + 1) * recipe.batch]

    def next_indices(self, step: int) -> Index | None:
        """Give those of the step after ``step``; None where its losses decide them."""
        if self._recipe.skip and (step + 1) % self._schedule.steps_per_epoch == 0:
            return None
        return self.indices(step + 1)

    def record_losses(self, index: Index, losses: Losses) -> None:
        """Remember the losses of images that a step has taken."""
        if self._recipe.skip:
            self._latest[index] = losses

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Copy what decides the steps to come, beside seed and step; empty without ``skip``."""
        if not self._recipe.skip:
            return {}
        return {BEFORE: self._before.copy(), LATEST: self._latest.copy()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]], step: int) -> None:
        """Take over what ``state`` gave after ``step`` steps.

        Raises:
            WeightsError: if it lacks them, or they are of another number of images.
        """
        if not self._recipe.skip:
            return
        for name in (BEFORE, LATEST):
            if name not in state or state[name].shape != (self._images,):
                raise WeightsError(f"the saved state lacks {name} of {self._images} images")
        self._latest, self._before = (state[n].astype(np.float32) for n in (LATEST, BEFORE))
        epoch, within = divmod(step, self._schedule.steps_per_epoch)
        if within:
            self._begin_epoch(epoch, self._before)

    def _begin_epoch(self, epoch: int, losses: Losses) -> None:
        order = shuffle_epoch(self._recipe.seed, epoch, images=self._images)
        self._epoch, self._before = epoch, losses
        self._taken = select_hardest(order, losses, count=self._schedule.images_per_epoch)


def select_hardest(candidates: Index, losses: Losses, *, count: int) -> Index:
    """Give the ``count`` images of the highest loss, in ``candidates``, which also breaks ties."""
    by_loss = np.argsort(losses[candidates], kind="stable")
    return candidates[np.sort(by_loss[len(candidates) - count :])]
