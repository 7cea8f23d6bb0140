"""A Flax model in training: one step, evaluation, and the state that resumes it."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from resnets.backends.jax.augmentation import Preparation
from resnets.backends.jax.canonical import from_canonical, to_canonical, variables
from resnets.backends.jax.devices import (
    describe_device,
    find_device,
    find_devices,
    precision,
    threads,
)
from resnets.backends.jax.models import Model
from resnets.backends.jax.optimiser import Arrays, Optimiser
from resnets.backends.jax.placement import Placement
from resnets.backends.jax.step import Network, State, Training, compile_logits, compile_step
from resnets.backends.protocol import Batch, Evaluator
from resnets.backends.state import (
    AVERAGE,
    WEIGHTS,
    MeasuredLoss,
    OptimiserSettings,
    SavedState,
    ema_decay,
    steps_in_flight,
)
from resnets.data.images import Pixels
from resnets.networks.architecture import Architecture
from resnets.networks.folding import redundant_biases
from resnets.networks.network import Preprocessing, Weights
from resnets.networks.tracing import tensors
from resnets.recipes.recipe import Recipe


def evaluator(model: Model, preprocessing: Preprocessing, *, device: str = "auto") -> Evaluator:
    """Put the model's weights on a device; give the function from stored images to logits."""
    where = find_device(device)
    prepare = Preparation.of(preprocessing.mean, preprocessing.std, device=where)
    arrays = {name: variable[...] for name, variable in variables(model).items()}
    arrays = jax.device_put(arrays, where)
    on_processor = where.platform == "cpu"
    logits = compile_logits(Network.of(model, training=False, on_processor=on_processor))
    return lambda pixels: np.asarray(logits(arrays, prepare(pixels)), np.float32)


class JaxSession:
    """The model's weights on its devices, with the optimiser's buffers and the average of weights.

    The module that it is made of stays as it is: arrays do not change in JAX, and a step uses up
    those of the step before. ``weights`` gives the trained ones.
    """

    def __init__(
        self, model: Model, recipe: Recipe, *, preprocessing: Preprocessing, device: str = "auto"
    ) -> None:
        self.architecture: Architecture = model.architecture
        self.recipe = recipe
        devices = find_devices(device)
        self.placement = Placement(devices)
        self.on_processor = devices[0].platform == "cpu"
        self.precision = precision(recipe, device)
        self.kind = np.dtype(np.float64 if self.precision == "fp64" else np.float32)
        self.tensors = {tensor.name: tensor for tensor in tensors(model.architecture)}
        self.learned = sorted(name for name, tensor in self.tensors.items() if tensor.is_parameter)
        self.prepare = Preparation.of(
            preprocessing.mean, preprocessing.std, device=self.placement, dtype=self.kind
        )
        self.settings = OptimiserSettings.of(recipe)
        self.optimiser = Optimiser(self.settings)
        narrow = jnp.bfloat16 if self.precision == "bf16" else None
        network = Network.of(model, training=True, dtype=narrow, on_processor=self.on_processor)
        redundant = redundant_biases(model.architecture)
        training = Training(network, self.optimiser, recipe.label_smoothing, redundant)
        self._step = compile_step(training, self.placement)
        own = Network.of(model, training=False, on_processor=self.on_processor)
        self._logits = compile_logits(own)
        self.steps = 0
        self.first_steps: dict[str, int] = {}  # as in SavedState
        self._state = self._begin(model)

    @property
    def device(self) -> str:
        return describe_device(*self.placement.devices)

    @property
    def threads(self) -> int:
        return threads()

    @property
    def max_in_flight(self) -> int:
        return steps_in_flight(on_cpu=self.on_processor)

    @property
    def preparing(self) -> float:
        return 0.0  # JAX compiles as part of the first step of a shape

    def train_step(
        self, batch: Batch, rate: float, *, lr_scales: Mapping[str, float] | None = None
    ) -> MeasuredLoss:
        """Take one step on a batch at a learning rate, of which some tensors take a share."""
        self.steps += 1
        mix = batch.augmentation.mix
        numbers = self.optimiser.numbers(self._rates(rate, lr_scales or {}), self._ages())
        if batch.augmentation.drop_path_scales is not None:
            numbers["branches"] = batch.augmentation.drop_path_scales
        if mix is not None:
            numbers["share"] = mix.share
        decay = ema_decay(self.recipe, self.steps)
        if decay is not None:
            numbers["nearer"] = 1 - decay
        with self._enable_float64():
            x = self.prepare(batch.images.pixels, batch.augmentation)
            labels = jax.device_put(
                batch.images.labels.astype(np.int32), self.placement.split(len(batch))
            )
            partner, placed = jax.device_put(
                (
                    None if mix is None else mix.partner.astype(np.int32),
                    {name: np.asarray(value, self.kind) for name, value in numbers.items()},
                ),
                self.placement.whole,
            )
            self._state, (loss, losses) = self._step(self._state, x, labels, partner, placed)
        return MeasuredLoss(lambda: float(loss), lambda: np.asarray(losses))

    def add_to_parameters(self, amounts: Weights) -> None:
        """Add to some parameters, between two steps."""
        weights, more = self._state["weights"], self._place(amounts)
        with self._enable_float64():
            raised = {name: weights[name] + amount for name, amount in more.items()}
        self._state = {**self._state, "weights": {**weights, **raised}}

    def eval_step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute logits [n, classes] in fp32, of the averaged weights where there are any."""
        with self._enable_float64():
            return np.asarray(
                self._logits(self._evaluated_arrays(), self.prepare(pixels)), np.float32
            )

    def weights(self) -> Weights:
        """Copy the weights that ``eval_step`` uses."""
        return self._canonical(self._evaluated_arrays())

    def state(self) -> Weights:
        """Return a copy of all that training needs to resume, named as in ``SavedState``."""
        state = self._state
        groups = {WEIGHTS: state["weights"] | state["statistics"]}
        if "average" in state:
            groups[AVERAGE] = state["average"]
        if self.steps:
            groups |= {kind: state[kind] for kind in self.settings.buffers}
        copied = {group: self._canonical(arrays) for group, arrays in groups.items()}
        saved = SavedState(steps=self.steps, groups=copied, first_steps=self.first_steps)
        return saved.to_arrays()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load what ``state`` returned."""
        saved = SavedState.from_arrays(state, self.architecture, recipe=self.recipe)
        self.steps, self.first_steps = saved.steps, dict(saved.first_steps)
        placed = {group: self._place(arrays) for group, arrays in saved.groups.items()}
        self._state = self._complete(placed)

    def _begin(self, model: Model) -> State:
        given = {name: variable[...] for name, variable in variables(model).items()}
        arrays = {
            tensor.name: to_canonical(np.asarray(given[tensor.name]), tensor.shape)
            for tensor in self.tensors.values()
        }
        groups = ("weights", "average") if self.recipe.average is not None else ("weights",)
        return self._complete({group: self._place(arrays) for group in groups})

    def _complete(self, groups: dict[str, Arrays]) -> State:
        """Divide parameters from statistics; begin buffers that are not there at zero."""
        whole = groups.pop("weights")
        parameters = {n: a for n, a in whole.items() if self.tensors[n].is_parameter}
        statistics = {n: a for n, a in whole.items() if not self.tensors[n].is_parameter}
        begun = {
            kind: self._place({n: np.zeros(self.tensors[n].shape) for n in parameters})
            for kind in self.settings.buffers
            if kind not in groups
        }
        return {"weights": parameters, "statistics": statistics, **groups, **begun}

    def _place(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """Put canonical arrays on the device, in Flax's layout and the session's precision."""
        laid = {
            name: from_canonical(array.astype(self.kind), self._rank(name))
            for name, array in arrays.items()
        }
        with self._enable_float64():
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

    def _rates(self, rate: float, lr_scales: Mapping[str, float]) -> npt.NDArray[np.float64]:
        """Each parameter's rate, in the order of their names."""
        return np.array([rate * lr_scales.get(name, 1.0) for name in self.learned])

    def _ages(self) -> npt.NDArray[np.int64]:
        """How many steps each parameter has taken, in the order of their names."""
        return np.array([self.steps - self.first_steps.get(name, 0) for name in self.learned])

    def _evaluated_arrays(self) -> Arrays:
        state = self._state
        return state["average"] if "average" in state else state["weights"] | state["statistics"]

    def _enable_float64(self) -> AbstractContextManager[Any]:
        """JAX knows float64 only where it is told to; here, and not for the whole process."""
        return jax.enable_x64(True) if self.precision == "fp64" else nullcontext()
