"""The recipe's optimisers, by torch's definitions, as pure functions of arrays by name.

The rate is outside the velocity (DESIGN, fact 3): another framework's buffers fit as they are.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array

from resnets.recipes.recipe import Recipe

Arrays = dict[str, Array]
"""By canonical name."""

EPSILON = 1e-8


@dataclass(frozen=True)
class Optimiser:
    """What decides a step, beside the rate: ``sgd`` or ``adamw``, as in ``Recipe``."""

    kind: str
    momentum: float
    nesterov: bool
    betas: tuple[float, float]
    weight_decay: float
    decay_all: bool
    clip: float | None

    @staticmethod
    def of(recipe: Recipe) -> "Optimiser":
        """Give the recipe's optimiser."""
        first, second = recipe.betas or (0.9, 0.999)
        return Optimiser(
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
        """Names of what it remembers of each parameter."""
        if self.kind == "adamw":
            return ("mean", "square")
        return ("momentum",) if self.momentum else ()

    def numbers(
        self, rates: npt.NDArray[np.float64], ages: npt.NDArray[np.int64]
    ) -> dict[str, Any]:
        """Give the numbers of a step that change from one to the next, in float64.

        ``rates``, ``ages``: each parameter's learning rate, and how many steps it takes with this
        one, in the order of their names.
        """
        if self.kind == "sgd":
            return {"rates": rates}
        first, second = (1 - beta**ages for beta in np.array(self.betas))
        return {"rates": rates, "sizes": rates / first, "roots": np.sqrt(second)}

    def updated(
        self,
        weights: Arrays,
        gradients: Arrays,
        buffers: dict[str, Arrays],
        numbers: dict[str, Array],
    ) -> tuple[Arrays, dict[str, Arrays]]:
        """Give weights and buffers after a step."""
        if self.clip is not None:
            gradients = clipped(gradients, self.clip)
        update = self._adamw if self.kind == "adamw" else self._sgd
        changed: Arrays = {}
        after: dict[str, Arrays] = {kind: {} for kind in self.buffers}
        for k, (name, weight) in enumerate(sorted(weights.items())):
            decay = self.weight_decay if weight.ndim > 1 or self.decay_all else 0.0
            own = [buffers[kind][name] for kind in self.buffers]
            changed[name], own = update(k, weight, gradients[name], own, decay, numbers)
            for kind, buffer in zip(self.buffers, own, strict=True):
                after[kind][name] = buffer
        return changed, after

    def _sgd(
        self,
        k: int,
        weight: Array,
        gradient: Array,
        own: list[Array],
        decay: float,
        numbers: dict[str, Array],
    ) -> tuple[Array, list[Array]]:
        if decay:
            gradient = gradient + decay * weight
        if not own:
            return weight - numbers["rates"][k] * gradient, []
        velocity = self.momentum * own[0] + gradient  # at first the gradient itself, as in torch
        step = gradient + self.momentum * velocity if self.nesterov else velocity
        return weight - numbers["rates"][k] * step, [velocity]

    def _adamw(
        self,
        k: int,
        weight: Array,
        gradient: Array,
        own: list[Array],
        decay: float,
        numbers: dict[str, Array],
    ) -> tuple[Array, list[Array]]:
        first, second = self.betas
        if decay:
            weight = weight * (1 - numbers["rates"][k] * decay)
        mean = own[0] + (1 - first) * (gradient - own[0])
        square = second * own[1] + (1 - second) * jnp.square(gradient)
        size = jnp.sqrt(square) / numbers["roots"][k] + EPSILON
        return weight - numbers["sizes"][k] * mean / size, [mean, square]


def clipped(gradients: Arrays, most: float) -> Arrays:
    """Shorten the whole gradient to the length ``most``, by torch's ``clip_grad_norm_``."""
    length = jnp.sqrt(sum(jnp.square(g).sum() for g in gradients.values()))
    factor = jnp.minimum(most / (length + 1e-6), 1)
    return {name: gradient * factor for name, gradient in gradients.items()}
