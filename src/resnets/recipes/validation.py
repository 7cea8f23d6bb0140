"""Everything that can be wrong with a recipe, each problem with its path.

A recipe calls this on construction, so that whatever exists can be trained by.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from resnets.errors import Problem
from resnets.schema import shorten

if TYPE_CHECKING:
    from resnets.recipes.recipe import Growth, Recipe

LARGEST_SCALE_RATE = 1000
"""A growth's largest ``scale_rate``."""

_RANGES: dict[str, tuple[float, float]] = {
    "size": (1, 4096),
    "epochs": (1, 100_000),
    "batch": (1, 2**20),
    "seed": (0, 2**63 - 1),
    "crop": (0, 512),
    "patience": (1, 100_000),
    "validation": (0, 0.9),
    "skip": (0, 1),
    "rate": (0, 1e6),
    "momentum": (0, 1),
    "weight_decay": (0, 1e3),
    "warmup": (0, 1),
    "drop": (0, 1),
    "final": (0, 1),
    "label_smoothing": (0, 1),
    "erase": (0, 1),
    "mixup": (0, 100),
    "cutmix": (0, 100),
    "stochastic_depth": (0, 1),
    "average": (0, 1),
    "clip": (0, 1e12),
}
_OPEN_BELOW = ("rate", "mixup", "cutmix", "clip", "drop")
_OPEN_ABOVE = ("momentum", "average", "label_smoothing", "warmup", "stochastic_depth", "skip")


def find_problems(r: "Recipe") -> Iterator[Problem]:
    """Yield everything that keeps ``r`` from being a recipe."""
    for name, (least, most) in _RANGES.items():
        value = getattr(r, name)
        if value is None:
            continue
        inside = (
            isinstance(value, (int, float))
            and least <= value <= most
            and not (name in _OPEN_BELOW and value == least)
            and not (name in _OPEN_ABOVE and value == most)
        )
        if not inside:
            low = "above" if name in _OPEN_BELOW else "from"
            high = "below" if name in _OPEN_ABOVE else "to"
            message = f"{shorten(value)} is not {low} {least:g} {high} {most:g}"
            yield Problem(name, message)
    yield from _contradiction_problems(r)
    yield from _growth_problems(r)


def _contradiction_problems(r: "Recipe") -> Iterator[Problem]:
    if r.optimiser == "adamw":
        if r.momentum is not None:
            yield Problem("momentum", "adamw has none; its memory is set by betas")
        if r.nesterov:
            yield Problem("nesterov", "adamw has none; use optimiser sgd")
    if r.optimiser == "sgd":
        if r.betas is not None:
            yield Problem("betas", "sgd has none; use momentum, or optimiser adamw")
        if r.nesterov and not r.momentum:
            yield Problem("nesterov", "needs a momentum above 0")
    if r.betas is not None and not (len(r.betas) == 2 and all(0 <= b < 1 for b in r.betas)):
        yield Problem("betas", f"{list(r.betas)} is not two numbers from 0 to below 1")
    if r.schedule == "step" and not r.milestones:
        yield Problem("milestones", "none; the step schedule drops at each of them")
    if r.schedule != "step" and r.milestones:
        yield Problem("milestones", f"the {r.schedule} schedule has none; use schedule step")
    if r.schedule != "step" and r.drop is not None:
        yield Problem("drop", f"the {r.schedule} schedule has none; use schedule step")
    if any(b <= a for a, b in zip((0.0, *r.milestones), r.milestones, strict=False)):
        yield Problem("milestones", f"{list(r.milestones)} do not increase from above 0")
    if r.schedule == "one_cycle" and r.warmup:
        yield Problem("warmup", "one_cycle has a rise of its own; leave it 0")
    if r.schedule in ("constant", "step") and r.final:
        yield Problem("final", f"the {r.schedule} schedule ends where it is; leave it 0")
    if r.milestones and r.milestones[-1] >= r.epochs:
        yield Problem("milestones", f"{r.milestones[-1]:g} is not before the end, {r.epochs}")
    if r.start is None:
        for name in ("reset_head", "input"):
            if getattr(r, name):
                yield Problem(name, "is for weights to start from; set start")
    if r.patience is not None and not r.validation:
        yield Problem("patience", "needs a validation split; set validation above 0")


def _growth_problems(r: "Recipe") -> Iterator[Problem]:
    last = 0 if r.start is None else -1  # trained weights may grow at once
    for i, growth in enumerate(r.grow):
        if not last < growth.epoch < r.epochs:
            after = f"after {last}" if last >= 0 else "from 0 on"
            message = f"{shorten(growth.epoch)} is not {after} and before the end, {r.epochs}"
            yield Problem(f"grow[{i}].epoch", message)
        if bool(growth.to) == bool(growth.depths):
            yield Problem(f"grow[{i}]", "state either to or depths")
        if not 0 <= growth.warmup < 1:
            message = f"{growth.warmup:g} is not from 0 below 1: it is a share of all steps"
            yield Problem(f"grow[{i}].warmup", message)
        if not 0 <= growth.fade_in < 1:
            message = f"{growth.fade_in:g} is not from 0 below 1: it is a share of all steps"
            yield Problem(f"grow[{i}].fade_in", message)
        yield from _scale_rate_problems(growth, f"grow[{i}].scale_rate")
        last = growth.epoch


def _scale_rate_problems(growth: "Growth", place: str) -> Iterator[Problem]:
    if not 0 < growth.scale_rate <= LARGEST_SCALE_RATE:
        yield Problem(
            place, f"{growth.scale_rate:g} is not above 0 and at most {LARGEST_SCALE_RATE}"
        )
    elif growth.scale_rate != 1 and growth.start not in ("identity", "copy"):
        yield Problem(place, f"is for scales that begin at zero; those of {growth.start} do not")
