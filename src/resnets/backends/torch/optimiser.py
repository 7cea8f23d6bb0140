"""The recipe's optimiser, one of torch's own, and the groups of its parameters."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from resnets.backends.state import EPSILON, OptimiserSettings

BUFFERS = {"momentum": "momentum_buffer", "mean": "exp_avg", "square": "exp_avg_sq"}
"""torch's names of the optimisers' buffers, by the names in a saved state."""


def make_optimiser(model: nn.Module, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Return the optimiser of a model's parameters. Steps set the learning rates."""
    groups = group_parameters(model, settings, shares={})
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    if settings.kind == "adamw":
        return torch.optim.AdamW(groups, betas=settings.betas, eps=EPSILON, fused=fused)
    return torch.optim.SGD(
        groups, momentum=settings.momentum, nesterov=settings.nesterov, fused=fused
    )


def group_parameters(
    model: nn.Module, settings: OptimiserSettings, *, shares: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Return groups of parameters with one weight decay and one factor of the learning rate.

    ``shares`` maps names of parameters to factors other than 1.
    """
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        alike = (settings.decay(parameter.shape), shares.get(name, 1.0))
        found.setdefault(alike, []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "share": share}
        for (decay, share), parameters in found.items()
    ]
