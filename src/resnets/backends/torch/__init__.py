"""The PyTorch backend: the functions of ``Backend`` for plain ``torch.nn.Module`` networks.

To save memory, activations and a block's sum are computed in place: they overwrite what a norm, or
the last layer of a branch, gave. A forward hook on a layer inside a block ``clone``s what it keeps,
and torch refuses full backward hooks on norms, activations and the last layer of a branch. Hooks on
blocks, stages and the head need no such care.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from resnets.backends.state import check_features
from resnets.backends.torch.devices import available_devices, precision
from resnets.backends.torch.models import FAMILIES, Model
from resnets.backends.torch.regnet import RegNet
from resnets.backends.torch.resnet import ResNet
from resnets.backends.torch.resnetv2 import ResNetV2
from resnets.backends.torch.session import TorchSession, evaluator
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
    if weights is None:
        weights = initial_weights(architecture, seed=seed)
    with torch.device("meta"):  # torch's own initialisation would be drawn only to be replaced
        model = FAMILIES[naming_scheme(architecture)](architecture)
    model.to_empty(device="cpu")
    for name, buffer in model.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.zero_()
    load(model, weights)
    return model


def dump(model: Model) -> Weights:
    """Copy the canonical weights out of ``model`` in canonical order.

    They are in the model's own precision; bf16, which NumPy knows not, is given as fp32.
    """
    state = model.state_dict()
    return {
        tensor.name: _widen(state[tensor.name]).detach().cpu().contiguous().numpy().copy()
        for tensor in tensors(model.architecture)
    }


def load(model: Model, weights: Mapping[str, npt.NDArray[Any]]) -> None:
    """Copy canonical weights into ``model``.

    Raises:
        WeightsError: listing the missing, unknown and misshapen tensors.
    """
    check_weights(model.architecture, weights)
    state = model.state_dict()
    with torch.no_grad():
        for name, array in weights.items():
            state[name].copy_(torch.from_numpy(np.ascontiguousarray(array)))


def features(
    model: Model,
    images: npt.NDArray[Any],
    *,
    wanted: Sequence[str] = ("logits",),
    training: bool = False,
) -> dict[str, npt.NDArray[Any]]:
    """Return intermediate results for prepared images, as ``Backend.features`` defines."""
    parameter = next(model.parameters())
    x = torch.from_numpy(np.ascontiguousarray(images)).to(parameter)
    with torch.inference_mode(), _set_mode(model, training=training):
        found = model.features(x)
    check_features(wanted, found)
    return {name: _widen(found[name]).cpu().numpy() for name in wanted}


@contextmanager
def _set_mode(model: Model, *, training: bool) -> Generator[None]:
    """Put the model into a mode in which no running statistics change; restore it at the end."""
    modes = [(module, module.training) for module in model.modules()]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    tracked = [norm.track_running_stats for norm in norms]
    model.train(training)
    for norm in norms:
        norm.track_running_stats = not training
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for norm, tracks in zip(norms, tracked, strict=True):
            norm.track_running_stats = tracks


def _widen(value: torch.Tensor) -> torch.Tensor:
    """NumPy knows no bf16: give fp32 instead."""
    return value.float() if value.dtype == torch.bfloat16 else value


session = TorchSession
