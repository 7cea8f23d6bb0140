"""How a network is trained: one flat, frozen value, and what can be wrong with it.

Every field has the same name as a flag of ``resnets train``, a key of recipe.json and of a
configuration file. The resolved recipe is saved with the run and runs it again.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from resnets.description import from_json, shortened
from resnets.errors import InvalidDescription, Problem

Start = Literal["identity", "copy", "stack", "random"]
"""What a growth's new blocks begin as."""

Placement = Literal["end", "interleaved"]
"""Where they stand in their stage."""

Momentum = Literal["carry", "clear"]
"""What becomes of the optimiser's memory of old tensors."""

FASTEST_SCALES = 1000
"""A growth's largest ``scale_rate``."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """The network becomes deeper after an epoch; ``growth.Deepening`` says how.

    Attributes:
        epoch: after which.
        to: a name of the catalog, or the path of an architecture's JSON file.
        depths: in place of ``to``, blocks in each stage; (1, 1, 2) and later (2, 2, 2) lets the
            last of three stages grow first.
        placement: where new blocks stand: at the ``end`` of their stage, or ``interleaved``.
        start: what they begin as: the ``identity``, a ``copy`` of the block before them that adds
            nothing yet, a ``stack``: all of that block, or ``random``.
        warmup: share of all steps over which the rate of the new tensors first rises linearly
            from zero to that of the old ones.
        scale_rate: what the rate of the last scales of new blocks is multiplied by. They begin at
            zero, but for starts that change the function, and until they have grown a block does
            nothing and learns little.
        momentum: what becomes of the optimiser's memory of the old tensors: ``carry`` it on, or
            ``clear`` it, as that of the new ones is.
    """

    epoch: int
    to: str = ""
    depths: tuple[int, ...] = ()
    placement: Placement = "end"
    start: Start = "identity"
    warmup: float = 0.0
    scale_rate: float = 1.0
    momentum: Momentum = "carry"

    def __str__(self) -> str:
        """Write it as the flag does, with the settings that the flag leaves as they are."""
        others = (f for f in dataclasses.fields(self) if f.name not in ("epoch", "to", "depths"))
        chosen = [
            f", {f.name} {value}" for f in others if (value := getattr(self, f.name)) != f.default
        ]
        return f"{self.epoch}:{self.to or '-'.join(map(str, self.depths))}{''.join(chosen)}"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the outcome of a training run, the machine aside.

    Attributes:
        name: of the recipe it started as.
        network: a name of the catalog, or the path of an architecture's JSON file.
        start: weights to train on from, in place of ``network`` and its initial weights: a run
            folder, or whatever ``resnets convert`` reads. Images are normalised as they were.
        reset_head: whether ``start`` gets a new dense layer for the classes of the data.
        input: what becomes of ``start``'s first kernel where the data has another number of
            channels: ``sum`` (to 1) or ``repeat``.
        data: ``fashion_mnist``, or the path of a folder of images.
        size: height and width the images are resized to, in pixels.
        validation: share of the training images held out to choose the best epoch; 0 trains on
            all of them and keeps the last epoch.
        epochs: passes over the training images.
        batch: images in a step.
        partial_batch: whether the images left over at the end of an epoch make a smaller step;
            otherwise they wait for another epoch, when others are left over.
        skip: share of the training images that an epoch leaves out: those whose loss was lowest
            when they were last seen. In the first epoch they are any; images not yet seen come
            first in the next. Epochs are shorter by as much (after Nguyen et al. 2023,
            arXiv:2310.10102, without their pass over what is left out).
        seed: of the held-out split, the initial weights, the order and the augmentation.
        optimiser: ``sgd`` (torch's definition of momentum and Nesterov) or ``adamw``
            (Loshchilov and Hutter 2017, arXiv:1711.05101).
        rate: the highest learning rate.
        momentum, nesterov: of sgd.
        betas: of adamw.
        weight_decay: of kernels and dense weights; norms and biases are spared.
        decay_all: whether norms and biases decay as well.
        schedule: ``constant``; ``step``: times ``drop`` at each milestone; ``linear`` and
            ``cosine``: down to ``rate`` times ``final``; ``one_cycle``: up for the first 30% of
            the steps and down again, both by a cosine (Smith and Topin 2017, arXiv:1708.07120).
        warmup: share of all steps over which the rate first rises linearly from zero.
        milestones: epochs at which the step schedule drops.
        drop: factor of each drop.
        final: share of the rate left at the end of linear, cosine and one_cycle.
        label_smoothing: share of the target spread over all classes.
        flip: whether half of the images are mirrored.
        crop: pixels of black border from which the image is cut out at random.
        erase: probability that a rectangle of the image is erased (Zhong et al. 2017,
            arXiv:1708.04896).
        mixup, cutmix: their alpha, or null for none; with both, each batch takes one of them
            (Zhang et al. 2017, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899).
        stochastic_depth: probability that an image skips the last block's residual branch in a
            step; those of earlier blocks rise to it linearly (Huang et al. 2016,
            arXiv:1603.09382).
        average: decay of the exponential moving average of the weights, which is then what is
            evaluated and kept; null for none.
        clip: largest norm of the gradient; null for no clipping.
        precision: ``fp32``, ``bf16``, or ``auto``: bf16 where the device computes in it; ``fp64``
            is for comparing frameworks.
        patience: epochs without improvement after which training stops; null to train on. While
            a growth is still to come it does not stop, and after each the count begins anew.
        initialisation: ``he`` or ``xavier``, as in ``initial_weights``.
        zero_last_scale: whether residual branches start at zero.
        normalise: whether pixels are shifted and scaled to mean 0 and deviation 1 of the
            training images; otherwise they are only scaled to 0 to 1.
        grow: how the network becomes deeper while it trains, one Growth after the other; on the
            command line EPOCH:NETWORK or EPOCH:DEPTHS, such as 4:resnet18d_light or 4:2-2-2, and
            where new blocks are to begin otherwise :START behind, such as 4:2-2-2:random.
    """

    name: str = "custom"
    network: str = "resnet18_small"
    start: str | None = None
    reset_head: bool = False
    input: Literal["sum", "repeat"] | None = None
    data: str = "fashion_mnist"
    size: int = 28
    validation: float = 0.05
    epochs: int = 10
    batch: int = 128
    partial_batch: bool = False
    skip: float = 0.0
    seed: int = 0
    optimiser: Literal["sgd", "adamw"] = "sgd"
    rate: float = 0.1
    momentum: float | None = None
    nesterov: bool = False
    betas: tuple[float, ...] | None = None
    weight_decay: float = 0.0
    decay_all: bool = False
    schedule: Literal["constant", "step", "linear", "cosine", "one_cycle"] = "constant"
    warmup: float = 0.0
    milestones: tuple[float, ...] = ()
    drop: float | None = None
    final: float = 0.0
    label_smoothing: float = 0.0
    flip: bool = False
    crop: int = 0
    erase: float = 0.0
    mixup: float | None = None
    cutmix: float | None = None
    stochastic_depth: float = 0.0
    average: float | None = None
    clip: float | None = None
    precision: Literal["auto", "fp32", "bf16", "fp64"] = "auto"
    patience: int | None = None
    initialisation: Literal["he", "xavier"] = "he"
    zero_last_scale: bool = False
    normalise: bool = True
    grow: tuple[Growth, ...] = ()

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise InvalidDescription("recipe", problems)

    def changed(self, /, **changes: Any) -> "Recipe":
        """Give the recipe with other values; as ``changed_by``."""
        return self.changed_by(changes)

    def changed_by(self, changes: Mapping[str, Any], subject: str = "recipe") -> "Recipe":
        """Give the recipe with other values; ``subject`` is where they come from.

        Settings that only the old optimiser or schedule had go with it.

        Raises:
            InvalidDescription: for unknown, mistyped or contradictory settings, all at once.
        """
        kept = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for choice, belongings in _BELONGINGS.items():
            if changes.get(choice, kept[choice]) != kept[choice]:
                for name in belongings:
                    kept[name] = _DEFAULTS[name]
        return from_json(Recipe, {**kept, **changes}, subject)


_DEFAULTS = {f.name: f.default for f in dataclasses.fields(Recipe)}
_BELONGINGS = {
    "optimiser": ("momentum", "nesterov", "betas"),
    "schedule": ("milestones", "drop", "final", "warmup"),
}


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


def _problems(r: Recipe) -> Iterator[Problem]:
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
            message = f"{shortened(value)} is not {low} {least:g} {high} {most:g}"
            yield Problem(name, message)
    yield from _contradictions(r)


def _contradictions(r: Recipe) -> Iterator[Problem]:
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
    last = 0
    for i, growth in enumerate(r.grow):
        if not last < growth.epoch < r.epochs:
            message = (
                f"{shortened(growth.epoch)} is not after {last} and before the end, {r.epochs}"
            )
            yield Problem(f"grow[{i}].epoch", message)
        if bool(growth.to) == bool(growth.depths):
            yield Problem(f"grow[{i}]", "state either to or depths")
        if not 0 <= growth.warmup < 1:
            message = f"{growth.warmup:g} is not from 0 below 1: it is a share of all steps"
            yield Problem(f"grow[{i}].warmup", message)
        yield from _scale_rate_problems(growth, f"grow[{i}].scale_rate")
        last = growth.epoch
    if r.patience is not None and not r.validation:
        yield Problem("patience", "needs a validation split; set validation above 0")


def _scale_rate_problems(growth: Growth, place: str) -> Iterator[Problem]:
    if not 0 < growth.scale_rate <= FASTEST_SCALES:
        yield Problem(place, f"{growth.scale_rate:g} is not above 0 and at most {FASTEST_SCALES}")
    elif growth.scale_rate != 1 and growth.start not in ("identity", "copy"):
        yield Problem(place, f"is for scales that begin at zero; those of {growth.start} do not")
