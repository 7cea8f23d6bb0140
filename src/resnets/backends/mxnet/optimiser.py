"""The recipe's optimisers, by torch's definitions, on NDArrays.

MXNet's own would not do: they keep the learning rate inside the velocity, and in single
precision.
"""

from collections.abc import Mapping
from typing import Any

from resnets.backends.mxnet.importing import mx
from resnets.backends.state import EPSILON, OptimiserSettings


class Optimiser:
    """SGD or AdamW over the learned parameters of a network.

    Attributes:
        buffers: by kind (``momentum``, or ``mean`` and ``square``) and name; empty before the
            first step.
        first_steps: of parameters that were added later, the steps taken before.
        steps: taken so far.
    """

    def __init__(self, settings: OptimiserSettings, learned: Mapping[str, Any]) -> None:
        self.settings = settings
        self.learned = learned
        self.buffers: dict[str, dict[str, Any]] = {kind: {} for kind in settings.buffers}
        self.first_steps: dict[str, int] = {}
        self.steps = 0

    def step(self, rate: float, lr_scales: Mapping[str, float]) -> None:
        """Clip the gradients and update every parameter, those in ``lr_scales`` by their shares."""
        if self.settings.clip is not None:
            self._clip(self.settings.clip)
        if self.steps == 0:
            for buffers in self.buffers.values():
                buffers.update({n: mx.nd.zeros_like(p.data()) for n, p in self.learned.items()})
        self.steps += 1
        update = self._adamw if self.settings.kind == "adamw" else self._sgd
        for name, parameter in self.learned.items():
            update(name, parameter, rate=rate * lr_scales.get(name, 1.0))

    def _sgd(self, name: str, parameter: Any, *, rate: float) -> None:
        """v ← μv + g; w ← w - rate·v (Nesterov: g + μv in place of v)."""
        value, gradient = parameter.data(), parameter.grad()
        momentum, decay = self.settings.momentum, self.settings.decay(parameter.shape)
        if decay:
            gradient = gradient + value * decay
        if momentum:
            velocity = self.buffers["momentum"][name]
            velocity *= momentum
            velocity += gradient
            ahead = gradient + velocity * momentum if self.settings.nesterov else velocity
            value -= ahead * rate
        else:
            value -= gradient * rate

    def _adamw(self, name: str, parameter: Any, *, rate: float) -> None:
        """Loshchilov and Hutter 2017, algorithm 2, with the decay times the rate."""
        value, gradient = parameter.data(), parameter.grad()
        first, second = self.settings.betas
        of_mean, of_square = self.settings.bias_corrections(
            self.steps - self.first_steps.get(name, 0)
        )
        if decay := self.settings.decay(parameter.shape):
            value *= 1 - rate * decay
        mean, square = self.buffers["mean"][name], self.buffers["square"][name]
        mean *= first
        mean += gradient * (1 - first)
        square *= second
        square += mx.nd.square(gradient) * (1 - second)
        root = mx.nd.sqrt(square) / of_square**0.5 + EPSILON
        value -= mean / root * (rate / of_mean)

    def _clip(self, largest: float) -> None:
        """Scale the gradients down to a norm of at most ``largest``."""
        gradients = [parameter.grad() for parameter in self.learned.values()]
        length = mx.nd.norm(mx.nd.concat(*(mx.nd.norm(g) for g in gradients), dim=0))
        factor = mx.nd.minimum(largest / (length + 1e-6), 1)
        for gradient in gradients:
            gradient *= factor
