"""A torch model in training: one step, evaluation, and the state that resumes it."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from resnets.backends.malloc import keep_pages
from resnets.backends.protocol import Batch, Evaluator, Measured
from resnets.backends.state import AVERAGE, WEIGHTS, SavedState, steps_in_flight
from resnets.backends.torch.augmentation import Preparation
from resnets.backends.torch.devices import describe_device, find_device
from resnets.backends.torch.eager import EagerStep
from resnets.backends.torch.models import Model
from resnets.backends.torch.optimiser import BUFFERS
from resnets.backends.torch.recorded import RecordedSteps, Speed
from resnets.backends.torch.state import TrainState
from resnets.data.images import Pixels
from resnets.networks.architecture import Architecture
from resnets.networks.network import Preprocessing, Weights
from resnets.recipes.recipe import Recipe


def evaluator(model: Model, preprocessing: Preprocessing, *, device: str = "auto") -> Evaluator:
    """Put the model on a device and return the function from stored images to logits."""
    where = find_device(device)
    model = model.to(where, memory_format=torch.channels_last)
    prepare = Preparation.of(preprocessing.mean, preprocessing.std, device=where)
    return lambda pixels: _logits(model, prepare(pixels))


def _logits(model: Model, images: Tensor) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        return model.eval()(images).float().cpu().numpy()


class TorchSession:
    """The model on a device, with its optimiser and the average of its weights.

    Attributes:
        train_state: what steps read and change.
        recorded: takes the steps where they are recorded; otherwise None.
    """

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        *,
        preprocessing: Preprocessing,
        device: str = "auto",
        speed: Speed | None = None,
    ) -> None:
        if find_device(device).type == "cpu":
            keep_pages()
        self.train_state = TrainState.begin(
            model, recipe, preprocessing=preprocessing, device=device
        )
        self.eager = EagerStep(self.train_state)
        self.recorded = RecordedSteps.of(self.train_state, speed)

    @property
    def architecture(self) -> Architecture:
        return self.train_state.model.architecture

    @property
    def device(self) -> str:
        return describe_device(self.train_state.device)

    @property
    def threads(self) -> int:
        return torch.get_num_threads()

    @property
    def prepare(self) -> Preparation:
        """Turns stored pixels into the model's input."""
        return self.train_state.prepare

    @property
    def max_in_flight(self) -> int:
        if self.recorded is not None:
            return self.recorded.max_in_flight
        return steps_in_flight(on_cpu=self.train_state.device.type == "cpu")

    @property
    def preparing(self) -> float:
        return 0.0 if self.recorded is None else self.recorded.preparing

    def train_step(
        self, batch: Batch, rate: float, *, lr_scales: Mapping[str, float] | None = None
    ) -> Measured:
        """Take one step on a batch at a learning rate, of which some tensors take a share."""
        self.train_state.set_rates(rate, lr_scales or {})
        step = self.eager if self.recorded is None else self.recorded
        return step.take(batch)

    @torch.no_grad()
    def add_to_parameters(self, amounts: Weights) -> None:
        """Add to some parameters, between two steps."""
        for name, amount in amounts.items():
            parameter = self.train_state.model.get_parameter(name)
            parameter += torch.from_numpy(amount).to(parameter)

    def eval_step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Return logits [n, classes] in fp32, of the averaged weights if there are any."""
        return _logits(self.train_state.evaluated, self.train_state.prepare(pixels))

    def weights(self) -> Weights:
        """Return a copy of the weights that ``eval_step`` uses."""
        return dict(_arrays(self.train_state.evaluated))

    def state(self) -> Weights:
        """Return a copy of all that training needs to resume, named as in ``SavedState``."""
        own = self.train_state
        groups = {WEIGHTS: dict(_arrays(own.model))}
        if own.averaged is not None:
            groups[AVERAGE] = dict(_arrays(own.averaged))
        groups |= {kind: {} for kind in own.settings.buffers}
        first_steps: dict[str, int] = {}
        for name, parameter in own.model.named_parameters():
            buffers = own.optimiser.state[parameter]
            for kind in own.settings.buffers:
                buffer = buffers.get(BUFFERS[kind])
                if buffer is not None:
                    groups[kind][name] = _array(buffer)
            count = buffers.get("step")
            if count is not None and int(count) != own.steps:
                first_steps[name] = own.steps - int(count)
        saved = SavedState(steps=own.steps, groups=groups, first_steps=first_steps)
        return saved.to_arrays()

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load what ``state`` returned."""
        own = self.train_state
        saved = SavedState.from_arrays(state, self.architecture, recipe=own.recipe)
        if self.recorded is not None:
            self.recorded.forget()
        own.steps = saved.steps
        _assign(own.model, saved.groups[WEIGHTS])
        if own.averaged is not None:
            _assign(own.averaged, saved.groups[AVERAGE])
        own.optimiser.state.clear()
        for name, parameter in own.model.named_parameters() if saved.steps else ():
            buffers = own.optimiser.state[parameter]
            for kind in own.settings.buffers:
                value = torch.from_numpy(np.ascontiguousarray(saved.groups[kind][name]))
                buffers[BUFFERS[kind]] = torch.empty_like(parameter).copy_(value)
            if own.settings.kind == "adamw":
                age = float(saved.steps - saved.first_steps.get(name, 0))
                buffers["step"] = torch.tensor(age, device=parameter.device)


def _arrays(model: Model) -> Iterable[tuple[str, npt.NDArray[Any]]]:
    return (
        (name, _array(value))
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    )


@torch.no_grad()
def _assign(model: Model, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    for name, value in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(torch.from_numpy(np.ascontiguousarray(arrays[name])))


def _array(value: Tensor) -> npt.NDArray[Any]:
    return value.detach().to("cpu", copy=True).contiguous().numpy()
