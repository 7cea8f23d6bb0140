"""What the training sessions of all frameworks share.

The names and checks of a saved state, the settings of the optimisers, the decay of averaged
weights, and the number of steps in flight are defined here once. Each backend only converts
arrays.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.network import Weights
from resnets.networks.tracing import tensors
from resnets.recipes.recipe import Recipe

WEIGHTS, AVERAGE = "weights", "average"
"""Groups of a saved state. The optimiser's buffers are the others."""

BORN, STEPS = "born", "steps"

STEPS_IN_FLIGHT = 50
"""Steps that may be in flight on an accelerator before a loss is read."""

EPSILON = 1e-8
"""What AdamW adds to the root of the squared gradients' mean."""

Age = TypeVar("Age", int, npt.NDArray[np.int64])


@dataclass(frozen=True)
class OptimiserSettings:
    """How a recipe updates parameters, by torch's definitions of SGD and AdamW.

    Attributes:
        kind: ``sgd`` or ``adamw``.
        momentum, nesterov: of SGD.
        betas: of AdamW.
        weight_decay: of kernels and dense weights.
        decay_all: whether the other parameters decay as well.
        clip: largest norm of the gradient, or None.
    """

    kind: str
    momentum: float
    nesterov: bool
    betas: tuple[float, float]
    weight_decay: float
    decay_all: bool
    clip: float | None

    @staticmethod
    def of(recipe: Recipe) -> "OptimiserSettings":
        """Return the settings of a recipe."""
        first, second = recipe.betas or (0.9, 0.999)
        return OptimiserSettings(
            kind=recipe.optimiser,
            momentum=recipe.momentum or 0.0,
            nesterov=recipe.nesterov,
            betas=(first, second),
            weight_decay=recipe.weight_decay,
            decay_all=recipe.decay_all,
            clip=recipe.clip,
        )

    @property
    def buffers(self) -> tuple[str, ...]:
        """Names of the buffers of each parameter, as in a saved state."""
        if self.kind == "adamw":
            return ("mean", "square")
        return ("momentum",) if self.momentum else ()

    def decay(self, shape: Sequence[int]) -> float:
        """Return the weight decay of a parameter.

        Parameters of one dimension belong to norms or are biases: they decay only with
        ``decay_all``.
        """
        return self.weight_decay if len(shape) > 1 or self.decay_all else 0.0

    def bias_corrections(self, age: Age) -> tuple[Any, Any]:
        """Return what AdamW divides its means by after ``age`` steps of a parameter."""
        first, second = self.betas
        return 1 - first**age, 1 - second**age


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """All that training needs to resume, in canonical layout; the same in every framework.

    In a file the arrays of a group are called ``GROUP/NAME``, the entries of ``first_steps``
    ``born/NAME``.

    Attributes:
        steps: number of steps taken.
        groups: arrays by group and canonical name: ``weights``; ``average`` if the recipe
            averages weights; after the first step the optimiser's buffers.
        first_steps: for parameters that were added later, the number of steps before. AdamW
            counts the steps of each parameter.
    """

    steps: int
    groups: Mapping[str, Mapping[str, npt.NDArray[Any]]]
    first_steps: Mapping[str, int] = field(default_factory=dict[str, int])

    def to_arrays(self) -> Weights:
        """Return the state as named arrays."""
        result = {
            f"{group}/{name}": array
            for group, arrays in self.groups.items()
            for name, array in arrays.items()
        }
        result |= {f"{BORN}/{n}": np.array(s, np.int64) for n, s in self.first_steps.items()}
        return {**result, STEPS: np.array(self.steps, np.int64)}

    @staticmethod
    def from_arrays(
        state: Mapping[str, npt.NDArray[Any]], architecture: Architecture, *, recipe: Recipe
    ) -> "SavedState":
        """Return the state of a training of ``architecture`` by ``recipe``.

        Raises:
            WeightsError: if entries are missing, misshapen or unexpected.
        """
        if STEPS not in state or state[STEPS].shape != ():
            raise WeightsError("the saved state lacks the number of steps")
        steps, settings = int(state[STEPS]), OptimiserSettings.of(recipe)
        shapes = {tensor.name: tensor.shape for tensor in tensors(architecture)}
        learned = [tensor.name for tensor in tensors(architecture) if tensor.is_parameter]
        needed: dict[str, Iterable[str]] = {WEIGHTS: shapes}
        if recipe.average is not None:
            needed[AVERAGE] = shapes
        if steps:
            needed |= dict.fromkeys(settings.buffers, learned)
        groups = {
            group: {name: _entry(state, f"{group}/{name}", shape=shapes[name]) for name in names}
            for group, names in needed.items()
        }
        counted = learned if settings.kind == "adamw" else []
        first_steps = {n: int(state[f"{BORN}/{n}"]) for n in counted if f"{BORN}/{n}" in state}
        expected = {STEPS, *(f"{BORN}/{name}" for name in first_steps)}
        expected |= {f"{group}/{name}" for group, names in needed.items() for name in names}
        if unexpected := sorted(set(state) - expected):
            raise WeightsError(f"the saved state has unexpected entries: {', '.join(unexpected)}")
        return SavedState(steps=steps, groups=groups, first_steps=first_steps)


def _entry(
    state: Mapping[str, npt.NDArray[Any]], name: str, *, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    if name not in state:
        raise WeightsError(f"the saved state lacks {name}")
    if state[name].shape != shape:
        raise WeightsError(f"the saved state's {name} has shape {state[name].shape}, not {shape}")
    return state[name]


@dataclass(frozen=True)
class MeasuredLoss:
    """The losses of a step, which stay on the device until they are read.

    Attributes:
        read_loss: returns the mean of the batch.
        read_losses: returns the loss of each image, [n].
    """

    read_loss: Callable[[], float]
    read_losses: Callable[[], npt.NDArray[Any]]

    @property
    def loss(self) -> float:
        return float(self.read_loss())

    @property
    def losses(self) -> npt.NDArray[np.float32]:
        return self.read_losses().astype(np.float32)


def ema_decay(recipe: Recipe, steps: int) -> float | None:
    """Return the decay of the averaged weights in step number ``steps``; None without average.

    It is small at first, when the average is mostly the initial weights.
    """
    return None if recipe.average is None else min(recipe.average, (1 + steps) / (10 + steps))


def steps_in_flight(*, on_cpu: bool) -> int:
    """Return the number of steps that may be in flight before a loss is read."""
    return 1 if on_cpu else STEPS_IN_FLIGHT


def check_features(wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raise KeyError, listing the names that ``wanted`` has and ``known`` lacks."""
    known = list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise KeyError(f"no feature is called {', '.join(unknown)}; there are {', '.join(known)}")
