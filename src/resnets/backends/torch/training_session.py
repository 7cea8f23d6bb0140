"""A torch model in training: one step, evaluation, and the state that resumes it."""

import copy
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from resnets.backends import Batch, Evaluator, Measured
from resnets.backends.malloc import keep_pages
from resnets.backends.torch.augmentation import Preparation
from resnets.backends.torch.convolution import FastConvolutions
from resnets.backends.torch.devices import device_called, in_words, precision
from resnets.backends.torch.idle_biases import IdleBiases
from resnets.backends.torch.optimiser import BUFFERS, buffers_of, groups, optimiser
from resnets.backends.torch.recorded import RecordedSteps, Speed
from resnets.backends.torch.regnet import RegNet
from resnets.backends.torch.resnet import ResNet
from resnets.backends.torch.resnetv2 import ResNetV2
from resnets.data.augmentation import Draws, Mix
from resnets.data.images import Pixels
from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.naming import block_names
from resnets.networks.network import Preprocessing, Weights
from resnets.recipes.recipe import Recipe

Model = ResNet | ResNetV2 | RegNet


@dataclass(frozen=True)
class MeasuredLoss:
    """A step's losses, still on the device until they are read."""

    value: Tensor
    of_images: Tensor

    @property
    def loss(self) -> float:
        return self.value.item()

    @property
    def losses(self) -> npt.NDArray[np.float32]:
        return self.of_images.detach().float().cpu().numpy()


def evaluator(model: Model, preprocessing: Preprocessing, device: str = "auto") -> Evaluator:
    """Put the model on a device; give the function from stored images to logits."""
    where = device_called(device)
    model = model.to(where, memory_format=torch.channels_last)
    prepare = Preparation.of(preprocessing.mean, preprocessing.std, where)
    return lambda pixels: _logits(model, prepare(pixels))


def _logits(model: Model, images: Tensor) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        return model.eval()(images).float().cpu().numpy()


class TorchSession:
    """The model on a device, with its optimiser and the average of its weights."""

    def __init__(
        self,
        model: Model,
        recipe: Recipe,
        preprocessing: Preprocessing,
        device: str = "auto",
        speed: Speed | None = None,
    ) -> None:
        self.recipe = recipe
        self.where = device_called(device)
        if self.where.type == "cpu":
            keep_pages()
        self.model = model.to(self.where, memory_format=torch.channels_last)
        self.precision = precision(recipe, device)
        self.bf16 = self.precision == "bf16"
        kind = torch.float64 if self.precision == "fp64" else torch.float32
        self.model.to(kind)
        self.prepare = Preparation.of(preprocessing.mean, preprocessing.std, self.where, kind)
        self.loss = nn.CrossEntropyLoss(reduction="none", label_smoothing=recipe.label_smoothing)
        self.optimiser = optimiser(self.model, recipe)
        self.averaged = copy.deepcopy(self.model).eval() if recipe.average is not None else None
        self.idle = IdleBiases(self.model)
        self.steps = 0
        self.slowed = False
        self.recorded = RecordedSteps.of(self, speed)

    @property
    def architecture(self) -> Architecture:
        return self.model.architecture

    @property
    def device(self) -> str:
        return in_words(self.where)

    @property
    def threads(self) -> int:
        return torch.get_num_threads()

    @property
    def lag(self) -> int:
        if self.recorded is not None:
            return self.recorded.lag
        return 1 if self.where.type == "cpu" else 50

    @property
    def preparing(self) -> float:
        """Seconds that went into compiling and recording steps so far."""
        return 0.0 if self.recorded is None else self.recorded.preparing

    @property
    def nearer(self) -> float | None:
        """How far the average moves towards the weights; far at first, when it is the start."""
        if self.recipe.average is None:
            return None
        return 1 - min(self.recipe.average, (1 + self.steps) / (10 + self.steps))

    def train_step(
        self, batch: Batch, rate: float, slowed: Mapping[str, float] | None = None
    ) -> Measured:
        """Take one step on a batch at a learning rate, of which some tensors take a share."""
        if self.recorded is not None:
            self._set_rates(rate, slowed or {})
            return self.recorded.take(self, batch)
        self.model.train()
        x = self.prepare(batch.images.pixels, batch.draws)
        labels = torch.from_numpy(batch.images.labels).to(self.where)
        with (
            self._fast_convolutions(),
            self._dropping(batch.draws),
            self.idle.left_out(),
            torch.autocast(self.where.type, torch.bfloat16, enabled=self.bf16),
        ):
            logits = self.model(x)
        losses = self._losses(logits.float() if self.bf16 else logits, labels, batch.draws.mix)
        loss = losses.mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.idle.settle()
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self._set_rates(rate, slowed or {})
        self.optimiser.step()
        self.steps += 1
        if self.averaged is not None:
            self._average(self.averaged)
        return MeasuredLoss(loss.detach(), losses.detach())

    @torch.no_grad()
    def lift(self, amounts: Weights) -> None:
        """Add to some parameters, between two steps."""
        for name, amount in amounts.items():
            parameter = self.model.get_parameter(name)
            parameter += torch.from_numpy(amount).to(parameter)

    def eval_step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute logits [n, classes] in fp32, of the averaged weights where there are any."""
        return _logits(self._evaluated(), self.prepare(pixels))

    def weights(self) -> Weights:
        """Copy the weights that ``eval_step`` uses."""
        return dict(_arrays(self._evaluated().state_dict()))

    def state(self) -> Weights:
        """Copy weights, averages and optimiser buffers, as ``weights/NAME`` and so on."""
        result = {f"weights/{n}": a for n, a in _arrays(self.model.state_dict())}
        if self.averaged is not None:
            result |= {f"average/{n}": a for n, a in _arrays(self.averaged.state_dict())}
        for name, parameter in self.model.named_parameters():
            for torch_name, ours in BUFFERS.items():
                buffer = self.optimiser.state[parameter].get(torch_name)
                if buffer is not None:
                    result[f"{ours}/{name}"] = _array(buffer)
            count = self.optimiser.state[parameter].get("step")
            if count is not None and int(count) != self.steps:
                result[f"born/{name}"] = np.array(self.steps - int(count), np.int64)
        result["steps"] = np.array(self.steps, np.int64)
        return result

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what ``state`` gave."""
        taken = {"steps"}
        if self.recorded is not None:
            self.recorded.forget()
        if "steps" not in state or state["steps"].shape != ():
            raise WeightsError("the saved state lacks the number of steps")
        self.steps = int(state["steps"])
        for prefix, module in (("weights", self.model), ("average", self.averaged)):
            if module is None:
                continue
            for name, value in module.state_dict().items():
                if not name.endswith("num_batches_tracked"):
                    with torch.no_grad():
                        value.copy_(_tensor(state, f"{prefix}/{name}", value))
                    taken.add(f"{prefix}/{name}")
        for name, parameter in self.model.named_parameters():
            buffers = self.optimiser.state[parameter]
            for torch_name, ours in buffers_of(self.recipe).items():
                if self.steps:
                    value = _tensor(state, f"{ours}/{name}", parameter)
                    buffers[torch_name] = torch.empty_like(parameter).copy_(value)
                    taken.add(f"{ours}/{name}")
            if "exp_avg" in buffers:
                born = state.get(f"born/{name}")
                taken.add(f"born/{name}")
                age = float(self.steps - (0 if born is None else born))
                buffers["step"] = torch.tensor(age, device=parameter.device)
        unknown = sorted(set(state) - taken)
        if unknown:
            raise WeightsError(f"the saved state has what this run has not: {', '.join(unknown)}")

    def _set_rates(self, rate: float, slowed: Mapping[str, float]) -> None:
        """Tensors that take a share of the rate have groups of their own meanwhile."""
        if slowed or self.slowed:
            self.optimiser.param_groups.clear()
            for group in groups(self.model, self.recipe, slowed):
                self.optimiser.add_param_group(group)
            self.slowed = bool(slowed)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]

    @contextmanager
    def _dropping(self, draws: Draws) -> Generator[None]:
        """Let the blocks scale their branches as was drawn."""
        if draws.branches is None:
            yield
            return
        names = [name for row in block_names(self.architecture) for name in row]
        blocks = [self.model.get_submodule(name) for name in names]
        scales = torch.from_numpy(draws.branches).to(self.where)
        for block, scale in zip(blocks, scales, strict=True):
            block.branch_scale = scale
        try:
            yield
        finally:
            for block in blocks:
                block.branch_scale = None

    def _fast_convolutions(self) -> AbstractContextManager[Any]:
        if self.where.type != "cpu" or self.precision == "fp64":
            return nullcontext()
        return FastConvolutions(torch.bfloat16 if self.bf16 else torch.float32)

    def _evaluated(self) -> Model:
        return self.model if self.averaged is None else self.averaged

    def _losses(self, logits: Tensor, labels: Tensor, mix: Mix | None) -> Tensor:
        """Each image's loss, [n]."""
        loss = self.loss(logits, labels)
        if mix is None:
            return loss
        other = labels[torch.from_numpy(mix.partner).to(self.where)]
        return mix.share * loss + (1 - mix.share) * self.loss(logits, other)

    @torch.no_grad()
    def _average(self, averaged: Model) -> None:
        """Move the average towards the weights."""
        old, new = (_floating(module.state_dict().values()) for module in (averaged, self.model))
        torch._foreach_lerp_(old, new, self.nearer)


def _floating(tensors: Iterable[Tensor]) -> list[Tensor]:
    return [t for t in tensors if t.is_floating_point()]


def _arrays(state: Mapping[str, Tensor]) -> Iterable[tuple[str, npt.NDArray[Any]]]:
    return (
        (name, _array(value))
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    )


def _array(value: Tensor) -> npt.NDArray[Any]:
    return value.detach().to("cpu", copy=True).contiguous().numpy()


def _tensor(state: Mapping[str, npt.NDArray[Any]], name: str, like: Tensor) -> Tensor:
    if name not in state:
        raise WeightsError(f"the saved state lacks {name}")
    if state[name].shape != tuple(like.shape):
        raise WeightsError(
            f"the saved state's {name} has shape {state[name].shape}, not {tuple(like.shape)}"
        )
    return torch.from_numpy(np.ascontiguousarray(state[name]))
