"""Recipes by name: data, not code. A new recipe is an entry here."""

import difflib
from collections.abc import Mapping
from typing import Any

from resnets.errors import InvalidDescription, Problem, UnknownName
from resnets.recipes.recipe import Recipe, upgrade_saved_recipe
from resnets.schema import from_json, shorten

# What the short trainings share: so few steps want a high rate.
_SHORT = Recipe(
    batch=128,
    rate=0.4,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="linear",
    warmup=0.1,
    flip=True,
)

PRESETS: dict[str, Recipe] = {
    # The default: about a minute on two cores. No step for what is known already: an epoch takes
    # 40% of the images. In so many epochs crops keep it from learning the hard ones by heart, and
    # larger batches, which take a sixth less time an image, cost nothing.
    "quick": _SHORT.replace(
        name="quick",
        network="resnet10d_narrow",
        epochs=16,
        batch=256,
        rate=0.8,
        skip=0.6,
        crop=1,
    ),
    # The default for another network: what "quick" was until its batches grew. Large networks
    # bear neither its rate nor so few steps.
    "broad": _SHORT.replace(name="broad", network="resnet18", epochs=16, skip=0.6, crop=1),
    # For a first look: half of that time.
    "instant": _SHORT.replace(name="instant", network="resnet10d_narrow", epochs=6, skip=0.6),
    # Three minutes on two cores: a wider network, for longer.
    "steady": _SHORT.replace(
        name="steady",
        network="resnet10d_light",
        epochs=26,
        batch=256,
        rate=0.6,
        skip=0.6,
        crop=1,
    ),
    # For a GPU: two seconds on an H200, six minutes on two cores. Its network costs seven times
    # that of "steady"; larger batches keep the device busy.
    "swift": _SHORT.replace(
        name="swift",
        network="resnet10d_slim_small",
        epochs=12,
        batch=256,
        rate=0.6,
        skip=0.6,
        crop=1,
    ),
    # Best accuracy that a laptop has in well under an hour. Images that are erased and moved by two
    # pixels are enough for a network that would know the others by heart; the target is smoothed.
    "thorough": _SHORT.replace(
        name="thorough",
        network="resnet18d_slim_small",
        epochs=36,
        rate=0.3,
        skip=0.5,
        crop=2,
        erase=0.5,
        label_smoothing=0.1,
    ),
    # The default for a folder of images, which may be a few hundred: small batches make enough
    # steps of them. It takes all in each epoch, for labels that nobody has checked are among the
    # hardest, and in a small set too large a share of them.
    "folder": _SHORT.replace(
        name="folder",
        network="resnet10d_light",
        size=64,
        validation=0.1,
        epochs=30,
        batch=32,
        rate=0.1,
    ),
    # The default for weights that are trained already, at the size of their own images.
    "finetune": _SHORT.replace(
        name="finetune", size=224, validation=0.1, epochs=15, batch=32, rate=0.03
    ),
    # Days on a laptop, for a machine with a GPU: a wide network with random erasing, after Zhong
    # et al. 2017 (arXiv:1708.04896), section 4.1. Never run to its end by us.
    "accurate": Recipe(
        name="accurate",
        network="wrn_28_10",
        epochs=300,
        batch=128,
        rate=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="step",
        milestones=(150, 225),
        drop=0.1,
        flip=True,
        crop=4,
        erase=0.5,
    ),
    # Dive into Deep Learning 8.6.4, PyTorch tab: Trainer(max_epochs=10), FashionMNIST(128,
    # resize=96), SGD(lr=0.01), init_cnn. The chapter validates on the test set after each epoch;
    # here the test set is read once, at the end.
    "chapter": Recipe(
        name="chapter",
        network="chapter_resnet18",
        size=96,
        validation=0.0,
        epochs=10,
        batch=128,
        partial_batch=True,
        rate=0.01,
        precision="fp32",
        initialisation="xavier",
        normalise=False,
    ),
}


def get_preset(name: str) -> Recipe:
    """Give a named recipe.

    Raises:
        UnknownName: if there is none of that name.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UnknownName(
            f"no recipe is called {name!r}{hint} (there are {', '.join(PRESETS)})",
            name=name,
            suggestions=near,
        )
    return PRESETS[name]


def default_preset(data: str, *, started: bool = False, network: str | None = None) -> str:
    """Name the recipe for who asks for none.

    Args:
        data: the name or the folder of the images.
        started: whether training goes on from weights that are trained already.
        network: the one that was asked for, if any was.
    """
    if started:
        return "finetune"
    if data != Recipe.data:
        return "folder"
    return "quick" if network in (None, PRESETS["quick"].network) else "broad"


def recipe_from_json(value: Mapping[str, Any], subject: str = "recipe") -> Recipe:
    """Read a recipe from JSON or TOML values.

    A key ``recipe`` names the recipe that the others change.

    Raises:
        InvalidDescription: for unknown, mistyped or contradictory settings, all at once.
        UnknownName: if ``recipe`` names none.
    """
    changes = dict(upgrade_saved_recipe(value))
    start = changes.pop("recipe", None)
    if start is None:
        return from_json(Recipe, changes, subject)
    if not isinstance(start, str):
        raise InvalidDescription(subject, [Problem("recipe", f"{shorten(start)} is no name")])
    try:
        base = get_preset(start)
    except UnknownName as error:
        raise UnknownName(
            f"{subject}: {error}", name=error.name, suggestions=error.suggestions
        ) from None
    return base.replace_from(changes, subject)
