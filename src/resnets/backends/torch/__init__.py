"""The PyTorch backend: five functions around a plain ``torch.nn.Module``.

To save memory, activations and a block's sum are computed in place: they overwrite what a norm, or
the last layer of a branch, gave. A forward hook on a layer inside a block ``clone``s what it keeps,
and torch refuses full backward hooks on norms, activations and the last layer of a branch. Hooks on
blocks, stages and the head need no such care.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from resnets.backends.torch.devices import available_devices, precision
from resnets.backends.torch.regnet import RegNet
from resnets.backends.torch.resnet import ResNet
from resnets.backends.torch.resnetv2 import ResNetV2
from resnets.backends.torch.training_session import TorchSession, evaluator
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import initial_weights
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


Model = ResNet | ResNetV2 | RegNet


def build(architecture: Architecture, *, weights: Weights | None = None, seed: int = 0) -> Model:
    """Make the network with the given canonical weights, or with initial ones drawn by ``seed``.

    Raises:
        WeightsError: if the weights do not fit.
    """
    if weights is None:
        weights = initial_weights(architecture, seed=seed)
    with torch.device("meta"):  # torch's own initialisation would be drawn only to be replaced
        model = _family(architecture)(architecture)
    model.to_empty(device="cpu")
    for name, buffer in model.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.zero_()
    load(model, weights)
    return model


def _family(a: Architecture) -> type[Model]:
    if a.preactivation:
        return ResNetV2
    return RegNet if a.naming == "regnet" else ResNet


def dump(model: Model) -> Weights:
    """Copy the canonical weights out of ``model`` in canonical order.

    They are in the model's own precision; bf16, which NumPy knows not, is given as fp32.
    """
    state = model.state_dict()
    return {
        tensor.name: _widened(state[tensor.name]).detach().cpu().contiguous().numpy().copy()
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
    model: Model, images: npt.NDArray[Any], wanted: Sequence[str] = ("logits",)
) -> dict[str, npt.NDArray[Any]]:
    """Compute intermediate results for prepared images [n, channels, height, width].

    ``wanted`` names them: stem, stage1, stage2 and so on, pooled, logits. The model is used in
    the mode it is in.
    """
    parameter = next(model.parameters())
    x = torch.from_numpy(np.ascontiguousarray(images)).to(parameter)
    with torch.inference_mode():
        found = model.features(x)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise KeyError(f"no feature is called {', '.join(unknown)}; there are {', '.join(found)}")
    return {name: _widened(found[name]).cpu().numpy() for name in wanted}


def _widened(value: torch.Tensor) -> torch.Tensor:
    """NumPy knows no bf16: give fp32 instead."""
    return value.float() if value.dtype == torch.bfloat16 else value


session = TorchSession
