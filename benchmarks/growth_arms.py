"""The ways to train that ``growth.py`` compares: data, and what each makes of a recipe."""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from resnets.networks.named import find_architecture
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe
from resnets.training.growth.targets import plan_growths


@dataclass(frozen=True)
class Grows:
    """One growth of an arm.

    Attributes:
        after: share of the epochs.
        stage: which stage gets its blocks: ``all``, or the ``first`` or ``last`` alone.
        settings: others of ``recipe.Growth``.
    """

    after: float
    stage: str = "all"
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Arm:
    """A way to train.

    Attributes:
        grows: from the small network to the large one; none trains the large one throughout.
        small: whether the small network is trained throughout.
        as_long_as: the arm whose compute decides how many epochs this one gets; epochs are whole,
            so 60% of 4 are 2.
        settings: others of the recipe.
    """

    grows: tuple[Grows, ...] = ()
    small: bool = False
    as_long_as: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


def once(after: float, **settings: Any) -> Arm:
    """Grow all stages at once, after a share of the epochs."""
    return Arm(grows=(Grows(after, settings=settings),))


def twice(stage: str, **settings: Any) -> Arm:
    """Grow one stage after a quarter of the epochs, the others after half of them."""
    return Arm(grows=(Grows(0.25, stage, settings), Grows(0.5, "all", settings)))


ARMS: dict[str, Arm] = {
    "scratch": Arm(),
    "scratch, as much compute": Arm(as_long_as="identity"),
    "scratch, as much as late": Arm(as_long_as="identity, late"),
    "scratch, as much as last first": Arm(as_long_as="last stage first, random"),
    "never grown": Arm(small=True),
    "identity": once(0.5, fade_in=0.0),
    "identity, faded in": once(0.5, fade_in=0.125),
    "copy": once(0.5, start="copy", fade_in=0.0),
    "stack": once(0.5, start="stack"),
    "random": once(0.5, start="random"),
    "identity, warm-up": once(0.5, warmup=0.1, fade_in=0.0),
    "random, warm-up": once(0.5, start="random", warmup=0.1),
    "identity, scales 4 times as fast": once(0.5, scale_rate=4.0, fade_in=0.0),
    "identity, scales 16 times as fast": once(0.5, scale_rate=16.0, fade_in=0.0),
    "last stage first, scales 16 times as fast": twice("last", scale_rate=16.0, fade_in=0.0),
    "identity, faded in slowly": once(0.5, fade_in=0.25),
    "identity, faded in fast": once(0.5, fade_in=0.03),
    "last stage first, faded in": twice("last", fade_in=0.125),
    "identity, momentum cleared": once(0.5, momentum="clear", fade_in=0.0),
    "identity, early": once(0.25, fade_in=0.0),
    "identity, late": once(0.75, fade_in=0.0),
    "identity, late, warm-up": once(0.75, warmup=0.1, fade_in=0.0),
    "copy, late": once(0.75, start="copy", fade_in=0.0),
    "stack, late": once(0.75, start="stack"),
    "random, late": once(0.75, start="random"),
    "random, late, warm-up": once(0.75, start="random", warmup=0.1),
    "random, early": once(0.25, start="random"),
    "first stage first": twice("first", fade_in=0.0),
    "last stage first": twice("last", fade_in=0.0),
    "last stage first, random": twice("last", start="random"),
    "last stage first, warm-up": twice("last", warmup=0.1, fade_in=0.0),
    "scratch, stochastic depth": Arm(settings={"stochastic_depth": 0.1}),
}
"""Interleaved blocks are no arm: behind a stage's only block they stand where others do."""


@dataclass(frozen=True)
class Work:
    """What the arms share: the recipe, and the networks at the beginning and at the end."""

    recipe: Recipe
    small: str
    large: str

    def recipe_of(self, arm: Arm, seed: int = 0) -> Recipe:
        """Give the recipe of an arm."""
        begins = self.small if arm.grows or arm.small else self.large
        epochs = self.recipe.epochs
        if arm.as_long_as:
            share = self.compute(ARMS[arm.as_long_as]) / self.compute(Arm())
            epochs = max(1, round(share * epochs))
        return self.recipe.replace(
            **{"network": begins, "seed": seed, "epochs": epochs, **arm.settings},
            grow=list(self._growths(arm, epochs)),
        )

    def compute(self, arm: Arm) -> int:
        """Multiply-adds of an arm's training, for one training image."""
        recipe = self.recipe_of(arm)
        network, total, since = find_architecture(recipe.network), 0, 0
        plans = plan_growths(recipe, network)
        ends = [*(growth.epoch for growth in recipe.grow), recipe.epochs]
        for a, until in zip([network, *(plan.target for plan in plans)], ends, strict=True):
            total += 3 * trace(a, recipe.size).multiply_adds * (until - since)
            since = until
        return total

    def _growths(self, arm: Arm, epochs: int) -> Iterator[dict[str, Any]]:
        small, large = (
            [stage.depth for stage in find_architecture(name).stages]
            for name in (self.small, self.large)
        )
        depths = {"all": large, "first": [large[0], *small[1:]], "last": [*small[:-1], large[-1]]}
        last = 0
        for grows in arm.grows:
            last = max(round(grows.after * epochs), last + 1)
            yield {"epoch": last, "depths": depths[grows.stage], **grows.settings}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/growth.py")
