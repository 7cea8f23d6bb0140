"""A network with another number of classes or of input channels: only where it is asked for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import initial_weights
from resnets.networks.naming import naming_scheme
from resnets.networks.network import Network, Preprocessing, Weights
from resnets.networks.spec import Block, Norm, Stage, Stem
from resnets.networks.tracing import tensors

Input = Literal["sum", "repeat"]


def reset_head(
    network: Network, classes: int, *, seed: int = 0, class_names: Sequence[str] | None = None
) -> Network:
    """Return the network with a new dense layer for ``classes``, drawn as initial weights are.

    All other weights are the same arrays. Without names the classes are numbered.
    """
    a = replace(network.architecture, classes=classes)
    names = tuple(class_names) if class_names is not None else number_classes(classes)
    weights = {**network.weights, **draw_head(a, seed)}
    return Network(a, weights, network.preprocessing, names)


def draw_head(a: Architecture, seed: int = 0) -> Weights:
    """Draw the dense layer alone.

    A tensor is drawn from the seed, its own name and its shape, so a network of one narrow block
    with the same last layer has the same draws.
    """
    width = a.stages[-1].width
    narrow = Architecture(
        channels=1,
        classes=a.classes,
        stem=Stem(width=1, kernel=1, stride=1, pool=False),
        stages=(Stage(depth=1, width=width, block=Block(kind="bottleneck", inner=1)),),
        preactivation=a.preactivation,
        naming=a.naming,
        norm=Norm(kind="none"),
    )
    dense = naming_scheme(a).dense
    drawn = initial_weights(narrow, seed=seed)
    return {name: drawn[name] for name in (f"{dense}.weight", f"{dense}.bias")}


def with_channels(network: Network, channels: int, *, how: Input) -> Network:
    """Return the network for images of ``channels``, its first kernel summed or repeated.

    ``sum``: to 1 channel; the kernel's channels are added up, so that a grey image gives what it
    gave when it was repeated as colours. ``repeat``: the kernel's channels are repeated in turn
    and scaled by old / new, so that outputs keep their size. Both as timm's
    ``adapt_input_conv``. Means and deviations of the preprocessing are averaged, or repeated.

    Raises:
        WeightsError: where ``sum`` is asked for more than 1 channel.
    """
    a, p = network.architecture, network.preprocessing
    if channels == a.channels:
        return network
    first = tensors(a)[0].name
    kernel = network.weights[first]
    if how == "sum":
        if channels != 1:
            raise WeightsError(f"--input sum gives 1 channel, not {channels}; use --input repeat")
        fitted = kernel.sum(axis=1, keepdims=True)
        mean, std = (float(np.mean(p.mean)),), (float(np.mean(p.std)),)
    else:
        turn = [i % a.channels for i in range(channels)]
        fitted = kernel[:, turn] * np.asarray(a.channels / channels, kernel.dtype)
        mean, std = (tuple(values[i] for i in turn) for values in (p.mean, p.std))
    return Network(
        replace(a, channels=channels),
        {**network.weights, first: fitted},
        Preprocessing(size=p.size, mean=mean, std=std),
        network.class_names,
    )


def number_classes(classes: int) -> tuple[str, ...]:
    """Name classes by their number, from 0."""
    return tuple(map(str, range(classes)))
