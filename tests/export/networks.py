"""Networks to export, with weights on which a mistake cannot hide."""

import numpy as np
import numpy.typing as npt

from resnets.data.images import Pixels
from resnets.inference.parity import random_weights
from resnets.networks import reference
from resnets.networks.architecture import Architecture
from resnets.networks.network import Network, Preprocessing


def network(a: Architecture, size: int = 17) -> Network:
    """A network whose channels are prepared each in its own way."""
    mean = tuple(0.3 + 0.1 * c for c in range(a.channels))
    std = tuple(0.4 - 0.05 * c for c in range(a.channels))
    names = tuple(f"class {n}" for n in range(a.classes))
    return Network(a, random_weights(a), Preprocessing(size=size, mean=mean, std=std), names)


def pixels(a: Architecture, height: int, width: int, n: int = 3) -> Pixels:
    """Noise."""
    shape = (n, height, width, a.channels)
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def preprocess(made: Network, stored: Pixels) -> npt.NDArray[np.float64]:
    """What the network reads, [n, channels, height, width]."""
    p = made.preprocessing
    return ((stored / 255 - np.array(p.mean)) / np.array(p.std)).transpose(0, 3, 1, 2)


def reference_logits(made: Network, stored: Pixels) -> npt.NDArray[np.float64]:
    """The logits by definition, in float64."""
    weights = {name: array.astype(np.float64) for name, array in made.weights.items()}
    return reference.forward(made.architecture, weights, preprocess(made, stored)).logits
