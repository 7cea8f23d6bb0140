"""The JAX backend: the functions of ``Backend`` for plain ``flax.nnx.Module`` networks."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from flax import nnx

from resnets.backends.jax.canonical import from_canonical, to_canonical, variables
from resnets.backends.jax.devices import available_devices, precision
from resnets.backends.jax.models import FAMILIES, Model
from resnets.backends.jax.regnet import RegNet
from resnets.backends.jax.resnet import ResNet
from resnets.backends.jax.resnetv2 import ResNetV2
from resnets.backends.jax.session import JaxSession, evaluator
from resnets.backends.malloc import keep_pages
from resnets.backends.state import check_features
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import initial_weights
from resnets.networks.naming import naming_scheme
from resnets.networks.network import Weights, check_weights
from resnets.networks.tracing import tensors

__all__ = [
    "RegNet",
    "ResNet",
    "ResNetV2",
    "available_devices",
    "build",
    "dump",
    "evaluator",
    "features",
    "load",
    "precision",
    "session",
]


def build(architecture: Architecture, *, weights: Weights | None = None, seed: int = 0) -> Model:
    """Return the network with the given canonical weights, or with initial ones drawn by ``seed``.

    Raises:
        WeightsError: if the weights do not fit.
    """
    keep_pages(one_arena=True)  # before JAX starts its threads
    if weights is None:
        weights = initial_weights(architecture, seed=seed)
    family = FAMILIES[naming_scheme(architecture)]
    # Only shapes: Flax's own initialisation would be drawn only to be replaced.
    model = nnx.eval_shape(lambda: family(architecture, rngs=nnx.Rngs(0)))
    load(model, weights)
    return model


def dump(model: Model) -> Weights:
    """Copy the canonical weights out of ``model``, in its own precision and canonical order."""
    found = variables(model)
    return {
        tensor.name: to_canonical(np.asarray(found[tensor.name][...]), tensor.shape)
        for tensor in tensors(model.architecture)
    }


def load(model: Model, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Copy canonical weights into ``model``, in its own precision.

    Raises:
        WeightsError: listing the missing, unknown and misshapen tensors.
    """
    check_weights(model.architecture, weights)
    for name, variable in variables(model).items():
        like = variable.get_value()
        array = from_canonical(weights[name], len(like.shape))
        variable.set_value(jnp.asarray(array, like.dtype))


def features(
    model: Model,
    images: npt.NDArray[Any],
    *,
    wanted: Sequence[str] = ("logits",),
    training: bool = False,
) -> dict[str, npt.NDArray[Any]]:
    """Return intermediate results for prepared images, as ``Backend.features`` defines."""
    view = nnx.clone(model)  # the mode and the statistics of ``model`` stay as they are
    view.train() if training else view.eval()
    dtype = next(iter(variables(model).values())).get_value().dtype
    with jax.enable_x64(True) if dtype == np.float64 else nullcontext():
        found = _features(view, jnp.asarray(images.transpose(0, 2, 3, 1), dtype))
    check_features(wanted, found)
    return {name: _canonical(found[name]) for name in wanted}


@nnx.jit
def _features(model: Model, x: jax.Array) -> dict[str, jax.Array]:
    return model.features(x)


def _canonical(value: jax.Array) -> npt.NDArray[Any]:
    """NumPy knows no bf16: give fp32 instead."""
    array = np.asarray(value, np.float32 if value.dtype == jnp.bfloat16 else None)
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array


session = JaxSession
