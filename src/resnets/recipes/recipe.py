"""How a network is trained: one flat, frozen value, and what can be wrong with it.

Every field has the same name as a flag of ``resnets train``, a key of recipe.json and of a
configuration file. The resolved recipe is saved with the run and runs it again.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from resnets.errors import InvalidDescription
from resnets.recipes import validation
from resnets.schema import from_json

Start = Literal["identity", "copy", "stack", "random"]
"""What a growth's new blocks begin as."""

Placement = Literal["end", "interleaved"]
"""Where they stand in their stage."""

Momentum = Literal["carry", "clear"]
"""What becomes of the optimiser's memory of old tensors."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """The network becomes deeper after an epoch; ``growth.Deepening`` says how.

    Attributes:
        epoch: after which; 0, before the first, where a run starts from trained weights.
        to: a name of the catalog, or the path of an architecture's JSON file.
        depths: in place of ``to``, blocks in each stage; (1, 1, 2) and later (2, 2, 2) lets the
            last of three stages grow first.
        placement: where new blocks stand: at the ``end`` of their stage, or ``interleaved``.
        start: what they begin as: the ``identity``, a ``copy`` of the block before them that adds
            nothing yet, a ``stack``: all of that block, or ``random``.
        warmup: share of all steps over which the rate of the new tensors first rises linearly
            from zero to that of the old ones.
        fade_in: share of all steps over which what ends new blocks' branches, the scales of a norm
            or else a kernel, is raised evenly from zero to what it would be drawn as, beside what
            it learns; left to themselves these stay near zero, and the blocks are hardly used
            (``benchmarks/README.md``). It is shorter where fewer steps are left. For starts that
            change the function it counts for nothing.
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
    fade_in: float = 0.125
    scale_rate: float = 1.0
    momentum: Momentum = "carry"

    def __str__(self) -> str:
        """Write it as the flag does, with the settings that the flag leaves as they are."""
        flag = f"{self.epoch}:{self.to or '-'.join(map(str, self.depths))}"
        if self.start != Growth.start:
            flag += f":{self.start}"
        written = ("epoch", "to", "depths", "start")
        others = (f for f in dataclasses.fields(self) if f.name not in written)
        chosen = [
            f", {f.name} {value}" for f in others if (value := getattr(self, f.name)) != f.default
        ]
        return flag + "".join(chosen)


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
        problems = list(validation.find_problems(self))
        if problems:
            raise InvalidDescription("recipe", problems)

    def replace(self, /, **changes: Any) -> "Recipe":
        """Give the recipe with other values; as ``replace_from``."""
        return self.replace_from(changes)

    def replace_from(self, changes: Mapping[str, Any], subject: str = "recipe") -> "Recipe":
        """Give the recipe with other values; ``subject`` is where they come from.

        Settings that only the old optimiser or schedule had go with it.

        Raises:
            InvalidDescription: for unknown, mistyped or contradictory settings, all at once.
        """
        kept = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        for choice, belongings in _DEPENDENT_SETTINGS.items():
            if changes.get(choice, kept[choice]) != kept[choice]:
                for name in belongings:
                    kept[name] = _DEFAULTS[name]
        return from_json(Recipe, {**kept, **changes}, subject)


def upgrade_saved_recipe(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give a saved recipe as it was meant when growths were not yet faded in.

    One that was saved states every setting of a growth that there was.
    """
    growths = value.get("grow")
    if not isinstance(growths, list):
        return value
    before = {"placement", "start", "warmup", "momentum"}

    def upgrade_growth(growth: Any) -> Any:
        if not isinstance(growth, dict):
            return growth
        found = cast("dict[str, Any]", growth)
        return {"fade_in": 0.0, **found} if before <= found.keys() else found

    return {**value, "grow": [upgrade_growth(growth) for growth in cast("list[Any]", growths)]}


_DEFAULTS = {f.name: f.default for f in dataclasses.fields(Recipe)}
_DEPENDENT_SETTINGS = {
    "optimiser": ("momentum", "nesterov", "betas"),
    "schedule": ("milestones", "drop", "final", "warmup"),
}
