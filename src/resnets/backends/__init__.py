"""The seam between the frameworks and everything else.

A backend is a module with the functions of ``Backend``; its models are plain native modules.
``load`` imports one by name.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from resnets.data.augmentation import Draws, Index
from resnets.data.images import Images, Pixels
from resnets.errors import MissingDependency, ResnetsError, UnknownName, in_one_line
from resnets.networks.architecture import Architecture
from resnets.networks.network import Preprocessing, Weights
from resnets.recipes.recipe import Recipe

NAMES = ("torch", "jax", "tensorflow", "mxnet")

# Beyond the extra: MXNet asks for an older NumPy than it needs, so pip must not look.
_AFTER = {"mxnet": " and pip install --no-deps mxnet==1.9.1"}


@dataclass(frozen=True)
class Batch:
    """What one step trains on: images as they are stored, and what is to be done to them.

    A session may read ``images``, or keep ``source`` on its device and read ``index``.

    Attributes:
        source: images that the batch is taken from, the same ones in every step.
        draws: what is done to each image of the batch.
        index: the numbers of its images in ``source``, [n]; None: all of them.
        following: those of the step after it, which ``source`` begins to read when these are read.
    """

    source: Images
    draws: Draws
    index: Index | None = None
    following: Index | None = None

    def __len__(self) -> int:
        return len(self.source if self.index is None else self.index)

    @cached_property
    def images(self) -> Images:
        """The batch's images, gathered."""
        found = self.source if self.index is None else self.source[self.index]
        if self.following is not None:
            self.source.expect(self.following)
        return found


Evaluator = Callable[[Pixels], npt.NDArray[np.float32]]
"""Logits [n, classes] in fp32 for images as they are stored."""


class Measured(Protocol):
    """The outcome of a step. Reading it may wait for the device."""

    @property
    def loss(self) -> float:
        """Mean loss of the batch, of what was optimised."""
        ...

    @property
    def losses(self) -> npt.NDArray[np.float32]:
        """Each image's loss, [n], of what was optimised; of a mixed image, that of its mixture."""
        ...


class Session(Protocol):
    """A model in training on a device."""

    @property
    def architecture(self) -> Architecture:
        """What the model computes."""
        ...

    @property
    def device(self) -> str:
        """What it trains on, in words."""
        ...

    @property
    def threads(self) -> int:
        """Processor threads it computes with; another number rounds sums differently."""
        ...

    @property
    def lag(self) -> int:
        """How many steps may be under way before a loss is read."""
        ...

    def train_step(
        self, batch: Batch, rate: float, slowed: Mapping[str, float] | None = None
    ) -> Measured:
        """Take one step of the optimiser.

        ``slowed``: shares of the rate, by canonical name, for tensors that do not take it whole.
        """
        ...

    def lift(self, amounts: Weights) -> None:
        """Add to some parameters, by canonical name and in canonical layout, between two steps.

        Their average follows in the steps after it.
        """
        ...

    def eval_step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute logits [n, classes] in fp32, of the averaged weights where there are any."""
        ...

    def weights(self) -> Weights:
        """Copy the weights that ``eval_step`` uses."""
        ...

    def state(self) -> Weights:
        """Copy all that training needs to go on: weights, averages, optimiser buffers."""
        ...

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what ``state`` gave, also where another framework gave it.

        Raises:
            WeightsError: if it does not fit.
        """
        ...


class Backend(Protocol):
    """What a backend's module offers."""

    def build(
        self, architecture: Architecture, *, weights: Weights | None = None, seed: int = 0
    ) -> Any:
        """Make the native module."""
        ...

    def dump(self, model: Any) -> Weights:
        """Copy the canonical weights out of the module."""
        ...

    def load(self, model: Any, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Copy canonical weights into the module; a missing or extra name is an error."""
        ...

    def features(
        self, model: Any, images: npt.NDArray[Any], wanted: Sequence[str] = ("logits",)
    ) -> dict[str, npt.NDArray[Any]]:
        """Compute intermediate results for prepared images [n, channels, height, width]."""
        ...

    def session(
        self, model: Any, recipe: Recipe, preprocessing: Preprocessing, device: str = "auto"
    ) -> Session:
        """Put the module on a device, ready to train and to evaluate."""
        ...

    def evaluator(
        self, model: Any, preprocessing: Preprocessing, device: str = "auto"
    ) -> Evaluator:
        """Put the module on a device, ready to evaluate."""
        ...

    def available_devices(self) -> list[str]:
        """List the devices that the framework finds here, the fastest kind first."""
        ...

    def precision(self, recipe: Recipe, device: str = "auto") -> str:
        """Resolve the recipe's precision on a device: ``fp32``, ``bf16`` or ``fp64``."""
        ...


def installed(name: str) -> bool:
    """Whether the framework called ``name`` is there; it is not imported."""
    return importlib.util.find_spec(name) is not None


def default(preferred: str | None = None) -> str:
    """Name the framework for who asks for none: the preferred one, or the first, that is there.

    Where none is installed it is the first of all, whose ``load`` says how to install it.
    """
    wanted = NAMES if preferred not in NAMES else (preferred, *NAMES)
    return next(filter(installed, wanted), NAMES[0])


def load(name: str) -> Backend:
    """Import the backend called ``name``.

    Raises:
        UnknownName: if there is none of that name.
        MissingDependency: if its framework cannot be imported; says how to install it, or why not.
    """
    if name not in NAMES:
        raise UnknownName(f"no backend is called {name!r} (there are {', '.join(NAMES)})")
    try:
        return cast("Backend", importlib.import_module(f"resnets.backends.{name}"))
    except ResnetsError:
        raise
    except Exception as error:  # what a broken framework raises may be anything
        raise MissingDependency(_unusable(name, error)) from error


def _unusable(name: str, error: Exception) -> str:
    """Say why a framework cannot be imported, and what to install where something is absent."""
    install = f'pip install "resnets[{name}]"{_AFTER.get(name, "")}'
    if isinstance(error, ImportError) and not installed(name):
        return f"{name} is not installed: {install}"
    message = f"{name} is installed but cannot be imported: {in_one_line(error)}"
    return f"{message}: {install}" if isinstance(error, ModuleNotFoundError) else message
