"""Reading a network, with notes on what had to be assumed, or its architecture alone."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from resnets.convert.fitting import Input, draw_head, number_classes, with_channels
from resnets.convert.found import Found
from resnets.convert.sources import assume_preprocessing, read_our_config, read_source
from resnets.errors import WeightsError
from resnets.networks.architecture import Architecture
from resnets.networks.folder import Config, check_config
from resnets.networks.geometry import default_image_size
from resnets.networks.named import find_architecture
from resnets.networks.naming import naming_scheme
from resnets.networks.network import Network, Weights, check_weights
from resnets.networks.tracing import tensors


@dataclass(frozen=True)
class Received:
    """A network, what kind of source it came from, and what had to be assumed."""

    network: Network
    kind: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """An architecture, the size of images it is made for, and what had to be assumed."""

    architecture: Architecture
    size: int
    notes: tuple[str, ...]


def read(source: str | Path, *, network: Architecture | str | None = None) -> Network:
    """Read a network from a folder, a file or a repository of the hub, as ``receive`` does."""
    return receive(source, network=network).network


@dataclass(frozen=True)
class WeightsSource:
    """An opened source of weights.

    Its architecture is known. Arrays of safetensors and PyTorch files stay in the file until
    they are used.

    Attributes:
        name: as the user wrote it.
        found: what the reader found.
        architecture: what it computes, with the classes and channels of the weights.
        notes: what had to be assumed, a sentence each.
    """

    name: str
    found: Found
    architecture: Architecture
    notes: tuple[str, ...]

    @property
    def size(self) -> int:
        """Height and width, in pixels, of the images that it is made for."""
        preprocessing = self.found.preprocessing
        return (
            default_image_size(self.architecture) if preprocessing is None else preprocessing.size
        )

    def fit(
        self,
        *,
        classes: int | None = None,
        new_head: bool = False,
        channels: int | None = None,
        adapt: Input | None = None,
        seed: int = 0,
    ) -> Received:
        """Make a network of it, perhaps with other classes or channels.

        Args:
            classes, new_head: another number of classes needs a new dense layer, drawn by
                ``seed``.
            channels, adapt: another number of input channels, and what becomes of the first
                kernel: ``sum`` (to 1) or ``repeat``.
            seed: of the new dense layer.

        Raises:
            WeightsError: if the weights do not fit, with names and both shapes.
        """
        a, notes = self.architecture, list(self.notes)
        weights, widened = _convert_to_float32(self.found.weights)
        if new_head:
            a = replace(a, classes=a.classes if classes is None else classes)
            weights = {**weights, **draw_head(a, seed)}
            notes.append(f"a new dense layer for {a.classes} classes, not trained")
        elif classes not in (None, a.classes):
            raise WeightsError(
                f"{self.name} has {a.classes} classes, not {classes}; --reset-head draws a new "
                f"dense layer for {classes}"
            )
        _check_fit(a, weights)
        whole = _complete(self.found, a, weights=weights, notes=notes)
        if channels not in (None, a.channels):
            if adapt is None:
                raise WeightsError(
                    f"{self.name} takes {a.channels} channels, not {channels}; choose what "
                    "becomes of its first kernel: --input sum (to 1 channel) or --input repeat"
                )
            whole = with_channels(whole, channels, how=adapt)
            notes.append(f"the first kernel was fitted to {channels} channels ({adapt})")
        check_config(Config.from_network(whole), Path(self.name))
        return Received(whole, self.found.kind, (*notes, *widened))


def open_source(
    source: str | Path, *, network: Architecture | str | None = None, averaged: bool = False
) -> WeightsSource:
    """Open a source of weights and find out what network it is.

    Args:
        source: a folder that resnets, timm or transformers wrote; a .safetensors, PyTorch, Keras
            or Gluon file; ``owner/name`` on the Hugging Face hub.
        network: the architecture, its name or its JSON file, in place of what the source says.
        averaged: take the running average of the weights, of files that hold both.

    Raises:
        WeightsError: if the source cannot be read or does not fit, with names and both shapes.
        InvalidDescription, UnknownName, RunError: if ``network`` is none.
        MissingDependency: if the format's library is not installed.
    """
    found = read_source(str(source), stated=network is not None, averaged=averaged)
    architecture, notes = _choose_architecture(found, network)
    return WeightsSource(str(source), found, architecture, tuple(notes))


def receive(
    source: str | Path,
    *,
    network: Architecture | str | None = None,
    classes: int | None = None,
    new_head: bool = False,
    channels: int | None = None,
    adapt: Input | None = None,
    averaged: bool = False,
    seed: int = 0,
) -> Received:
    """Open a source and make a network of it; see ``open_source`` and ``WeightsSource.fit``."""
    opened = open_source(source, network=network, averaged=averaged)
    return opened.fit(classes=classes, new_head=new_head, channels=channels, adapt=adapt, seed=seed)


def describe(source: str | Path, *, network: Architecture | str | None = None) -> Description:
    """Return a source's architecture; of safetensors files the header alone is read.

    Raises:
        As ``receive``.
    """
    ours = read_our_config(Path(source)) if network is None else None
    if ours is not None:
        return Description(ours.architecture, ours.preprocessing.size, ())
    found = read_source(str(source), stated=network is not None)
    a, notes = _choose_architecture(found, network)
    size = default_image_size(a) if found.preprocessing is None else found.preprocessing.size
    return Description(a, size, tuple(notes))


def _choose_architecture(
    found: Found, network: Architecture | str | None
) -> tuple[Architecture, list[str]]:
    if network is None:
        if found.architecture is None:
            raise WeightsError(f"this {found.kind} tells no architecture; --network NAME|FILE does")
        return found.architecture, list(found.notes)
    if isinstance(network, str):
        network = find_architecture(network)
    # Classes and input channels are the weights': to change them is another choice.
    dense = found.weights.get(f"{naming_scheme(network).dense}.weight")
    first = found.weights.get(tensors(network)[0].name)
    fitted = replace(
        network,
        classes=network.classes if dense is None else dense.shape[0],
        channels=network.channels if first is None or first.ndim < 2 else first.shape[1],
    )
    return fitted, list(found.notes)


def _check_fit(a: Architecture, weights: Weights) -> None:
    """Compare weights with the architecture; where only the last layer differs, say what helps."""
    try:
        check_weights(a, weights)
    except WeightsError as error:
        dense = naming_scheme(a).dense
        needed = {t.name: t.shape for t in tensors(a) if not t.name.startswith(f"{dense}.")}
        others = {n: w.shape for n, w in weights.items() if not n.startswith(f"{dense}.")}
        if needed != others:
            raise
        hint = f"--reset-head draws a new dense layer for {a.classes} classes"
        raise WeightsError(f"{error}\n  {hint}") from error


def _convert_to_float32(weights: Weights) -> tuple[Weights, tuple[str, ...]]:
    """Return all arrays as float32, and a note where they were not."""
    others = sorted({str(array.dtype) for array in weights.values()} - {"float32"})
    if not others:
        return weights, ()
    with np.errstate(over="ignore"):  # beyond float32's range is infinite, as in every framework
        fitted = {name: array.astype(np.float32, copy=False) for name, array in weights.items()}
    return fitted, (f"converted from {', '.join(others)} to float32",)


def _complete(found: Found, a: Architecture, *, weights: Weights, notes: list[str]) -> Network:
    preprocessing = found.preprocessing
    if preprocessing is None:
        preprocessing, note = assume_preprocessing(a, default_image_size(a))
        notes.append(note)
    names = found.class_names
    if names is None or len(names) != a.classes:
        names = number_classes(a.classes)
        notes.append("no names of classes: they are numbered from 0")
    return Network(a, weights, preprocessing, names)
