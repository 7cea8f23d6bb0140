"""What is compiled: the network as a pure function of arrays by name, and one step of training.

``nnx.jit`` walks through the whole module at every call; here the module is split once, and what
is left of it in a call is a dictionary of arrays. Compiled functions are kept by what they
compute, so that sessions of the same network share them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from resnets.backends.jax.canonical import Path, name_of
from resnets.backends.jax.norm import BatchNorm
from resnets.backends.jax.optimiser import Arrays, Optimiser

State = dict[str, Arrays]
"""``weights``, ``statistics``, ``average`` and the optimiser's buffers, each by canonical name."""


@dataclass(frozen=True)
class Network:
    """A module without its arrays.

    Attributes:
        definition: its structure, in one mode, training or not.
        paths: where its arrays belong.
    """

    definition: nnx.GraphDef[Any]
    paths: tuple[Path, ...]

    @staticmethod
    def of(model: nnx.Module, *, training: bool, dtype: Any = None) -> "Network":
        """Take the structure of ``model``, which stays as it is.

        ``dtype``: what convolutions and dense layers compute in; None: what their input has.
        """
        view = nnx.merge(*nnx.split(model))
        view.train() if training else view.eval()
        view.set_attributes(BatchNorm, first_order=True, raise_if_not_found=False)
        if dtype is not None:
            view.set_attributes(nnx.Conv, nnx.Linear, dtype=dtype, raise_if_not_found=False)
        definition, state = nnx.split(view)
        return Network(definition, tuple(path for path, _ in nnx.to_flat_state(state)))

    def __call__(self, arrays: Arrays, x: Array) -> tuple[Array, Arrays]:
        """Give logits [n, classes] and the statistics after it."""
        state = nnx.from_flat_state([(path, arrays[name_of(path)]) for path in self.paths])
        model = nnx.merge(self.definition, state)
        logits = model(x)
        after = nnx.to_flat_state(nnx.state(model, nnx.BatchStat))
        return logits, {name_of(path): variable[...] for path, variable in after}


@lru_cache(maxsize=16)
def logits_of(network: Network) -> Callable[[Arrays, Array], Array]:
    """Compile: logits from weights and statistics, and images."""
    return jax.jit(lambda arrays, x: network(arrays, x)[0])


@dataclass(frozen=True)
class Training:
    """What decides a step of training.

    Attributes:
        network: in training mode.
        optimiser: with its settings.
        smoothing: share of the target spread over all classes.
    """

    network: Network
    optimiser: Optimiser
    smoothing: float

    def step(
        self, state: State, x: Array, labels: Array, partner: Array | None, s: dict[str, Any]
    ) -> tuple[State, Array]:
        """Give the state after a step and the loss before it.

        ``labels`` [n]; ``partner``: for each image, the one of the batch mixed in; ``s``: the
        step's numbers.
        """

        def loss_of(weights: Arrays) -> tuple[Array, Arrays]:
            logits, statistics = self.network(weights | state["statistics"], x)
            logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
            loss = self.loss(logits, labels)
            if partner is not None:
                share = s["share"]
                loss = share * loss + (1 - share) * self.loss(logits, labels[partner])
            return loss, statistics

        (loss, statistics), gradients = jax.value_and_grad(loss_of, has_aux=True)(state["weights"])
        buffers = {kind: state[kind] for kind in self.optimiser.buffers}
        weights, buffers = self.optimiser.updated(state["weights"], gradients, buffers, s)
        after = {"weights": weights, "statistics": statistics, **buffers}
        if "average" in state:
            new, old = weights | statistics, state["average"]
            after["average"] = {n: old[n] + s["nearer"] * (new[n] - old[n]) for n in old}
        return after, loss

    def loss(self, logits: Array, labels: Array) -> Array:
        """Cross-entropy with smoothed targets, mean over the batch."""
        logs = jax.nn.log_softmax(logits)
        own = jnp.take_along_axis(logs, labels[:, None], axis=1).mean()
        return -(1 - self.smoothing) * own - self.smoothing * logs.mean()


@lru_cache(maxsize=16)
def step_of(training: Training) -> Callable[..., tuple[State, Array]]:
    """Compile a step; the state given is used up."""
    return jax.jit(training.step, donate_argnums=0)
