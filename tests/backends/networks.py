"""Weights and images on which a mistake cannot hide."""

from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.architecture import Architecture
from resnets.initial import initial_weights
from resnets.tracing import tensors
from resnets.weights import Weights


def lively_weights(architecture: Architecture, seed: int = 0) -> Weights:
    """Initial weights with norms whose scales, shifts and statistics are all different."""
    rng = np.random.default_rng(seed)
    weights = initial_weights(architecture, seed=seed)
    for tensor in tensors(architecture):
        if tensor.role in ("scale", "variance"):
            weights[tensor.name] = rng.uniform(0.5, 1.5, tensor.shape).astype(np.float32)
        elif tensor.role in ("shift", "mean", "bias"):
            weights[tensor.name] = rng.normal(0, 0.3, tensor.shape).astype(np.float32)
    return weights


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
