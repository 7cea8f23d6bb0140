"""What a recipe's growths make of a network: each growth's target, checked and named."""

from dataclasses import replace

from resnets.errors import GrowthError, InvalidDescription
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import Scheme
from resnets.networks.named import find_architecture
from resnets.recipes.recipe import Growth, Recipe
from resnets.schema import shorten
from resnets.training.growth.deepening import Deepening


def plan_growths(recipe: Recipe, network: Architecture) -> tuple[Deepening, ...]:
    """Return the recipe's growths of ``network``, one after the other.

    Raises:
        GrowthError: if a target does not contain the network before it, or adds no block to it.
        UnknownName, InvalidDescription, RunError: as ``find_architecture``.
    """
    plan: list[Deepening] = []
    for growth in recipe.grow:
        plan.append(plan_growth(growth, network, seed=recipe.seed, scheme=recipe.initialisation))
        network = plan[-1].target
    return tuple(plan)


def plan_growth(
    growth: Growth, network: Architecture, *, seed: int, scheme: Scheme = "he"
) -> Deepening:
    """Return one growth of ``network``; new weights are drawn by ``seed`` and ``scheme``.

    Raises:
        As ``plan_growths``.
    """
    if growth.depths:
        target = _deepen(network, growth.depths)
    else:
        named = find_architecture(growth.to)
        target = replace(named, channels=network.channels, classes=network.classes)
    return Deepening(
        network,
        target,
        placement=growth.placement,
        start=growth.start,
        seed=seed,
        momentum=growth.momentum,
        scheme=scheme,
    )


def _deepen(network: Architecture, depths: tuple[int, ...]) -> Architecture:
    written, own = ("-".join(map(str, d)) for d in (depths, [s.depth for s in network.stages]))
    if len(depths) != len(network.stages):
        raise GrowthError(
            f"{shorten(written)} is for {_count_stages(len(depths))}; "
            f"{network.name or 'the network'} has {_count_stages(len(network.stages))}, "
            f"of {own} blocks"
        )
    if any(depth < stage.depth for stage, depth in zip(network.stages, depths, strict=True)):
        raise GrowthError(
            f"{shorten(written)} does not contain {network.name or 'the network'}: "
            f"its stages have {own} blocks"
        )
    base = network.name.partition(" ")[0]
    try:
        stages = tuple(
            replace(stage, depth=depth) for stage, depth in zip(network.stages, depths, strict=True)
        )
        return replace(network, stages=stages, name=f"{base} {written}")
    except InvalidDescription as error:
        reasons = "; ".join(map(str, error.problems))
        raise GrowthError(f"{shorten(written)}: {reasons}") from error


def _count_stages(number: int) -> str:
    return f"{number} stage{'' if number == 1 else 's'}"
