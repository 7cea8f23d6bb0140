"""A Flax model in training: one step, evaluation, and the state that resumes it."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array

from resnets.backends import Batch, Evaluator
from resnets.backends.jax.augmentation import Preparation
from resnets.backends.jax.canonical import from_canonical, to_canonical, variables
from resnets.backends.jax.devices import (
    device_called,
    devices_called,
    in_words,
    precision,
    threads,
)
from resnets.backends.jax.optimiser import Arrays, Optimiser
from resnets.backends.jax.placement import Placement
from resnets.backends.jax.regnet import RegNet
from resnets.backends.jax.resnet import ResNet
from resnets.backends.jax.resnetv2 import ResNetV2
from resnets.backends.jax.step import Network, State, Training, logits_of, step_of
from resnets.data.images import Pixels
from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.folding import idle_biases
from resnets.networks.layers import Tensor
from resnets.networks.network import Preprocessing, Weights
from resnets.networks.tracing import tensors
from resnets.recipes.recipe import Recipe

Model = ResNet | ResNetV2 | RegNet


@dataclass(frozen=True)
class MeasuredLoss:
    """A step's losses, still on the device until they are read."""

    value: Array
    of_images: Array

    @property
    def loss(self) -> float:
        return float(self.value)

    @property
    def losses(self) -> npt.NDArray[np.float32]:
        return np.asarray(self.of_images, np.float32)


def evaluator(model: Model, preprocessing: Preprocessing, device: str = "auto") -> Evaluator:
    """Put the model's weights on a device; give the function from stored images to logits."""
    where = device_called(device)
    prepare = Preparation.of(preprocessing.mean, preprocessing.std, where)
    arrays = {name: variable[...] for name, variable in variables(model).items()}
    arrays = jax.device_put(arrays, where)
    on_processor = where.platform == "cpu"
    logits = logits_of(Network.of(model, training=False, on_processor=on_processor))
    return lambda pixels: np.asarray(logits(arrays, prepare(pixels)), np.float32)


class JaxSession:
    """The model's weights on its devices, with the optimiser's buffers and the average of weights.

    The module that it is made of stays as it is: arrays do not change in JAX, and a step uses up
    those of the step before. ``weights`` gives the trained ones.
    """

    def __init__(
        self, model: Model, recipe: Recipe, preprocessing: Preprocessing, device: str = "auto"
    ) -> None:
        self.architecture: Architecture = model.architecture
        self.recipe = recipe
        devices = devices_called(device)
        self.placement = Placement(devices)
        self.on_processor = devices[0].platform == "cpu"
        self.precision = precision(recipe, device)
        self.kind = np.dtype(np.float64 if self.precision == "fp64" else np.float32)
        self.tensors = {tensor.name: tensor for tensor in tensors(model.architecture)}
        self.learned = sorted(name for name, tensor in self.tensors.items() if tensor.learned)
        self.prepare = Preparation.of(
            preprocessing.mean, preprocessing.std, self.placement, self.kind
        )
        optimiser = self.optimiser = Optimiser.of(recipe)
        narrow = jnp.bfloat16 if self.precision == "bf16" else None
        network = Network.of(model, training=True, dtype=narrow, on_processor=self.on_processor)
        idle = idle_biases(model.architecture)
        training = Training(network, optimiser, recipe.label_smoothing, idle)
        self._step = step_of(training, self.placement)
        own = Network.of(model, training=False, on_processor=self.on_processor)
        self._logits = logits_of(own)
        self.steps = 0
        self.born: dict[str, int] = {}  # steps before a parameter was added, for AdamW's count
        self._state = self._begun(model)

    @property
    def device(self) -> str:
        return in_words(*self.placement.devices)

    @property
    def threads(self) -> int:
        return threads()

    @property
    def lag(self) -> int:
        return 1 if self.on_processor else 50

    def train_step(
        self, batch: Batch, rate: float, slowed: Mapping[str, float] | None = None
    ) -> MeasuredLoss:
        """Take one step on a batch at a learning rate, of which some tensors take a share."""
        self.steps += 1
        mix = batch.draws.mix
        numbers = self.optimiser.numbers(self._rates(rate, slowed or {}), self._ages())
        if batch.draws.branches is not None:
            numbers["branches"] = batch.draws.branches
        if mix is not None:
            numbers["share"] = mix.share
        if self.recipe.average is not None:
            # Fast at first, when the average is mostly the start.
            kept = min(self.recipe.average, (1 + self.steps) / (10 + self.steps))
            numbers["nearer"] = 1 - kept
        with self._wide():
            x = self.prepare(batch.images.pixels, batch.draws)
            labels = jax.device_put(
                batch.images.labels.astype(np.int32), self.placement.divided(len(batch))
            )
            partner, placed = jax.device_put(
                (
                    None if mix is None else mix.partner.astype(np.int32),
                    {name: np.asarray(value, self.kind) for name, value in numbers.items()},
                ),
                self.placement.whole,
            )
            self._state, losses = self._step(self._state, x, labels, partner, placed)
        return MeasuredLoss(*losses)

    def lift(self, amounts: Weights) -> None:
        """Add to some parameters, between two steps."""
        weights, more = self._state["weights"], self._placed(amounts)
        with self._wide():
            raised = {name: weights[name] + amount for name, amount in more.items()}
        self._state = {**self._state, "weights": {**weights, **raised}}

    def eval_step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute logits [n, classes] in fp32, of the averaged weights where there are any."""
        with self._wide():
            return np.asarray(self._logits(self._evaluated(), self.prepare(pixels)), np.float32)

    def weights(self) -> Weights:
        """Copy the weights that ``eval_step`` uses."""
        return self._canonical(self._evaluated())

    def state(self) -> Weights:
        """Copy weights, averages and optimiser buffers, as ``weights/NAME`` and so on."""
        state = self._state
        groups = {"weights": state["weights"] | state["statistics"]}
        if "average" in state:
            groups["average"] = state["average"]
        if self.steps:
            groups |= {kind: state[kind] for kind in self.optimiser.buffers}
        result = {
            f"{group}/{name}": array
            for group, arrays in groups.items()
            for name, array in self._canonical(arrays).items()
        }
        result |= {f"born/{name}": np.array(n, np.int64) for name, n in self.born.items()}
        result["steps"] = np.array(self.steps, np.int64)
        return result

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what ``state`` gave."""
        if "steps" not in state or state["steps"].shape != ():
            raise WeightsError("the saved state lacks the number of steps")
        steps = int(state["steps"])
        learned = [tensor for tensor in self.tensors.values() if tensor.learned]
        needed: dict[str, Iterable[Tensor]] = {"weights": self.tensors.values()}
        if "average" in self._state:
            needed["average"] = self.tensors.values()
        if steps:
            needed |= dict.fromkeys(self.optimiser.buffers, learned)
        found = {
            group: {t.name: _array(state, f"{group}/{t.name}", t.shape) for t in wanted}
            for group, wanted in needed.items()
        }
        taken = {f"{group}/{name}" for group, arrays in found.items() for name in arrays}
        adapts = "mean" in self.optimiser.buffers
        born = {t.name for t in learned if adapts and f"born/{t.name}" in state}
        taken |= {"steps", *(f"born/{name}" for name in born)}
        unknown = sorted(set(state) - taken)
        if unknown:
            raise WeightsError(f"the saved state has what this run has not: {', '.join(unknown)}")
        self.steps = steps
        self.born = {name: int(state[f"born/{name}"]) for name in born}
        placed = {group: self._placed(arrays) for group, arrays in found.items()}
        self._state = self._completed(placed)

    def _begun(self, model: Model) -> State:
        given = {name: variable[...] for name, variable in variables(model).items()}
        arrays = {
            tensor.name: to_canonical(np.asarray(given[tensor.name]), tensor.shape)
            for tensor in self.tensors.values()
        }
        groups = ("weights", "average") if self.recipe.average is not None else ("weights",)
        return self._completed({group: self._placed(arrays) for group in groups})

    def _completed(self, groups: dict[str, Arrays]) -> State:
        """Divide parameters from statistics; begin buffers that are not there at zero."""
        whole = groups.pop("weights")
        parameters = {n: a for n, a in whole.items() if self.tensors[n].learned}
        statistics = {n: a for n, a in whole.items() if not self.tensors[n].learned}
        begun = {
            kind: self._placed({n: np.zeros(self.tensors[n].shape) for n in parameters})
            for kind in self.optimiser.buffers
            if kind not in groups
        }
        return {"weights": parameters, "statistics": statistics, **groups, **begun}

    def _placed(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """Put canonical arrays on the device, in Flax's layout and the session's precision."""
        laid = {
            name: from_canonical(array.astype(self.kind), self._rank(name))
            for name, array in arrays.items()
        }
        with self._wide():
            return jax.device_put(laid, self.placement.whole)

    def _canonical(self, arrays: Arrays) -> Weights:
        """Copy arrays from the device, in canonical layout and order."""
        return {
            name: to_canonical(np.asarray(arrays[name]), tensor.shape)
            for name, tensor in self.tensors.items()
            if name in arrays
        }

    def _rank(self, name: str) -> int:
        tensor = self.tensors[name]
        return 2 if tensor.role == "dense" else len(tensor.shape)

    def _rates(self, rate: float, slowed: Mapping[str, float]) -> npt.NDArray[np.float64]:
        """Each parameter's rate, in the order of their names."""
        return np.array([rate * slowed.get(name, 1.0) for name in self.learned])

    def _ages(self) -> npt.NDArray[np.int64]:
        """How many steps each parameter has taken, in the order of their names."""
        return np.array([self.steps - self.born.get(name, 0) for name in self.learned])

    def _evaluated(self) -> Arrays:
        state = self._state
        return state["average"] if "average" in state else state["weights"] | state["statistics"]

    def _wide(self) -> AbstractContextManager[Any]:
        """JAX knows float64 only where it is told to; here, and not for the whole process."""
        return jax.enable_x64(True) if self.precision == "fp64" else nullcontext()


def _array(
    state: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    if name not in state:
        raise WeightsError(f"the saved state lacks {name}")
    if state[name].shape != shape:
        raise WeightsError(f"the saved state's {name} has shape {state[name].shape}, not {shape}")
    return state[name]
