"""Weights and images on which a mistake cannot hide."""

from typing import Any

import numpy as np
import numpy.typing as npt
from flax import nnx

from resnets.inference.parity import random_weights as random_weights
from resnets.networks.architecture import Architecture
from resnets.networks.network import Weights


def to_float64(weights: Weights) -> Weights:
    """The same weights in float64."""
    return {name: array.astype(np.float64) for name, array in weights.items()}


def images(architecture: Architecture, height: int, width: int, n: int = 2) -> npt.NDArray[Any]:
    """Normal random images, [n, channels, height, width], float32."""
    shape = (n, architecture.channels, height, width)
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def set_mode(model: Any, *, training: bool) -> None:
    """Put a torch or Flax model into a mode; Keras and Gluon models have none."""
    if hasattr(model, "eval"):
        model.train() if training else model.eval()


def modes(model: Any) -> list[bool]:
    """Return the mode of each part of a torch or Flax model."""
    if isinstance(model, nnx.Module):
        parts = [part for _, part in nnx.iter_graph(model)]
        return [p.use_running_average for p in parts if isinstance(p, nnx.BatchNorm)]
    return [part.training for part in model.modules()] if hasattr(model, "modules") else []


def relative_difference(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """The largest difference, relative to the largest expected value (if that is not 0)."""
    return float(np.abs(found - expected).max() / (np.abs(expected).max() or 1))
