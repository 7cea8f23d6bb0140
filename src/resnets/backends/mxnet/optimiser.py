"""The recipe's optimisers, by torch's definitions, on NDArrays.

MXNet's own would not do: they keep the learning rate inside the velocity, and in single
precision.
"""

from collections.abc import Mapping
from typing import Any

from resnets.backends.mxnet.importing import mx
from resnets.recipes.recipe import Recipe

EPSILON = 1e-8


class Optimiser:
    """SGD or AdamW over the learned parameters of a network.

    Attributes:
        buffers: by kind (``momentum``, or ``mean`` and ``square``) and name; empty before the
            first step.
        born: of parameters that were added later, the steps taken before.
        steps: taken so far.
    """

    def __init__(self, recipe: Recipe, learned: Mapping[str, Any]) -> None:
        self.recipe = recipe
        self.learned = learned
        if recipe.optimiser == "adamw":
            kinds = ("mean", "square")
        else:
            kinds = ("momentum",) if recipe.momentum else ()
        self.buffers: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
        self.born: dict[str, int] = {}
        self.steps = 0

    def step(self, rate: float, slowed: Mapping[str, float]) -> None:
        """Clip the gradients and update every parameter, those in ``slowed`` by their shares."""
        if self.recipe.clip is not None:
            self._clip(self.recipe.clip)
        if self.steps == 0:
            for buffers in self.buffers.values():
                buffers.update({n: mx.nd.zeros_like(p.data()) for n, p in self.learned.items()})
        self.steps += 1
        update = self._adamw if self.recipe.optimiser == "adamw" else self._sgd
        for name, parameter in self.learned.items():
            spared = len(parameter.shape) == 1 and not self.recipe.decay_all
            decay = 0.0 if spared else self.recipe.weight_decay
            own = rate * slowed.get(name, 1.0)
            update(name, parameter.data(), parameter.grad(), own, decay)

    def _sgd(self, name: str, value: Any, gradient: Any, rate: float, decay: float) -> None:
        """v ← μv + g; w ← w - rate·v (Nesterov: g + μv in place of v)."""
        if decay:
            gradient = gradient + value * decay
        if self.recipe.momentum:
            velocity = self.buffers["momentum"][name]
            velocity *= self.recipe.momentum
            velocity += gradient
            ahead = gradient + velocity * self.recipe.momentum if self.recipe.nesterov else velocity
            value -= ahead * rate
        else:
            value -= gradient * rate

    def _adamw(self, name: str, value: Any, gradient: Any, rate: float, decay: float) -> None:
        """Loshchilov and Hutter 2017, algorithm 2, with the decay times the rate."""
        first, second = self.recipe.betas or (0.9, 0.999)
        steps = self.steps - self.born.get(name, 0)
        if decay:
            value *= 1 - rate * decay
        mean, square = self.buffers["mean"][name], self.buffers["square"][name]
        mean *= first
        mean += gradient * (1 - first)
        square *= second
        square += mx.nd.square(gradient) * (1 - second)
        root = mx.nd.sqrt(square) / (1 - second**steps) ** 0.5 + EPSILON
        value -= mean / root * (rate / (1 - first**steps))

    def _clip(self, largest: float) -> None:
        """Shorten the gradients where their length together is above ``largest``."""
        gradients = [parameter.grad() for parameter in self.learned.values()]
        length = mx.nd.norm(mx.nd.concat(*(mx.nd.norm(g) for g in gradients), dim=0))
        factor = mx.nd.minimum(largest / (length + 1e-6), 1)
        for gradient in gradients:
            gradient *= factor
