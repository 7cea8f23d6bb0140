"""Weights and images on which a mistake cannot hide."""

from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.inference.parity import lively_weights as lively_weights
from resnets.networks.architecture import Architecture
from resnets.networks.network import Weights


def double(weights: Weights) -> Weights:
    """The same weights in float64."""
    return {name: array.astype(np.float64) for name, array in weights.items()}


def images(architecture: Architecture, height: int, width: int, n: int = 2) -> npt.NDArray[Any]:
    """Normal random images, [n, channels, height, width], float32."""
    shape = (n, architecture.channels, height, width)
    return np.random.default_rng(7).normal(size=shape).astype(np.float32)


def evaluating(model: Any) -> Any:
    """The model in evaluation mode, where its framework's models are in a mode at all."""
    if hasattr(model, "eval"):
        model.eval()
    return model


def relative(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """The largest difference, relative to the largest expected value (if that is not 0)."""
    return float(np.abs(found - expected).max() / (np.abs(expected).max() or 1))
