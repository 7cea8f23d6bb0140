"""A network in memory: its architecture, weights, preprocessing and class names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.tracing import tensors

Weights = dict[str, npt.NDArray[Any]]
"""Arrays by canonical name."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How an image becomes the network's input.

    Attributes:
        size: pixels of height and width; the shorter side is resized to it, the middle cut out.
        mean, std: one for each channel, of pixel values scaled to 0 to 1.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Network:
    """A network with its weights and what is needed to use it on images."""

    architecture: Architecture
    weights: Weights
    preprocessing: Preprocessing
    class_names: tuple[str, ...]


def check_weights(architecture: Architecture, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Compare ``weights`` with what the architecture needs.

    Raises:
        WeightsError: listing the missing, the unknown and the misshapen tensors.
    """
    needed = {tensor.name: tensor.shape for tensor in tensors(architecture)}
    missing = [name for name in needed if name not in weights]
    unexpected = [name for name in weights if name not in needed]
    misshapen = [
        name for name, array in weights.items() if name in needed and array.shape != needed[name]
    ]
    problems = [
        *(f"{name}: missing, shape {needed[name]}" for name in missing),
        *(f"{name}: unknown to this network" for name in unexpected),
        *(
            f"{name}: shape {weights[name].shape}, this network has {needed[name]}"
            for name in misshapen
        ),
    ]
    if problems:
        more = len(problems) - 12
        shown = problems[:12] + ([f"… and {more} more"] if more > 0 else [])
        title = architecture.name or "the network"
        raise WeightsError(
            "\n  ".join([f"weights do not fit {title}:", *shown]),
            missing=missing,
            unexpected=unexpected,
            misshapen=misshapen,
        )
