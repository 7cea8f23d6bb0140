"""The MXNet backend: five functions around a plain ``gluon.HybridBlock``.

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
from resnets.backends.mxnet.parameters import Model, arrays, assign, parameters
from resnets.backends.mxnet.regnet import RegNet
from resnets.backends.mxnet.resnet import ResNet
from resnets.backends.mxnet.resnetv2 import ResNetV2
from resnets.backends.mxnet.training_session import MXNetSession, evaluator
from resnets.backends.mxnet.transfer import to_device
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import initial_weights
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
    """Make the network with the given canonical weights, or with initial ones drawn by ``seed``.

    It is initialised, on the CPU, in fp32.

    Raises:
        WeightsError: if the weights do not fit.
    """
    if weights is None:
        weights = initial_weights(architecture, seed=seed)
    model = _family(architecture)(architecture)
    model.initialize(mx.init.Zero())  # MXNet's own would be drawn only to be replaced
    load(model, weights)
    return model


def _family(a: Architecture) -> type[Model]:
    if a.preactivation:
        return ResNetV2
    return RegNet if a.naming == "regnet" else ResNet


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
    model: Model, images: npt.NDArray[Any], wanted: Sequence[str] = ("logits",)
) -> dict[str, npt.NDArray[Any]]:
    """Compute intermediate results for prepared images [n, channels, height, width].

    ``wanted`` names them: stem, stage1, stage2 and so on, pooled, logits. The mode is that of
    ``mxnet.autograd``: evaluation, but within its ``train_mode`` or ``record``.
    """
    parameter = next(iter(parameters(model).values()))
    x = to_device(images, parameter.data().context, parameter.dtype)
    found = model.features(x)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise KeyError(f"no feature is called {', '.join(unknown)}; there are {', '.join(found)}")
    return {name: found[name].asnumpy() for name in wanted}


session = MXNetSession
