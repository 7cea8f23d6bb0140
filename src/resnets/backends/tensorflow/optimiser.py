"""SGD and AdamW by torch's definitions, on TensorFlow's variables.

Keras's SGD keeps the rate inside the velocity, and so is another algorithm once the rate changes.
The numbers that change with the step come in as tensors: a compiled step is not compiled again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from resnets.networks.layers import Tensor
from resnets.recipes.recipe import Recipe

Variables = dict[Tensor, Any]
EPSILON = 1e-8


class _Optimiser:
    """What both share.

    Attributes:
        variables: what is trained.
        buffers: of each variable, by the names they have in a saved state.
        born: of variables that were added later, the steps taken before; AdamW's alone.
    """

    kinds: tuple[str, ...] = ()

    def __init__(self, variables: Variables, recipe: Recipe) -> None:
        self.variables, self.recipe = variables, recipe
        self.born: dict[Tensor, int] = {}
        self.buffers: dict[str, Variables] = {
            kind: {t: tf.Variable(tf.zeros_like(v)) for t, v in variables.items()}
            for kind in self.kinds
        }

    def decays(self, tensor: Tensor) -> bool:
        """Parameters of one dimension are norms' and biases."""
        return bool(self.recipe.weight_decay) and (self.recipe.decay_all or len(tensor.shape) > 1)


class Sgd(_Optimiser):
    """v ← momentum · v + gradient; w ← w - rate · v; Nesterov's looks one momentum ahead."""

    def __init__(self, variables: Variables, recipe: Recipe) -> None:
        self.kinds = ("momentum",) if recipe.momentum else ()
        super().__init__(variables, recipe)

    def numbers(self, rates: npt.NDArray[np.float64], step: int) -> dict[str, Any]:
        """Give what ``apply`` needs to know of a step, with each variable's rate."""
        return {"rates": rates}

    def apply(self, gradients: Variables, numbers: Mapping[str, Any]) -> None:
        """Take a step."""
        recipe = self.recipe
        rates = tf.unstack(numbers["rates"], len(self.variables))
        for rate, (tensor, variable) in zip(rates, self.variables.items(), strict=True):
            change = gradients[tensor]
            if self.decays(tensor):
                change += recipe.weight_decay * variable
            if recipe.momentum:
                velocity = self.buffers["momentum"][tensor]
                velocity.assign(recipe.momentum * velocity + change)
                change = change + recipe.momentum * velocity if recipe.nesterov else velocity
            variable.assign_sub(tf.cast(rate, variable.dtype) * change)


class AdamW(_Optimiser):
    """Loshchilov and Hutter 2017, arXiv:1711.05101, Algorithm 2; the decay is rate · decay."""

    kinds = ("mean", "square")

    def numbers(self, rates: npt.NDArray[np.float64], step: int) -> dict[str, Any]:
        """Give what ``apply`` needs to know of ``step``, counted from 1."""
        first, second = self._betas()
        counts = np.array([step - self.born.get(tensor, 0) for tensor in self.variables])
        return {
            "kept": 1 - rates * self.recipe.weight_decay,
            "sizes": rates / (1 - first**counts),
            "roots": np.sqrt(1 - second**counts),
        }

    def apply(self, gradients: Variables, numbers: Mapping[str, Any]) -> None:
        """Take a step."""
        first, second = self._betas()
        for i, (tensor, variable) in enumerate(self.variables.items()):
            kept, size, root = (
                tf.cast(numbers[name][i], variable.dtype) for name in ("kept", "sizes", "roots")
            )
            gradient = gradients[tensor]
            mean, square = (self.buffers[kind][tensor] for kind in self.kinds)
            mean.assign_add((1 - first) * (gradient - mean))
            square.assign(second * square + (1 - second) * gradient * gradient)
            decayed = variable * kept if self.decays(tensor) else variable
            variable.assign(decayed - size * mean / (tf.sqrt(square) / root + EPSILON))

    def _betas(self) -> tuple[float, float]:
        betas = self.recipe.betas
        return (0.9, 0.999) if betas is None else (betas[0], betas[1])


Optimiser = Sgd | AdamW


def optimiser(variables: Variables, recipe: Recipe) -> Optimiser:
    """Give the recipe's optimiser of ``variables``."""
    kind = AdamW if recipe.optimiser == "adamw" else Sgd
    return kind(variables, recipe)


def clipped(gradients: Variables, most: float) -> Variables:
    """Shorten gradients together to the length ``most``, as torch's ``clip_grad_norm_``."""
    length = tf.sqrt(sum(tf.reduce_sum(g * g) for g in gradients.values()))
    factor = tf.minimum(most / (length + 1e-6), 1)
    return {tensor: gradient * factor for tensor, gradient in gradients.items()}
