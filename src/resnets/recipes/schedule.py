"""What a recipe says of each step: how many make an epoch, and at what learning rate."""

import math

from resnets.recipes.recipe import Growth, Recipe


def images_per_epoch(recipe: Recipe, images: int) -> int:
    """Say how many of ``images`` training images an epoch takes."""
    return images - math.floor(recipe.skip * images)


def steps_per_epoch(recipe: Recipe, images: int) -> int:
    """Steps in one epoch on ``images`` training images; at least one.

    A partial batch of a single image makes no step: a norm needs two values.
    """
    whole, left = divmod(images_per_epoch(recipe, images), recipe.batch)
    return max(1, whole + (recipe.partial_batch and left > 1))


def rate_at(recipe: Recipe, step: int, steps: int, per_epoch: int) -> float:
    """Give the learning rate of ``step`` (from 0) of ``steps`` in all, ``per_epoch`` an epoch."""
    warm = recipe.warmup * steps
    if step < warm:
        return recipe.rate * (step + 1) / (math.floor(warm) + 1)
    if recipe.schedule == "constant":
        return recipe.rate
    if recipe.schedule == "step":
        passed = sum(step >= milestone * per_epoch for milestone in recipe.milestones)
        return recipe.rate * (0.1 if recipe.drop is None else recipe.drop) ** passed
    if recipe.schedule == "one_cycle":
        return recipe.rate * _one_cycle(step / max(steps - 1, 1), recipe.final)
    done = (step - warm) / max(steps - warm, 1)
    left = 1 - done if recipe.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return recipe.rate * (recipe.final + (1 - recipe.final) * left)


def share_at(growth: Growth, step: int, steps: int, per_epoch: int) -> float:
    """Give the share of the rate that what a growth added takes in ``step``, as ``rate_at``."""
    since = step - growth.epoch * per_epoch
    return min(1.0, (since + 1) / (math.floor(growth.warmup * steps) + 1))


def lift_at(growth: Growth, step: int, steps: int, per_epoch: int) -> float:
    """Give the share of its fading in that a growth takes before ``step``, as ``rate_at``.

    Nothing before its first step: the loss of that one is of the function as it was. It is
    shorter where fewer steps are left, and takes one step at least.
    """
    if not growth.fade_in:
        return 0.0
    since, left = step - growth.epoch * per_epoch, steps - growth.epoch * per_epoch - 1
    lasts = min(max(math.floor(growth.fade_in * steps), 1), left)
    return 1 / lasts if 1 <= since <= lasts else 0.0


def faded_in(growth: Growth, epochs: int) -> int:
    """Give the epoch in which a growth's fading in ends."""
    return growth.epoch + math.ceil(growth.fade_in * epochs)


def _one_cycle(done: float, final: float, rise: float = 0.3, start: float = 1 / 25) -> float:
    """Share of the highest rate: from ``start`` up to 1 at ``rise``, then down to ``final``."""
    if done < rise:
        return start + (1 - start) * (1 - math.cos(math.pi * done / rise)) / 2
    down = (done - rise) / (1 - rise)
    return final + (1 - final) * (1 + math.cos(math.pi * down)) / 2
