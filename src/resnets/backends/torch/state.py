"""What a training step reads and changes."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from resnets.backends.state import OptimiserSettings, ema_decay
from resnets.backends.torch.augmentation import Preparation
from resnets.backends.torch.devices import find_device, precision
from resnets.backends.torch.models import Model
from resnets.backends.torch.optimiser import group_parameters, make_optimiser
from resnets.backends.torch.redundant_biases import RedundantBiases
from resnets.networks.network import Preprocessing
from resnets.recipes.recipe import Recipe


@dataclass
class TrainState:
    """A model on its device, with its optimiser and the average of its weights.

    Attributes:
        model: what is trained, in place.
        recipe: how.
        precision: ``fp32``, ``bf16`` or ``fp64``.
        prepare: turns stored pixels into the model's input.
        criterion: the loss of each image.
        settings: of the optimiser.
        optimiser: with its buffers.
        averaged: the model with averaged weights, or None.
        redundant_biases: of the model.
        steps: number of steps taken.
        slowed: whether some parameters use a share of the learning rate.
    """

    model: Model
    recipe: Recipe
    device: torch.device
    precision: str
    prepare: Preparation
    criterion: nn.CrossEntropyLoss
    settings: OptimiserSettings
    optimiser: torch.optim.Optimizer
    averaged: Model | None
    redundant_biases: RedundantBiases
    steps: int = 0
    slowed: bool = False

    @staticmethod
    def begin(
        model: Model, recipe: Recipe, *, preprocessing: Preprocessing, device: str
    ) -> "TrainState":
        """Move a model to a device and return its state before the first step."""
        where, resolved = find_device(device), precision(recipe, device)
        dtype = torch.float64 if resolved == "fp64" else torch.float32
        model = model.to(where, memory_format=torch.channels_last)
        model.to(dtype)
        settings = OptimiserSettings.of(recipe)
        return TrainState(
            model=model,
            recipe=recipe,
            device=where,
            precision=resolved,
            prepare=Preparation.of(
                preprocessing.mean, preprocessing.std, device=where, dtype=dtype
            ),
            criterion=nn.CrossEntropyLoss(reduction="none", label_smoothing=recipe.label_smoothing),
            settings=settings,
            optimiser=make_optimiser(model, settings),
            averaged=copy.deepcopy(model).eval() if recipe.average is not None else None,
            redundant_biases=RedundantBiases(model),
        )

    @property
    def bf16(self) -> bool:
        """Whether convolutions and dense layers compute in bf16."""
        return self.precision == "bf16"

    @property
    def evaluated(self) -> Model:
        """The model that is evaluated: the average if there is one."""
        return self.model if self.averaged is None else self.averaged

    @property
    def average_share(self) -> float | None:
        """Share of the way that the average moves towards the weights; None without average."""
        decay = ema_decay(self.recipe, self.steps)
        return None if decay is None else 1 - decay

    def set_rates(self, rate: float, shares: Mapping[str, float]) -> None:
        """Set the learning rates of the next step.

        Parameters in ``shares`` use that share of ``rate``, in parameter groups of their own.
        """
        if shares or self.slowed:
            self.optimiser.param_groups.clear()
            for group in group_parameters(self.model, self.settings, shares=shares):
                self.optimiser.add_param_group(group)
            self.slowed = bool(shares)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["share"]
