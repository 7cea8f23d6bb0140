"""The MXNet backend: the functions of ``Backend`` for plain ``gluon.HybridBlock`` networks.

Importing this package imports MXNet 1.9.1 beside a current NumPy, as ``importing`` says;
``import mxnet`` works from then on.

Trained by a session, running variances are the unbiased ones of ``architecture.Norm``. Whoever
trains a model with ``gluon.Trainer`` gets MXNet's: the biased variance of the batch, smaller by
the share 1 / n, where n is the images of a batch times the pixels of the map; and its momentum,
which keeps the rate inside the velocity.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from resnets.backends.mxnet.devices import available_devices, precision
from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.models import FAMILIES, Model
from resnets.backends.mxnet.parameters import arrays, assign, parameters
from resnets.backends.mxnet.regnet import RegNet
from resnets.backends.mxnet.resnet import ResNet
from resnets.backends.mxnet.resnetv2 import ResNetV2
from resnets.backends.mxnet.session import MXNetSession, evaluator
from resnets.backends.mxnet.transfer import to_device
from resnets.backends.state import check_features
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import initial_weights
from resnets.networks.naming import naming_scheme
from resnets.networks.network import Weights, check_weights

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

    It is initialised, on the CPU, in fp32.

    Raises:
        WeightsError: if the weights do not fit.
    """
    if weights is None:
        weights = initial_weights(architecture, seed=seed)
    model = FAMILIES[naming_scheme(architecture)](architecture)
    model.initialize(mx.init.Zero())  # MXNet's own would be drawn only to be replaced
    load(model, weights)
    return model


def dump(model: Model) -> Weights:
    """Copy the canonical weights out of ``model``, in its own precision and canonical order."""
    return arrays(model)


def load(model: Model, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Copy canonical weights into ``model``.

    Raises:
        WeightsError: listing the missing, unknown and misshapen tensors.
    """
    check_weights(model.architecture, weights)
    assign(model, weights)


def features(
    model: Model,
    images: npt.NDArray[Any],
    *,
    wanted: Sequence[str] = ("logits",),
    training: bool = False,
) -> dict[str, npt.NDArray[Any]]:
    """Return intermediate results for prepared images, as ``Backend.features`` defines.

    The mode of ``mxnet.autograd`` does not count here, and nothing is recorded.
    """
    parameter = next(iter(parameters(model).values()))
    x = to_device(images, parameter.data().context, parameter.dtype)
    # MXNet updates running statistics in the backward pass alone.
    with mx.autograd.pause(train_mode=training):
        found = model.features(x)
    check_features(wanted, found)
    return {name: found[name].asnumpy() for name in wanted}


session = MXNetSession
