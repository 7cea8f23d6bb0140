"""A Gluon model in training: one step, evaluation, and the state that resumes it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.backends.mxnet.augmentation import Preparation
from resnets.backends.mxnet.depth import Dropping
from resnets.backends.mxnet.devices import describe_device, find_device, precision, threads
from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.models import Model
from resnets.backends.mxnet.optimiser import Optimiser
from resnets.backends.mxnet.parameters import arrays, assign, parameters
from resnets.backends.mxnet.statistics import Statistics
from resnets.backends.mxnet.transfer import to_device
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
from resnets.data.augmentation import AugmentationParameters, Mix
from resnets.data.images import Images, Pixels
from resnets.networks.architecture import Architecture
from resnets.networks.folding import redundant_biases
from resnets.networks.network import Preprocessing, Weights
from resnets.recipes.recipe import Recipe


def evaluator(model: Model, preprocessing: Preprocessing, *, device: str = "auto") -> Evaluator:
    """Put the model on a device and hybridize it; give the function from images to logits."""
    where = find_device(device)
    _place(model, where)
    kind = next(iter(parameters(model).values())).dtype
    prepare = Preparation.of(preprocessing.mean, preprocessing.std, device=where, dtype=kind)
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
        self, model: Model, recipe: Recipe, *, preprocessing: Preprocessing, device: str = "auto"
    ) -> None:
        self.architecture: Architecture = model.architecture
        self.recipe = recipe
        self.precision = precision(recipe, device)
        self.where = find_device(device)
        kind = "float64" if self.precision == "fp64" else "float32"
        self.model = model
        model.cast(kind)
        _place(model, self.where)
        self.prepare = Preparation.of(
            preprocessing.mean, preprocessing.std, device=self.where, dtype=kind
        )
        self.parameters = parameters(model)
        learned = {n: p for n, p in self.parameters.items() if p.grad_req != "null"}
        self.optimiser = Optimiser(OptimiserSettings.of(recipe), learned)
        self.redundant = redundant_biases(model.architecture)
        self.statistics = Statistics(model.architecture, self.parameters)
        self.dropping = Dropping(model)
        self.averaged = self._copy(kind) if recipe.average is not None else None
        self.averages = {} if self.averaged is None else parameters(self.averaged)

    def _copy(self, kind: str) -> Model:
        copy = type(self.model)(self.model.architecture)
        copy.initialize(mx.init.Zero())
        copy.cast(kind)
        _place(copy, self.where)
        assign(copy, arrays(self.model))
        return copy

    @property
    def device(self) -> str:
        return describe_device(self.where)

    @property
    def threads(self) -> int:
        return threads()

    @property
    def max_in_flight(self) -> int:
        return steps_in_flight(on_cpu=self.where.device_type == "cpu")

    @property
    def preparing(self) -> float:
        return 0.0  # MXNet compiles nothing

    def train_step(
        self, batch: Batch, rate: float, *, lr_scales: Mapping[str, float] | None = None
    ) -> MeasuredLoss:
        """Take one step on a batch at a learning rate, of which some tensors take a share."""
        x = self.prepare(batch.images.pixels, batch.augmentation)
        target = to_device(self._target(batch.images, batch.augmentation.mix), self.where, x.dtype)
        height, width = x.shape[2:]
        before = self.statistics.copy(height, width)
        with mx.autograd.record():
            logs = mx.nd.log_softmax(self._train_logits(x, batch.augmentation))
            losses = -mx.nd.sum(logs * target, axis=1)
            loss = mx.nd.mean(losses)
        loss.backward()
        for name in self.redundant:
            self.parameters[name].grad()[:] = 0
        self.statistics.correct(before, x.shape)
        self.optimiser.step(rate, lr_scales or {})
        decay = ema_decay(self.recipe, self.optimiser.steps)
        if decay is not None:
            self._average(1 - decay)
        return MeasuredLoss(loss.asscalar, losses.asnumpy)

    def add_to_parameters(self, amounts: Weights) -> None:
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
        """Return a copy of all that training needs to resume, named as in ``SavedState``."""
        optimiser = self.optimiser
        groups = {WEIGHTS: arrays(self.model)}
        if self.averaged is not None:
            groups[AVERAGE] = arrays(self.averaged)
        for kind, buffers in optimiser.buffers.items():
            groups[kind] = {name: buffer.asnumpy() for name, buffer in buffers.items()}
        saved = SavedState(steps=optimiser.steps, groups=groups, first_steps=optimiser.first_steps)
        return saved.to_arrays()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load what ``state`` returned."""
        saved = SavedState.from_arrays(state, self.architecture, recipe=self.recipe)
        assign(self.model, saved.groups[WEIGHTS])
        if self.averaged is not None:
            assign(self.averaged, saved.groups[AVERAGE])
        optimiser = self.optimiser
        for kind in optimiser.buffers:
            optimiser.buffers[kind] = {
                name: to_device(array, self.where, optimiser.learned[name].dtype)
                for name, array in saved.groups.get(kind, {}).items()
            }
        optimiser.steps, optimiser.first_steps = saved.steps, dict(saved.first_steps)

    def _train_logits(self, x: Any, draws: AugmentationParameters) -> Any:
        if draws.drop_path_scales is None:
            return self.model(x)
        return self.dropping(x, to_device(draws.drop_path_scales, self.where, x.dtype))

    def _evaluated(self) -> Model:
        return self.model if self.averaged is None else self.averaged

    def _target(self, images: Images, mix: Mix | None) -> npt.NDArray[np.float64]:
        """Each image's share of each class in the loss, [n, classes]."""
        classes, smoothing = self.model.architecture.classes, self.recipe.label_smoothing
        own = np.eye(classes)[images.labels]
        if mix is not None:
            own = mix.share * own + (1 - mix.share) * own[mix.partner]
        return (1 - smoothing) * own + smoothing / classes

    def _average(self, share: float) -> None:
        """Move the average towards the weights by a share of the way."""
        for name, parameter in self.averages.items():
            value = parameter.data()
            value += (self.parameters[name].data() - value) * share
