"""The TensorFlow backend: the functions of ``Backend`` for functional ``keras.Model`` networks."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.backends.tensorflow.quiet import drop_greetings
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Weights, check_weights

with drop_greetings():
    import keras
    import tensorflow as tf

from resnets.backends.state import check_features
from resnets.backends.tensorflow import devices
from resnets.backends.tensorflow.canonical import canonical, native, variables
from resnets.backends.tensorflow.devices import available_devices, precision
from resnets.backends.tensorflow.resnet import ResNet
from resnets.backends.tensorflow.session import TensorFlowSession, evaluator
from resnets.networks.tracing import trace

__all__ = [
    "ResNet",
    "available_devices",
    "build",
    "dump",
    "evaluator",
    "features",
    "load",
    "precision",
    "session",
]

devices.require_tensorflow()
devices.limit_threads()


def build(architecture: Architecture, *, weights: Weights | None = None, seed: int = 0) -> ResNet:
    """Return the network with the given canonical weights, or with initial ones drawn by ``seed``.

    Raises:
        WeightsError: if the weights do not fit.
    """
    if weights is None:
        weights = initial_weights(architecture, seed=seed)
    check_weights(architecture, weights)
    model = ResNet(architecture)
    load(model, weights)
    return model


def dump(model: ResNet) -> Weights:
    """Copy the canonical weights out of ``model``, in its own precision and canonical order."""
    found = variables(model)
    return {tensor.name: canonical(tensor, variable) for tensor, variable in found.items()}


def load(model: ResNet, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Copy canonical weights into ``model``.

    Raises:
        WeightsError: listing the missing, unknown and misshapen tensors.
    """
    check_weights(model.architecture, weights)
    for tensor, variable in variables(model).items():
        variable.assign(native(tensor, np.asarray(weights[tensor.name])))


def features(
    model: ResNet,
    images: npt.NDArray[Any],
    *,
    wanted: Sequence[str] = ("logits",),
    training: bool = False,
) -> dict[str, npt.NDArray[Any]]:
    """Return intermediate results for prepared images, as ``Backend.features`` defines.

    As everywhere in Keras, norms that are not trainable use their moving statistics also with
    ``training=True``.
    """
    layers = trace(model.architecture, 32).features
    check_features(wanted, layers)
    outputs = {name: model.get_layer(layers[name]).output for name in wanted}
    x = tf.constant(images.transpose(0, 2, 3, 1))
    with _keep_statistics(model) if training else nullcontext():
        found = keras.Model(model.input, outputs)(x, training=training)
    return {name: _to_channels_first(found[name]) for name in wanted}


@contextmanager
def _keep_statistics(model: ResNet) -> Generator[None]:
    """Restore the model's moving statistics at the end."""
    found = [variable for tensor, variable in variables(model).items() if not tensor.is_parameter]
    values = [variable.numpy() for variable in found]
    try:
        yield
    finally:
        for variable, value in zip(found, values, strict=True):
            variable.assign(value)


def _to_channels_first(value: Any) -> npt.NDArray[Any]:
    """NumPy knows no bf16: give fp32 instead."""
    array = tf.cast(value, tf.float32 if value.dtype == tf.bfloat16 else value.dtype).numpy()
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array


session = TensorFlowSession
