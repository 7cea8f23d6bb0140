"""A Gluon model in training: one step, evaluation, and the state that resumes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.backends import Batch, Evaluator
from resnets.backends.mxnet.augmentation import Preparation
from resnets.backends.mxnet.depth import Dropping
from resnets.backends.mxnet.devices import device_called, in_words, precision, threads
from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.optimiser import Optimiser
from resnets.backends.mxnet.parameters import Model, arrays, assign, parameters
from resnets.backends.mxnet.statistics import Statistics
from resnets.backends.mxnet.transfer import to_device
from resnets.data.augmentation import Draws, Mix
from resnets.data.images import Images, Pixels
from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.folding import idle_biases
from resnets.networks.network import Preprocessing, Weights
from resnets.recipes.recipe import Recipe


@dataclass(frozen=True)
class MeasuredLoss:
    """A step's losses, still on the device until they are read."""

    value: Any
    of_images: Any

    @property
    def loss(self) -> float:
        return float(self.value.asscalar())

    @property
    def losses(self) -> npt.NDArray[np.float32]:
        return self.of_images.asnumpy().astype(np.float32)


def evaluator(model: Model, preprocessing: Preprocessing, device: str = "auto") -> Evaluator:
    """Put the model on a device and hybridize it; give the function from images to logits."""
    where = device_called(device)
    _place(model, where)
    kind = next(iter(parameters(model).values())).dtype
    prepare = Preparation.of(preprocessing.mean, preprocessing.std, where, kind)
    return lambda pixels: _logits(model, prepare(pixels))


def _place(model: Model, where: Any) -> None:
    model.collect_params().reset_ctx(where)
    model.hybridize(static_alloc=True, static_shape=True)


def _logits(model: Model, images: Any) -> npt.NDArray[np.float32]:
    with mx.autograd.pause(train_mode=False):
        return model(images).astype("float32").asnumpy()


class MXNetSession:
    """The model on a device, with its optimiser and the average of its weights.

    The model's own parameters are trained, in place, and it is left hybridized.
    """

    def __init__(
        self, model: Model, recipe: Recipe, preprocessing: Preprocessing, device: str = "auto"
    ) -> None:
        self.architecture: Architecture = model.architecture
        self.recipe = recipe
        self.precision = precision(recipe, device)
        self.where = device_called(device)
        kind = "float64" if self.precision == "fp64" else "float32"
        self.model = model
        model.cast(kind)
        _place(model, self.where)
        self.prepare = Preparation.of(preprocessing.mean, preprocessing.std, self.where, kind)
        self.parameters = parameters(model)
        learned = {n: p for n, p in self.parameters.items() if p.grad_req != "null"}
        self.optimiser = Optimiser(recipe, learned)
        self.idle = idle_biases(model.architecture)
        self.statistics = Statistics(model.architecture, self.parameters)
        self.dropping = Dropping(model)
        self.averaged = self._copied(kind) if recipe.average is not None else None
        self.averages = {} if self.averaged is None else parameters(self.averaged)

    def _copied(self, kind: str) -> Model:
        copy = type(self.model)(self.model.architecture)
        copy.initialize(mx.init.Zero())
        copy.cast(kind)
        _place(copy, self.where)
        assign(copy, arrays(self.model))
        return copy

    @property
    def device(self) -> str:
        return in_words(self.where)

    @property
    def threads(self) -> int:
        return threads()

    @property
    def lag(self) -> int:
        return 1 if self.where.device_type == "cpu" else 50

    def train_step(
        self, batch: Batch, rate: float, slowed: Mapping[str, float] | None = None
    ) -> MeasuredLoss:
        """Take one step on a batch at a learning rate, of which some tensors take a share."""
        x = self.prepare(batch.images.pixels, batch.draws)
        target = to_device(self._target(batch.images, batch.draws.mix), self.where, x.dtype)
        before = self.statistics.copied(*x.shape[2:])
        with mx.autograd.record():
            logs = mx.nd.log_softmax(self._in_training(x, batch.draws))
            losses = -mx.nd.sum(logs * target, axis=1)
            loss = mx.nd.mean(losses)
        loss.backward()
        for name in self.idle:
            self.parameters[name].grad()[:] = 0
        self.statistics.correct(before, x.shape)
        self.optimiser.step(rate, slowed or {})
        if self.averages:
            self._average()
        return MeasuredLoss(loss, losses)

    def lift(self, amounts: Weights) -> None:
        """Add to some parameters, between two steps."""
        for name, amount in amounts.items():
            value = self.parameters[name].data()
            value += to_device(amount, self.where, value.dtype)

    def eval_step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute logits [n, classes] in fp32, of the averaged weights where there are any."""
        return _logits(self._evaluated(), self.prepare(pixels))

    def weights(self) -> Weights:
        """Copy the weights that ``eval_step`` uses."""
        return arrays(self._evaluated())

    def state(self) -> Weights:
        """Copy weights, averages and optimiser buffers, as ``weights/NAME`` and so on."""
        result = {f"weights/{n}": a for n, a in arrays(self.model).items()}
        if self.averaged is not None:
            result |= {f"average/{n}": a for n, a in arrays(self.averaged).items()}
        for kind, buffers in self.optimiser.buffers.items():
            result |= {f"{kind}/{n}": buffer.asnumpy() for n, buffer in buffers.items()}
        for name, steps in self.optimiser.born.items():
            result[f"born/{name}"] = np.array(steps, np.int64)
        result["steps"] = np.array(self.optimiser.steps, np.int64)
        return result

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what ``state`` gave."""
        if "steps" not in state or state["steps"].shape != ():
            raise WeightsError("the saved state lacks the number of steps")
        steps, optimiser = int(state["steps"]), self.optimiser
        born = {f"born/{name}": name for name in optimiser.learned if "mean" in optimiser.buffers}
        _check(state, self._shapes(steps), optional={"steps", *born})
        for prefix, model in (("weights", self.model), ("average", self.averaged)):
            if model is not None:
                assign(model, {n: state[f"{prefix}/{n}"] for n in self.parameters})
        for kind, buffers in optimiser.buffers.items():
            buffers.clear()
            for name, parameter in optimiser.learned.items() if steps else ():
                value = state[f"{kind}/{name}"]
                buffers[name] = to_device(value, self.where, parameter.dtype)
        optimiser.steps = steps
        optimiser.born = {name: int(state[key]) for key, name in born.items() if key in state}

    def _shapes(self, steps: int) -> dict[str, tuple[int, ...]]:
        """The shapes of what a state after so many steps has."""
        prefixes = ["weights"] if self.averaged is None else ["weights", "average"]
        shapes = {f"{p}/{n}": v.shape for p in prefixes for n, v in self.parameters.items()}
        for kind in self.optimiser.buffers if steps else ():
            shapes |= {f"{kind}/{n}": v.shape for n, v in self.optimiser.learned.items()}
        return shapes

    def _in_training(self, x: Any, draws: Draws) -> Any:
        if draws.branches is None:
            return self.model(x)
        return self.dropping(x, to_device(draws.branches, self.where, x.dtype))

    def _evaluated(self) -> Model:
        return self.model if self.averaged is None else self.averaged

    def _target(self, images: Images, mix: Mix | None) -> npt.NDArray[np.float64]:
        """Each image's share of each class in the loss, [n, classes]."""
        classes, smoothing = self.model.architecture.classes, self.recipe.label_smoothing
        own = np.eye(classes)[images.labels]
        if mix is not None:
            own = mix.share * own + (1 - mix.share) * own[mix.partner]
        return (1 - smoothing) * own + smoothing / classes

    def _average(self) -> None:
        """Move the average towards the weights; fast at first, when it is mostly the start."""
        assert self.recipe.average is not None
        steps = self.optimiser.steps
        share = 1 - min(self.recipe.average, (1 + steps) / (10 + steps))
        for name, parameter in self.averages.items():
            value = parameter.data()
            value += (self.parameters[name].data() - value) * share


def _check(
    state: Mapping[str, npt.NDArray[Any]],
    needed: Mapping[str, tuple[int, ...]],
    optional: set[str],
) -> None:
    for name, shape in needed.items():
        if name not in state:
            raise WeightsError(f"the saved state lacks {name}")
        if state[name].shape != shape:
            raise WeightsError(
                f"the saved state's {name} has shape {state[name].shape}, not {shape}"
            )
    unknown = sorted(set(state) - set(needed) - optional)
    if unknown:
        raise WeightsError(f"the saved state has what this run has not: {', '.join(unknown)}")
