"""What is compiled: the network as a pure function of arrays by name, and one step of training.

``nnx.jit`` walks through the whole module at every call; here the module is split once, and what
is left of it in a call is a dictionary of arrays. Compiled functions are kept by what they
compute, so that sessions of the same network share them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from resnets.backends.jax.canonical import Path, name_of
from resnets.backends.jax.kernels import use_fast_convolutions
from resnets.backends.jax.norm import BatchNorm
from resnets.backends.jax.optimiser import Arrays, Optimiser
from resnets.backends.jax.placement import Placement
from resnets.networks.naming import block_names

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
    def of(
        model: nnx.Module, *, training: bool, dtype: Any = None, on_processor: bool = False
    ) -> "Network":
        """Take the structure of ``model``, which stays as it is.

        ``dtype``: what convolutions and dense layers compute in; None: what their input has.
        ``on_processor``: whether convolutions are taken as is fast there.
        """
        view = nnx.merge(*nnx.split(model))
        view.train() if training else view.eval()
        view.set_attributes(BatchNorm, first_order=True, raise_if_not_found=False)
        if on_processor:
            use_fast_convolutions(view)
        if dtype is not None:
            view.set_attributes(nnx.Conv, nnx.Linear, dtype=dtype, raise_if_not_found=False)
        definition, state = nnx.split(view)
        return Network(definition, tuple(path for path, _ in nnx.to_flat_state(state)))

    def __call__(
        self, arrays: Arrays, x: Array, branches: Array | None = None
    ) -> tuple[Array, Arrays]:
        """Return logits [n, classes] and the statistics after it.

        ``branches``: what the blocks' branches are multiplied by, [blocks, n].
        """
        state = nnx.from_flat_state([(path, arrays[name_of(path)]) for path in self.paths])
        model = nnx.merge(self.definition, state)
        if branches is not None:
            for block, scale in zip(_blocks(model), branches, strict=True):
                block.branch_scale = scale
        logits = model(x)
        after = nnx.to_flat_state(nnx.state(model, nnx.BatchStat))
        return logits, {name_of(path): variable[...] for path, variable in after}


def _blocks(model: Any) -> Iterator[Any]:
    """Yield the residual blocks, in order."""
    for name in chain.from_iterable(block_names(model.architecture)):
        block = model
        for part in name.split("."):
            block = block[int(part)] if part.isdigit() else getattr(block, part)
        yield block


@lru_cache(maxsize=16)
def compile_logits(network: Network) -> Callable[[Arrays, Array], Array]:
    """Compile: logits from weights and statistics, and images."""
    return jax.jit(lambda arrays, x: network(arrays, x)[0])


@dataclass(frozen=True)
class Training:
    """What decides a step of training.

    Attributes:
        network: in training mode.
        optimiser: with its settings.
        smoothing: share of the target spread over all classes.
        redundant: names of biases whose gradient is zero (``networks.folding``).
    """

    network: Network
    optimiser: Optimiser
    smoothing: float
    redundant: tuple[str, ...] = ()

    def step(
        self, state: State, x: Array, labels: Array, partner: Array | None, s: dict[str, Any]
    ) -> tuple[State, tuple[Array, Array]]:
        """Return the state after a step, and the mean loss and each image's before it.

        ``labels`` [n]; ``partner``: for each image, the one of the batch mixed in; ``s``: the
        step's numbers.
        """

        def loss_of(weights: Arrays) -> tuple[Array, tuple[Array, Arrays]]:
            arrays = weights | state["statistics"]
            logits, statistics = self.network(arrays, x, s.get("branches"))
            logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
            losses = self.losses(logits, labels)
            if partner is not None:
                share = s["share"]
                losses = share * losses + (1 - share) * self.losses(logits, labels[partner])
            return losses.mean(), (losses, statistics)

        (loss, (losses, statistics)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            state["weights"]
        )
        gradients |= {name: jnp.zeros_like(gradients[name]) for name in self.redundant}
        buffers = {kind: state[kind] for kind in self.optimiser.settings.buffers}
        with jax.named_scope("optimiser"):  # for who profiles a step
            weights, buffers = self.optimiser.update(
                state["weights"], gradients, buffers=buffers, numbers=s
            )
        after = {"weights": weights, "statistics": statistics, **buffers}
        if "average" in state:
            new, old = weights | statistics, state["average"]
            after["average"] = {n: old[n] + s["nearer"] * (new[n] - old[n]) for n in old}
        return after, (loss, losses)

    def losses(self, logits: Array, labels: Array) -> Array:
        """Each image's cross-entropy with a smoothed target, [n]."""
        logs = jax.nn.log_softmax(logits)
        own = jnp.take_along_axis(logs, labels[:, None], axis=1)[:, 0]
        return -(1 - self.smoothing) * own - self.smoothing * logs.mean(axis=1)


@lru_cache(maxsize=16)
def compile_step(
    training: Training, placement: Placement
) -> Callable[..., tuple[State, tuple[Array, Array]]]:
    """Compile a step; the state given is used up."""
    if len(placement.devices) == 1:
        return jax.jit(training.step, donate_argnums=0)
    return jax.jit(training.step, donate_argnums=0, out_shardings=placement.whole)
