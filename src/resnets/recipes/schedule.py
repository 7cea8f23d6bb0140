"""A recipe bound to a number of training images: steps, and the learning rate of each."""

import math
from dataclasses import dataclass
from functools import cached_property

from resnets.recipes.recipe import Growth, Recipe

RISE, START = 0.3, 1 / 25
"""The one-cycle schedule: fraction of the steps to the peak; first rate relative to the peak."""


@dataclass(frozen=True)
class Schedule:
    """How many steps a recipe takes on ``images`` training images, and at what rates.

    Steps count from 0.
    """

    recipe: Recipe
    images: int

    @cached_property
    def images_per_epoch(self) -> int:
        """Number of training images that one epoch uses."""
        return self.images - math.floor(self.recipe.skip * self.images)

    @cached_property
    def steps_per_epoch(self) -> int:
        """Number of steps in one epoch, at least one.

        A partial batch of a single image makes no step: a norm needs two values.
        """
        whole, left = divmod(self.images_per_epoch, self.recipe.batch)
        return max(1, whole + (self.recipe.partial_batch and left > 1))

    @property
    def steps(self) -> int:
        """Number of steps in the whole run."""
        return self.recipe.epochs * self.steps_per_epoch

    def epoch(self, step: int) -> int:
        """Return the epoch, from 1, that ``step`` belongs to."""
        return step // self.steps_per_epoch + 1

    def rate(self, step: int) -> float:
        """Return the learning rate of ``step``."""
        recipe, warm = self.recipe, self.recipe.warmup * self.steps
        if step < warm:
            return recipe.rate * (step + 1) / (math.floor(warm) + 1)
        if recipe.schedule == "constant":
            return recipe.rate
        if recipe.schedule == "step":
            passed = sum(
                step >= milestone * self.steps_per_epoch for milestone in recipe.milestones
            )
            return recipe.rate * (0.1 if recipe.drop is None else recipe.drop) ** passed
        if recipe.schedule == "one_cycle":
            return recipe.rate * _one_cycle(step / max(self.steps - 1, 1), recipe.final)
        done = (step - warm) / max(self.steps - warm, 1)
        left = 1 - done if recipe.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
        return recipe.rate * (recipe.final + (1 - recipe.final) * left)

    def first_step(self, growth: Growth) -> int:
        """Return the first step that the network takes after ``growth``."""
        return growth.epoch * self.steps_per_epoch

    def growth_warmup(self, growth: Growth, step: int) -> float:
        """Return the fraction of the rate that tensors added by ``growth`` take in ``step``."""
        since = step - self.first_step(growth)
        return min(1.0, (since + 1) / (math.floor(growth.warmup * self.steps) + 1))

    def fade_in(self, growth: Growth, step: int) -> float:
        """Return the fraction of its fade-in that ``growth`` receives before ``step``.

        It receives nothing before its first step, so that the loss of that step is the loss of
        the function as it was. The fade-in takes at least one step, and is shorter where fewer
        steps are left.
        """
        if not growth.fade_in:
            return 0.0
        first = self.first_step(growth)
        since, left = step - first, self.steps - first - 1
        lasts = min(max(math.floor(growth.fade_in * self.steps), 1), left)
        return 1 / lasts if 1 <= since <= lasts else 0.0

    def end_of_fade_in(self, growth: Growth) -> int:
        """Return the epoch in which the fade-in of ``growth`` ends."""
        return growth.epoch + math.ceil(growth.fade_in * self.recipe.epochs)


def _one_cycle(done: float, final: float) -> float:
    """Return the fraction of the peak rate after ``done`` of all steps (Smith and Topin 2018)."""
    if done < RISE:
        return START + (1 - START) * (1 - math.cos(math.pi * done / RISE)) / 2
    down = (done - RISE) / (1 - RISE)
    return final + (1 - final) * (1 + math.cos(math.pi * down)) / 2
