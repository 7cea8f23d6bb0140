"""Random draws of a training step: which images, and what is done to each.

All randomness of training is here and in ``initial``, a pure function of the recipe's seed and
the step's number, drawn in NumPy: the same in every framework, and resuming needs no saved
generator. Applying the draws to pixels is each backend's work, on its device.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from resnets.recipes.recipe import Recipe
from resnets.recipes.schedule import Schedule

Index = npt.NDArray[np.int64]

# Streams of randomness; the numbers are part of what makes a run repeatable.
_ORDER, _PARAMETERS, _SPLIT, _DROP_PATH = 1, 2, 3, 4

# Zhong et al. 2017, section 3.2: area and aspect ratio of an erased rectangle.
ERASED_AREA = (0.02, 0.4)
ERASED_ASPECT = (0.3, 1 / 0.3)


@dataclass(frozen=True)
class Mix:
    """Images of a batch mixed with others of it.

    Attributes:
        partner: for each image, the number in the batch of the one mixed in, [n].
        share: of the image's own label in the target; the partner's has the rest.
        box: top, left, bottom, right of the region taken from the partner (cutmix); None blends
            all pixels by ``share`` (mixup).
    """

    partner: Index
    share: float
    box: tuple[int, int, int, int] | None


@dataclass(frozen=True)
class AugmentationParameters:
    """What is done to each image of a batch; None: nothing of that kind.

    Attributes:
        flipped: whether it is mirrored, [n].
        offsets: row and column in the bordered image where the cut begins, [n, 2]; 2 × border
            is the largest.
        padding: pixels of black around the image before it is cut.
        erased_boxes: top, left, height, width of the erased rectangle, [n, 4]; zeros: none.
        mix: how images are mixed with others of the batch.
        drop_path_scales: what each block's residual branch is multiplied by, [blocks, n]: 0 where
            it is dropped, 1 / the probability that it is kept where it is not.
    """

    flipped: npt.NDArray[np.bool_] | None = None
    offsets: Index | None = None
    padding: int = 0
    erased_boxes: Index | None = None
    mix: Mix | None = None
    drop_path_scales: npt.NDArray[np.float64] | None = None


def split(labels: Index, share: float, *, seed: int) -> tuple[Index, Index]:
    """Divide images into those to train on and those held out, ``share`` of every class.

    Gives two sorted arrays of image numbers. A class of two images or more keeps at least one on
    either side; a class of one image is trained on.
    """
    held: list[Index] = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = min(max(round(len(members) * share), 1), len(members) - 1) if share else 0
        generator = np.random.default_rng([seed, _SPLIT, int(label)])
        held.append(generator.permutation(members)[:count])
    out = np.sort(np.concatenate(held)) if held else np.empty(0, np.int64)
    kept = np.setdiff1d(np.arange(len(labels)), out)
    return kept, out


def step_indices(recipe: Recipe, images: int, *, step: int) -> Index:
    """Give the numbers of the images of ``step`` (from 0), of ``images`` to train on.

    With ``skip`` it leaves out any; which ones a run leaves out is ``order``'s work.
    """
    epoch, within = divmod(step, Schedule(recipe, images).steps_per_epoch)
    order = shuffle_epoch(recipe.seed, epoch, images=images)
    return order[within * recipe.batch : (within + 1) * recipe.batch]


@lru_cache(maxsize=2)
def shuffle_epoch(seed: int, epoch: int, *, images: int) -> Index:
    """Give the numbers of ``images`` in the order of an epoch, from 0."""
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(images)


def draw_parameters(
    recipe: Recipe, step: int, *, count: int, size: tuple[int, int], blocks: int = 0
) -> AugmentationParameters:
    """Draw what is done to the ``count`` images of ``step``, of ``size`` height and width.

    ``blocks``: of the network that is trained; their branches are dropped where the recipe has
    stochastic depth.
    """
    dropped = bool(recipe.stochastic_depth) and blocks > 0
    branches = _draw_drop_path_scales(recipe, step, count=count, blocks=blocks) if dropped else None
    if not (recipe.flip or recipe.crop or recipe.erase or recipe.mixup or recipe.cutmix):
        return AugmentationParameters(drop_path_scales=branches)
    generator = np.random.default_rng([recipe.seed, _PARAMETERS, step])
    flipped = generator.random(count) < 0.5 if recipe.flip else None
    offsets = generator.integers(0, 2 * recipe.crop + 1, (count, 2)) if recipe.crop else None
    erased = (
        _draw_rectangles(generator, recipe.erase, count=count, size=size) if recipe.erase else None
    )
    mix = (
        _draw_mix(generator, recipe, count=count, size=size)
        if recipe.mixup or recipe.cutmix
        else None
    )
    return AugmentationParameters(flipped, offsets, recipe.crop, erased, mix, branches)


def _draw_drop_path_scales(
    recipe: Recipe, step: int, *, count: int, blocks: int
) -> npt.NDArray[np.float64]:
    """Huang et al. 2016, section 3, linear decay; here each image drops branches of its own.

    What is kept is scaled up, so that the network is as it stands in evaluation.
    """
    generator = np.random.default_rng([recipe.seed, _DROP_PATH, step])
    kept = 1 - recipe.stochastic_depth * np.arange(1, blocks + 1)[:, None] / blocks
    return (generator.random((blocks, count)) < kept) / kept


def _draw_rectangles(
    generator: np.random.Generator, probability: float, *, count: int, size: tuple[int, int]
) -> Index:
    """Rectangles of random area and aspect that fit; one that would not is cut to the image."""
    height, width = size
    area = generator.uniform(*ERASED_AREA, count) * height * width
    low, high = (float(np.log(bound)) for bound in ERASED_ASPECT)
    aspect = np.exp(generator.uniform(low, high, count))
    tall = np.clip(np.rint(np.sqrt(area * aspect)), 1, height).astype(np.int64)
    wide = np.clip(np.rint(np.sqrt(area / aspect)), 1, width).astype(np.int64)
    top = generator.integers(0, height - tall + 1)
    left = generator.integers(0, width - wide + 1)
    erased = np.stack([top, left, tall, wide], axis=1)
    erased[generator.random(count) >= probability] = 0
    return erased


def _draw_mix(
    generator: np.random.Generator, recipe: Recipe, *, count: int, size: tuple[int, int]
) -> Mix:
    partner = generator.permutation(count)
    by_box = not recipe.mixup or (bool(recipe.cutmix) and generator.random() < 0.5)
    alpha = recipe.cutmix if by_box else recipe.mixup
    assert alpha is not None
    share = float(generator.beta(alpha, alpha))
    if not by_box:
        return Mix(partner, share, None)
    height, width = size
    tall, wide = height * np.sqrt(1 - share), width * np.sqrt(1 - share)
    row, column = generator.integers(height), generator.integers(width)
    top, bottom = (int(np.clip(row + s * tall / 2, 0, height)) for s in (-1, 1))
    left, right = (int(np.clip(column + s * wide / 2, 0, width)) for s in (-1, 1))
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return Mix(partner, share, (top, left, bottom, right))
