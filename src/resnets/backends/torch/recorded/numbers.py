"""The numbers of a step in one array, so that one copy brings them to the device."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from resnets.backends.protocol import Batch
from resnets.data.augmentation import AugmentationParameters
from resnets.recipes.recipe import Recipe

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Numbers:
    """Which numbers a step has, in 64-bit words one after the other.

    Attributes:
        shapes: by name.
        floats: the names of those that are float64; the others are int64.
    """

    shapes: Mapping[str, Shape]
    floats: frozenset[str]

    @property
    def words(self) -> int:
        """Length of the array."""
        return sum(map(math.prod, self.shapes.values()))

    def write(self, words: npt.NDArray[np.int64], values: Mapping[str, Any]) -> None:
        """Put the value of every name in its place."""
        start = 0
        for name, shape in self.shapes.items():
            end = start + math.prod(shape)
            place = words[start:end]
            if name in self.floats:
                place = place.view(np.float64)
            place.reshape(shape)[...] = values[name]
            start = end

    def views(self, words: Tensor) -> dict[str, Tensor]:
        """Return the part of every name, as a view."""
        found: dict[str, Tensor] = {}
        start = 0
        for name, shape in self.shapes.items():
            end = start + math.prod(shape)
            place = words[start:end]
            if name in self.floats:
                place = place.view(torch.float64)
            found[name] = place.view(shape)
            start = end
        return found


FLOATS = frozenset({"rates", "shares", "nearer", "branches"})


def numbers_of(
    recipe: Recipe, draws: AugmentationParameters, *, n: int, groups: int, held: bool
) -> Numbers:
    """Return which numbers a step on ``n`` images has.

    They are: ``slot``, where its loss goes; ``rates``, of the optimiser's ``groups``; ``nearer``,
    how far the average moves towards the weights; ``index``, of images that are held, or
    ``labels``, of images that are brought; and the draws, as in ``AugmentationParameters``.
    """
    shapes: dict[str, Shape] = {"slot": (1,), "rates": (groups,)}
    if recipe.average is not None:
        shapes["nearer"] = ()
    shapes["index" if held else "labels"] = (n,)
    if draws.drop_path_scales is not None:
        shapes["branches"] = draws.drop_path_scales.shape
    if draws.flipped is not None:
        shapes["flipped"] = (n,)
    if draws.offsets is not None:
        shapes["offsets"] = (n, 2)
    if draws.erased_boxes is not None:
        shapes["erased"] = (n, 4)
    if draws.mix is not None:
        shapes |= {"partner": (n,), "shares": (2,)}
        if draws.mix.box is not None or recipe.cutmix:
            shapes |= {"box": (4,), "by_box": ()}
    return Numbers(shapes, FLOATS & shapes.keys())


def values_of(
    batch: Batch, *, nearer: float | None, rates: list[float], slot: int
) -> dict[str, Any]:
    """Return the numbers of a step by name; also some that it may not need."""
    draws = batch.augmentation
    values: dict[str, Any] = {
        "slot": slot,
        "rates": rates,
        "nearer": nearer,
        "branches": draws.drop_path_scales,
        "flipped": draws.flipped,
        "offsets": draws.offsets,
        "erased": draws.erased_boxes,
        "index": batch.index,
    }
    if draws.mix is not None:
        share, box = draws.mix.share, draws.mix.box
        values |= {"partner": draws.mix.partner, "shares": (share, 1 - share)}
        values |= {"box": box or (0, 0, 0, 0), "by_box": box is not None}
    return values
