"""Residual networks: one description, exact tables, native modules, fast training.

>>> import resnets
>>> resnets.trace(resnets.get("resnet50_v1"), 224).multiply_adds
3857973248

The names below are the public ones, imported when they are first used;
``resnets.backends.load("torch")`` returns a framework's backend: its functions to build, load,
train and evaluate networks.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resnets.convert import read as read
    from resnets.errors import DataError as DataError
    from resnets.errors import Diverged as Diverged
    from resnets.errors import GrowthError as GrowthError
    from resnets.errors import InvalidDescription as InvalidDescription
    from resnets.errors import MissingDependency as MissingDependency
    from resnets.errors import ResnetsError as ResnetsError
    from resnets.errors import RunError as RunError
    from resnets.errors import UnknownName as UnknownName
    from resnets.errors import WeightsError as WeightsError
    from resnets.networks.architecture import Architecture as Architecture
    from resnets.networks.catalog import get as get
    from resnets.networks.catalog import names as names
    from resnets.networks.folder import load as load
    from resnets.networks.folder import save as save
    from resnets.networks.initialization import initial_weights as initial_weights
    from resnets.networks.layers import Layer as Layer
    from resnets.networks.layers import Tensor as Tensor
    from resnets.networks.layers import Trace as Trace
    from resnets.networks.network import Network as Network
    from resnets.networks.network import Preprocessing as Preprocessing
    from resnets.networks.reference import forward as forward
    from resnets.networks.spec import Block as Block
    from resnets.networks.spec import Norm as Norm
    from resnets.networks.spec import Stage as Stage
    from resnets.networks.spec import Stem as Stem
    from resnets.networks.tracing import tensors as tensors
    from resnets.networks.tracing import trace as trace
    from resnets.recipes.recipe import Recipe as Recipe
    from resnets.training.growth.deepening import deepen as deepen

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

_HOME = {
    "networks.architecture": ("Architecture",),
    "networks.catalog": ("get", "names"),
    "errors": (
        "DataError",
        "Diverged",
        "GrowthError",
        "InvalidDescription",
        "MissingDependency",
        "ResnetsError",
        "RunError",
        "UnknownName",
        "WeightsError",
    ),
    "convert": ("read",),
    "training.growth.deepening": ("deepen",),
    "networks.initialization": ("initial_weights",),
    "networks.layers": ("Layer", "Tensor", "Trace"),
    "recipes.recipe": ("Recipe",),
    "networks.reference": ("forward",),
    "networks.spec": ("Block", "Norm", "Stage", "Stem"),
    "networks.tracing": ("tensors", "trace"),
    "networks.folder": ("load", "save"),
    "networks.network": ("Network", "Preprocessing"),
}
"""The modules of the public names: importing the package alone takes no time."""

_MODULES = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'resnets' has no attribute {name!r}")
    return getattr(importlib.import_module(f"resnets.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
