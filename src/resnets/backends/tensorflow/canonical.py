"""Between a Keras model's variables and canonical arrays: names and layouts.

Keras has kernels [height, width, in / groups, out] and dense matrices [in, out].
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from resnets.networks.layers import Tensor
from resnets.networks.tracing import tensors

ATTRIBUTES = {
    "kernel": "kernel",
    "dense": "kernel",
    "bias": "bias",
    "gate_bias": "bias",
    "scale": "gamma",
    "shift": "beta",
    "mean": "moving_mean",
    "variance": "moving_variance",
}


def variables(model: Any) -> dict[Tensor, keras.Variable]:
    """Return the model's variables by the tensors of its architecture, in canonical order."""
    found = {}
    for tensor in tensors(model.architecture):
        layer = model.get_layer(tensor.name.rpartition(".")[0])
        found[tensor] = getattr(layer, ATTRIBUTES[tensor.role])
    return found


def canonical(tensor: Tensor, value: Any) -> npt.NDArray[Any]:
    """Copy what Keras has for ``tensor`` into its canonical layout."""
    array = value.numpy()
    if tensor.role == "kernel":
        array = array.transpose(3, 2, 0, 1)
    elif tensor.role == "dense":
        array = array.T.reshape(tensor.shape)
    return np.ascontiguousarray(array)


def native(tensor: Tensor, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a canonical array the layout that Keras has."""
    if tensor.role == "kernel":
        return array.transpose(2, 3, 1, 0)
    if tensor.role == "dense":
        return array.reshape(len(array), -1).T
    return array
