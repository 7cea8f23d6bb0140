"""The recipe's optimiser, of torch's own kinds, and which parameters it treats alike."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from resnets.recipes.recipe import Recipe

BUFFERS = {"momentum_buffer": "momentum", "exp_avg": "mean", "exp_avg_sq": "square"}
"""The optimisers' buffers by torch's names and by ours, which are the same for every framework."""


def optimiser(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Make the recipe's optimiser."""
    together = groups(model, recipe, {})
    fused = next(model.parameters()).device.type in ("cpu", "cuda")
    if recipe.optimiser == "adamw":
        betas = (0.9, 0.999) if recipe.betas is None else (recipe.betas[0], recipe.betas[1])
        return torch.optim.AdamW(together, lr=recipe.rate, betas=betas, fused=fused)
    return torch.optim.SGD(
        together,
        lr=recipe.rate,
        momentum=recipe.momentum or 0.0,
        nesterov=recipe.nesterov,
        fused=fused,
    )


def buffers_of(recipe: Recipe) -> dict[str, str]:
    """Name the buffers that its optimiser has after a step, by torch's names and ours."""
    if recipe.optimiser == "adamw":
        used = ("exp_avg", "exp_avg_sq")
    else:
        used = ("momentum_buffer",) if recipe.momentum else ()
    return {name: BUFFERS[name] for name in used}


def groups(model: nn.Module, recipe: Recipe, slowed: Mapping[str, float]) -> list[dict[str, Any]]:
    """Put parameters together that decay alike and take the same share of the rate.

    Those of one dimension are norms' and biases.
    """
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = parameter.dim() > 1 or recipe.decay_all
        alike = (recipe.weight_decay if decays else 0.0, slowed.get(name, 1.0))
        found.setdefault(alike, []).append(parameter)
    return [
        {"params": parameters, "weight_decay": decay, "share": share}
        for (decay, share), parameters in found.items()
    ]
