"""Batch norms folded into the convolutions before them: fewer passes over memory, one function.

After training a batch norm is a scale and a shift of each channel, and a convolution that only
the norm reads can carry both in its kernel and bias (Jacob et al. 2018, arXiv:1712.05877, section
3.2). The arithmetic here is float64, rounded once: what differs is the rounding, no more. A norm
that stands elsewhere, as in front of the blocks of pre-activation networks, stays.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.networks.architecture import Architecture
from resnets.networks.layers import Layer, Tensor, Trace
from resnets.networks.network import Weights
from resnets.networks.tracing import trace


@dataclass(frozen=True)
class Program:
    """Layers in the order of computation, and the weights that they name."""

    layers: tuple[Layer, ...]
    weights: Weights


def foldable_norms(steps: Trace) -> dict[str, str]:
    """Give the batch norms that fold, each with its convolution, by the layers' names."""
    readers = Counter(name for layer in steps.layers for name in layer.inputs)
    return {
        layer.name: before.name
        for layer in steps.layers
        if layer.operation == "norm"
        for before in [steps.by_name[layer.inputs[0]]]
        if before.operation == "convolution" and readers[before.name] == 1
    }


def redundant_biases(architecture: Architecture) -> tuple[str, ...]:
    """Return the names of biases without effect in training: those before a batch norm.

    The norm subtracts each channel's mean, so their gradient is zero. Computed, it is rounding
    noise, which AdamW would turn into steps of the full learning rate.
    """
    if architecture.norm.kind != "batch":
        return ()
    steps = trace(architecture, 32)
    biases = {tensor.name for layer in steps.layers for tensor in layer.tensors}
    names = (f"{convolution}.bias" for convolution in foldable_norms(steps).values())
    return tuple(name for name in names if name in biases)


def fold_batch_norms(steps: Trace, weights: Mapping[str, npt.NDArray[Any]]) -> Program:
    """Give the program without the norms that fold; its weights keep their precision."""
    pairs = foldable_norms(steps)
    norms = {convolution: steps.by_name[norm] for norm, convolution in pairs.items()}
    layers: list[Layer] = []
    kept: Weights = {}
    for layer in steps.layers:
        if layer.name in pairs:
            continue
        inputs = tuple(pairs.get(name, name) for name in layer.inputs)
        own = {tensor.name: weights[tensor.name] for tensor in layer.tensors}
        if layer.name in norms:
            kernel, bias = _merge(layer, norms[layer.name], weights=weights, steps=steps)
            names = (layer.tensors[0].name, f"{layer.name}.bias")
            own = dict(zip(names, (kernel, bias), strict=True))
            tensors = (layer.tensors[0], Tensor(names[1], bias.shape, "bias"))
            layer = replace(layer, tensors=tensors)
        layers.append(replace(layer, inputs=inputs))
        kept.update(own)
    return Program(tuple(layers), kept)


def to_program(steps: Trace, weights: Mapping[str, npt.NDArray[Any]]) -> Program:
    """Give the program as it is, every norm a layer of its own."""
    return Program(steps.layers, dict(weights))


def _merge(
    convolution: Layer, norm: Layer, *, weights: Mapping[str, npt.NDArray[Any]], steps: Trace
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Give the kernel and the bias that do the work of both layers."""
    kernel, *biases = (weights[t.name].astype(np.float64) for t in convolution.tensors)
    scale, shift, mean, variance = (weights[t.name].astype(np.float64) for t in norm.tensors)
    factor = scale / np.sqrt(variance + steps.architecture.norm.epsilon)
    bias = (sum(biases, np.zeros_like(mean)) - mean) * factor + shift
    kind = weights[convolution.tensors[0].name].dtype
    return (kernel * factor[:, None, None, None]).astype(kind), bias.astype(kind)
