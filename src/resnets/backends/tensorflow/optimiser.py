"""SGD and AdamW by torch's definitions, on TensorFlow's variables.

Keras's SGD keeps the learning rate inside the velocity, and so is another algorithm once the rate
changes. The numbers that change with the step are passed as tensors, so that a compiled step is
not compiled again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from resnets.backends.state import EPSILON, OptimiserSettings
from resnets.networks.layers import Tensor
from resnets.recipes.recipe import Recipe

Variables = dict[Tensor, Any]


class _Optimiser:
    """What both share.

    Attributes:
        variables: what is trained.
        buffers: of each variable, by the names they have in a saved state.
        first_steps: of variables that were added later, the steps taken before; AdamW's alone.
    """

    def __init__(self, variables: Variables, settings: OptimiserSettings) -> None:
        self.variables, self.settings = variables, settings
        self.first_steps: dict[str, int] = {}
        self.buffers: dict[str, Variables] = {
            kind: {t: tf.Variable(tf.zeros_like(v)) for t, v in variables.items()}
            for kind in settings.buffers
        }


class Sgd(_Optimiser):
    """v ← momentum · v + gradient; w ← w - rate · v; Nesterov's looks one momentum ahead."""

    def numbers(self, rates: npt.NDArray[np.float64], step: int) -> dict[str, Any]:
        """Return what ``apply`` needs to know of a step, with each variable's rate."""
        return {"rates": rates}

    def apply(self, gradients: Variables, numbers: Mapping[str, Any]) -> None:
        """Take a step."""
        settings = self.settings
        rates = tf.unstack(numbers["rates"], len(self.variables))
        for rate, (tensor, variable) in zip(rates, self.variables.items(), strict=True):
            change = gradients[tensor]
            if decay := settings.decay(tensor.shape):
                change += decay * variable
            if settings.momentum:
                velocity = self.buffers["momentum"][tensor]
                velocity.assign(settings.momentum * velocity + change)
                change = change + settings.momentum * velocity if settings.nesterov else velocity
            variable.assign_sub(tf.cast(rate, variable.dtype) * change)


class AdamW(_Optimiser):
    """Loshchilov and Hutter 2017, arXiv:1711.05101, Algorithm 2; the decay is rate · decay."""

    def numbers(self, rates: npt.NDArray[np.float64], step: int) -> dict[str, Any]:
        """Return what ``apply`` needs to know of ``step``, counted from 1."""
        ages = np.array([step - self.first_steps.get(t.name, 0) for t in self.variables])
        first, second = self.settings.bias_corrections(ages)
        return {
            "kept": 1 - rates * self.settings.weight_decay,
            "sizes": rates / first,
            "roots": np.sqrt(second),
        }

    def apply(self, gradients: Variables, numbers: Mapping[str, Any]) -> None:
        """Take a step."""
        first, second = self.settings.betas
        for i, (tensor, variable) in enumerate(self.variables.items()):
            kept, size, root = (
                tf.cast(numbers[name][i], variable.dtype) for name in ("kept", "sizes", "roots")
            )
            gradient = gradients[tensor]
            mean, square = (self.buffers[kind][tensor] for kind in self.settings.buffers)
            mean.assign_add((1 - first) * (gradient - mean))
            square.assign(second * square + (1 - second) * gradient * gradient)
            decayed = variable * kept if self.settings.decay(tensor.shape) else variable
            variable.assign(decayed - size * mean / (tf.sqrt(square) / root + EPSILON))


Optimiser = Sgd | AdamW


def make_optimiser(variables: Variables, recipe: Recipe) -> Optimiser:
    """Return the recipe's optimiser of ``variables``."""
    kind = AdamW if recipe.optimiser == "adamw" else Sgd
    return kind(variables, OptimiserSettings.of(recipe))


def clip(gradients: Variables, most: float) -> Variables:
    """Return the gradients scaled down to a norm of at most ``most``, as torch does."""
    length = tf.sqrt(sum(tf.reduce_sum(g * g) for g in gradients.values()))
    factor = tf.minimum(most / (length + 1e-6), 1)
    return {tensor: gradient * factor for tensor, gradient in gradients.items()}
