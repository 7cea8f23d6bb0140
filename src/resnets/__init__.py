"""Residual networks: one description, exact tables, native modules, fast training.

>>> import resnets
>>> resnets.trace(resnets.get("resnet50_v1"), 224).multiply_adds
3857973248

The names below are the public ones. Those of the second group need NumPy and are imported when
they are first used; ``resnets.backends.load("torch")`` gives a framework's five functions.
"""

import importlib
from typing import TYPE_CHECKING, Any

from resnets.architecture import Architecture, Block, Norm, Stage, Stem
from resnets.catalog import get, names
from resnets.errors import (
    DataError,
    Diverged,
    GrowthError,
    InvalidDescription,
    MissingDependency,
    ResnetsError,
    RunError,
    UnknownName,
    WeightsError,
)
from resnets.layout import Layer, Tensor, Trace
from resnets.recipe import Recipe
from resnets.tracing import tensors, trace

if TYPE_CHECKING:
    from resnets.exchange import read as read
    from resnets.growth import deepen as deepen
    from resnets.initial import initial_weights as initial_weights
    from resnets.reference import forward as forward
    from resnets.weights import Network as Network
    from resnets.weights import Preprocessing as Preprocessing
    from resnets.weights import load as load
    from resnets.weights import save as save

__version__ = "0.1.0"

__all__ = [
    "Architecture",
    "Block",
    "DataError",
    "Diverged",
    "GrowthError",
    "InvalidDescription",
    "Layer",
    "MissingDependency",
    "Network",
    "Norm",
    "Preprocessing",
    "Recipe",
    "ResnetsError",
    "RunError",
    "Stage",
    "Stem",
    "Tensor",
    "Trace",
    "UnknownName",
    "WeightsError",
    "deepen",
    "forward",
    "get",
    "initial_weights",
    "load",
    "names",
    "read",
    "save",
    "tensors",
    "trace",
]

_LAZY = {
    "deepen": "growth",
    "read": "exchange",
    "Network": "weights",
    "Preprocessing": "weights",
    "forward": "reference",
    "initial_weights": "initial",
    "load": "weights",
    "save": "weights",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'resnets' has no attribute {name!r}")
    return getattr(importlib.import_module(f"resnets.{_LAZY[name]}"), name)
