"""Measure the engines that are installed and select the fastest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from resnets.backends import Evaluator
from resnets.data.images import Images, Pixels
from resnets.errors import MissingDependency, RunError
from resnets.export.engines import ENGINES, Engine, Prepared, find_engine
from resnets.export.measurement import BATCH, ROUNDS, Measured, Table, list_candidates, measure
from resnets.export.quantisation import build_int8_onnx
from resnets.networks.network import Network

CALIBRATION = 256
"""Training images that int8 is calibrated on."""

HELD_OUT = 1000
"""Held-out images that errors and accuracies are of."""


@dataclass(frozen=True)
class Selection:
    """The engine selected, the measurements of all, and the network prepared for them."""

    chosen: Measured
    table: Table
    prepared: Prepared

    @property
    def evaluator(self) -> Evaluator:
        """The function from stored images to logits, computed by the selected engine."""
        return find_engine(self.chosen.engine).open(self.prepared)


def select_fastest(
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
) -> Selection:
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
    among = require_engines(engines, images=images, batch=batch, rounds=rounds)
    prepared = Prepared(network, int8=_build_int8(network, training, among, announce))
    measured = (*_find_yardstick(among), *among)
    shown = None if held_out is None else held_out[_spread_rows(len(held_out), images)]
    table = measure(
        prepared,
        measured,
        images=shown,
        batch=batch,
        rounds=rounds,
        labelled=labelled,
        announce=announce,
    )
    return Selection(table.find_fastest(engines or table.faithful, single=single), table, prepared)


def require_engines(
    engines: Sequence[str], *, images: int = HELD_OUT, batch: int = BATCH, rounds: int = ROUNDS
) -> tuple[Engine, ...]:
    """Return the engines that ``select_fastest`` measures, before anything is read.

    Raises:
        As ``select_fastest``.
    """
    if images < 1 or batch < 1 or rounds < 1:
        raise RunError(f"images: {images}, batch: {batch}, rounds: {rounds}; each is at least 1")
    asked = tuple(find_engine(name) for name in engines)
    for found in asked:
        found.require()
    among = asked or list_candidates()
    if not among:
        raise MissingDependency(
            'no engine is installed: pip install "resnets[openvino]" or "resnets[onnx]"'
        )
    return among


def pick_calibration(training: Images) -> Pixels:
    """Return the training images that int8 is calibrated on, spread evenly over all."""
    return training[_spread_rows(len(training), CALIBRATION)].pixels


def _find_yardstick(among: Sequence[Engine]) -> tuple[Engine, ...]:
    """Return the engine that the others are compared with, if it is not among them."""
    first = next(found for found in ENGINES if found.installed or found in among)
    return () if first in among else (first,)


def _build_int8(
    network: Network,
    training: Images | None,
    among: Sequence[Engine],
    announce: Callable[[str], None],
) -> bytes | None:
    if training is None or not any(found.precision == "int8" for found in among):
        return None
    announce("calibrating int8 …")
    try:
        return build_int8_onnx(network, pick_calibration(training))
    except MissingDependency as error:
        announce(f"no int8: {error}")
        return None


def _spread_rows(count: int, most: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return the rows of at most ``most`` images, spread evenly over ``count``."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))
