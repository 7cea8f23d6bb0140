"""The TensorFlow backend: five functions around a functional ``keras.Model``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.backends.tensorflow.quiet import greetings_dropped
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Weights, check_weights

with greetings_dropped():
    import keras
    import tensorflow as tf

from resnets.backends.tensorflow import devices
from resnets.backends.tensorflow.canonical import canonical, native, variables
from resnets.backends.tensorflow.devices import available_devices, precision
from resnets.backends.tensorflow.resnet import ResNet
from resnets.backends.tensorflow.training_session import TensorFlowSession, evaluator
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
    """Make the network with the given canonical weights, or with initial ones drawn by ``seed``.

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
    model: ResNet, images: npt.NDArray[Any], wanted: Sequence[str] = ("logits",)
) -> dict[str, npt.NDArray[Any]]:
    """Compute intermediate results for prepared images [n, channels, height, width].

    ``wanted`` names them: stem, stage1, stage2 and so on, pooled, logits. Norms use their
    moving statistics.
    """
    layers = trace(model.architecture, 32).features
    unknown = [name for name in wanted if name not in layers]
    if unknown:
        raise KeyError(f"no feature is called {', '.join(unknown)}; there are {', '.join(layers)}")
    outputs = {name: model.get_layer(layers[name]).output for name in wanted}
    found = keras.Model(model.input, outputs)(tf.constant(images.transpose(0, 2, 3, 1)))
    return {name: _channels_first(found[name]) for name in wanted}


def _channels_first(value: Any) -> npt.NDArray[Any]:
    """NumPy knows no bf16: give fp32 instead."""
    array = tf.cast(value, tf.float32 if value.dtype == tf.bfloat16 else value.dtype).numpy()
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if array.ndim == 4 else array


session = TensorFlowSession
