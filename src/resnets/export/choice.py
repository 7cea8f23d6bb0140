"""Which engine: all that are here measured, the fastest chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from resnets.backends import Evaluator
from resnets.data.images import Images, Pixels
from resnets.errors import MissingDependency, RunError
from resnets.export.engines import ENGINES, Engine, Prepared, engine
from resnets.export.measurement import BATCH, ROUNDS, Measured, Table, candidates, measure
from resnets.export.quantisation import int8_bytes
from resnets.networks.network import Network

CALIBRATION = 256
"""Training images that int8 is calibrated on."""

HELD_OUT = 1000
"""Held-out images that errors and accuracies are of."""


@dataclass(frozen=True)
class Choice:
    """The engine chosen, what was measured of all, and the network prepared for them."""

    chosen: Measured
    table: Table
    prepared: Prepared

    @property
    def evaluator(self) -> Evaluator:
        """Open the chosen engine: from stored images to logits."""
        return engine(self.chosen.engine).opened(self.prepared)


def fastest(
    network: Network,
    *,
    training: Images | None = None,
    held_out: Images | None = None,
    engines: Sequence[str] = (),
    images: int = HELD_OUT,
    batch: int = BATCH,
    rounds: int = ROUNDS,
    single: bool = False,
    labelled: bool = True,
    announce: Callable[[str], None] = lambda _: None,
) -> Choice:
    """Measure engines on this machine and choose the fastest.

    Of engines that are not named only those are chosen that compute in floats and name the same
    classes as fp32 on 99 of 100 held-out images (``Table.faithful``); int8 is measured and shown,
    and chosen where it is named.

    Args:
        network: with its weights.
        training: images that int8 is calibrated on; without them there is no int8.
        held_out: images that errors and accuracies are of; without them noise.
        engines: names to choose among; none: all that are installed and open within seconds.
        images: the most held-out images to use, spread over all.
        batch, rounds: images at a time and turns of each engine.
        single: choose by the latency of one image, not by images a second.
        labelled: whether the images' classes are the network's; otherwise there is no accuracy.
        announce: is told what is going on.

    Raises:
        UnknownName: if an engine is none; MissingDependency, RunError: if none can be used.
    """
    among = require(engines, images=images, batch=batch, rounds=rounds)
    prepared = Prepared(network, int8=_int8(network, training, among, announce))
    measured = (*_yardstick(among), *among)
    shown = None if held_out is None else held_out[_spread(len(held_out), images)]
    table = measure(
        prepared,
        measured,
        shown,
        batch=batch,
        rounds=rounds,
        labelled=labelled,
        announce=announce,
    )
    return Choice(table.fastest(engines or table.faithful, single=single), table, prepared)


def require(
    engines: Sequence[str], *, images: int = HELD_OUT, batch: int = BATCH, rounds: int = ROUNDS
) -> tuple[Engine, ...]:
    """Give the engines that ``fastest`` measures; refuse what it would, before anything is read.

    Raises:
        As ``fastest``.
    """
    if images < 1 or batch < 1 or rounds < 1:
        raise RunError(f"images: {images}, batch: {batch}, rounds: {rounds}; each is at least 1")
    asked = tuple(engine(name) for name in engines)
    for found in asked:
        found.require()
    among = asked or candidates()
    if not among:
        raise MissingDependency(
            'no engine is installed: pip install "resnets[openvino]" or "resnets[onnx]"'
        )
    return among


def calibration_of(training: Images) -> Pixels:
    """Give the training images that int8 is calibrated on, spread over all."""
    return training[_spread(len(training), CALIBRATION)].pixels


def _yardstick(among: Sequence[Engine]) -> tuple[Engine, ...]:
    """Give the engine that the others are compared with, where it is not among them."""
    first = next(found for found in ENGINES if found.installed or found in among)
    return () if first in among else (first,)


def _int8(
    network: Network,
    training: Images | None,
    among: Sequence[Engine],
    announce: Callable[[str], None],
) -> bytes | None:
    if training is None or not any(found.precision == "int8" for found in among):
        return None
    announce("calibrating int8 …")
    try:
        return int8_bytes(network, calibration_of(training))
    except MissingDependency as error:
        announce(f"no int8: {error}")
        return None


def _spread(count: int, most: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Give the numbers of at most ``most`` images, spread evenly over ``count``."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
