"""The recipe's optimisers, by torch's definitions, as pure functions of arrays by name.

The learning rate stays outside the velocity (docs/design.md, section 8, fact 3), so buffers of
another framework fit as they are.
"""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import Array

from resnets.backends.state import EPSILON, OptimiserSettings

Arrays = dict[str, Array]
"""By canonical name."""


@dataclass(frozen=True)
class Optimiser:
    """SGD or AdamW, as ``settings`` say."""

    settings: OptimiserSettings

    def numbers(
        self, rates: npt.NDArray[np.float64], ages: npt.NDArray[np.int64]
    ) -> dict[str, Any]:
        """Return the numbers that change from step to step, in float64.

        ``rates`` are the learning rates of the parameters in the order of their names, ``ages``
        how many steps each takes, this one included.
        """
        if self.settings.kind == "sgd":
            return {"rates": rates}
        first, second = self.settings.bias_corrections(ages)
        return {"rates": rates, "sizes": rates / first, "roots": np.sqrt(second)}

    def update(
        self,
        weights: Arrays,
        gradients: Arrays,
        *,
        buffers: dict[str, Arrays],
        numbers: dict[str, Array],
    ) -> tuple[Arrays, dict[str, Arrays]]:
        """Return weights and buffers after a step."""
        settings = self.settings
        if settings.clip is not None:
            gradients = clip(gradients, settings.clip)
        update = self._adamw if settings.kind == "adamw" else self._sgd
        changed: Arrays = {}
        after: dict[str, Arrays] = {kind: {} for kind in settings.buffers}
        for k, (name, weight) in enumerate(sorted(weights.items())):
            own = [buffers[kind][name] for kind in settings.buffers]
            own_numbers = {kind: values[k] for kind, values in numbers.items() if kind in _EACH}
            decay = settings.decay(weight.shape)
            changed[name], own = update(
                weight, gradients[name], buffers=own, decay=decay, numbers=own_numbers
            )
            for kind, buffer in zip(settings.buffers, own, strict=True):
                after[kind][name] = buffer
        return changed, after

    def _sgd(
        self,
        weight: Array,
        gradient: Array,
        *,
        buffers: list[Array],
        decay: float,
        numbers: dict[str, Array],
    ) -> tuple[Array, list[Array]]:
        settings = self.settings
        if decay:
            gradient = gradient + decay * weight
        if not buffers:
            return weight - numbers["rates"] * gradient, []
        # In the first step the velocity is the gradient itself, as in torch.
        velocity = settings.momentum * buffers[0] + gradient
        step = gradient + settings.momentum * velocity if settings.nesterov else velocity
        return weight - numbers["rates"] * step, [velocity]

    def _adamw(
        self,
        weight: Array,
        gradient: Array,
        *,
        buffers: list[Array],
        decay: float,
        numbers: dict[str, Array],
    ) -> tuple[Array, list[Array]]:
        first, second = self.settings.betas
        if decay:
            weight = weight * (1 - numbers["rates"] * decay)
        mean = buffers[0] + (1 - first) * (gradient - buffers[0])
        square = second * buffers[1] + (1 - second) * jnp.square(gradient)
        size = jnp.sqrt(square) / numbers["roots"] + EPSILON
        return weight - numbers["sizes"] * mean / size, [mean, square]


_EACH = ("rates", "sizes", "roots")
"""Numbers of a step that each parameter has one of."""


def clip(gradients: Arrays, most: float) -> Arrays:
    """Return the gradients scaled down to a norm of at most ``most``, as torch does."""
    length = jnp.sqrt(sum(jnp.square(g).sum() for g in gradients.values()))
    factor = jnp.minimum(most / (length + 1e-6), 1)
    return {name: gradient * factor for name, gradient in gradients.items()}
