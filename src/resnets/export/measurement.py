"""Engines side by side on this machine: speed, error of the logits, cost in accuracy.

All engines take a turn in every round, one after the other, so that a slow minute of the machine
slows all of them; ratios are taken round by round.
"""

import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.backends import Evaluator
from resnets.data.images import Images, Pixels
from resnets.errors import MissingDependency, RunError
from resnets.export.engines import ENGINES, Engine, Prepared

BATCH = 128
ROUNDS = 5
SINGLE = 10
"""Single images in a turn."""

LEAST_AGREEMENT = 0.99
"""Share of the images on which an engine that ``auto`` chooses names the same class as fp32."""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One engine's figures; None where an engine gave none, ``error`` says why.

    Attributes:
        engine, precision: as in ``Engine``.
        rate: images a second at the batch, median of the rounds.
        speedup: rate over the first engine's, median of the rounds' ratios.
        latency: seconds for one image alone, median.
        quickening: the first engine's latency over this one's, median of the rounds' ratios.
        largest, mean: difference of the logits from the first engine's, relative to the largest
            logit.
        agreement: share of the images whose likeliest class is the first engine's.
        accuracy: share of held-out images named right; None without labels.
        opening: seconds until the first logits.
        error: why it could not be used.
    """

    engine: str
    precision: str
    rate: float | None = None
    speedup: float | None = None
    latency: float | None = None
    quickening: float | None = None
    largest: float | None = None
    mean: float | None = None
    agreement: float | None = None
    accuracy: float | None = None
    opening: float | None = None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Table:
    """What ``measure`` found.

    Attributes:
        rows: one an engine; the first that works is what the others are compared with.
        batch, rounds: how speed was measured.
        images: how many the errors are of; held out of training, or noise.
        real: whether they were images, not noise.
    """

    rows: tuple[Measured, ...]
    batch: int
    rounds: int
    images: int
    real: bool

    def to_json(self) -> dict[str, Any]:
        """Return all figures as JSON values."""
        return {
            "batch": self.batch,
            "rounds": self.rounds,
            "images": self.images,
            "real": self.real,
            "engines": [row.to_json() for row in self.rows],
        }

    def find_fastest(self, among: Collection[str], *, single: bool = False) -> Measured:
        """Return the fastest row of the engines named in ``among``.

        Args:
            among: names of engines.
            single: by the latency of one image, not by images a second.

        Raises:
            RunError: where none of them can be used; says why.
        """
        able = [row for row in self.rows if row.engine in among and row.error is None]
        if not able:
            reasons = [f"{row.engine}: {row.error}" for row in self.rows if row.engine in among]
            raise RunError("no engine can be used: " + "; ".join(reasons))
        if single:
            return min(able, key=lambda row: row.latency or float("inf"))
        return max(able, key=lambda row: row.rate or 0)

    @property
    def faithful(self) -> tuple[str, ...]:
        """Names of the engines that compute in floats and name the classes that fp32 names.

        That is on 99 of 100 images; noise cannot judge it.
        """
        return tuple(
            row.engine
            for row in self.rows
            if row.precision != "int8"
            and (not self.real or row.agreement is None or row.agreement >= LEAST_AGREEMENT)
        )


def list_candidates() -> tuple[Engine, ...]:
    """Return the engines that ``auto`` measures: those installed that open within seconds."""
    return tuple(found for found in ENGINES if found.installed and not found.patient)


def measure(
    prepared: Prepared,
    engines: Sequence[Engine],
    *,
    images: Images | None = None,
    batch: int = BATCH,
    rounds: int = ROUNDS,
    labelled: bool = True,
    announce: Say = lambda _: None,
) -> Table:
    """Open each engine, compare its logits with the first one's, and time them all.

    Args:
        prepared: the network; without an int8 model int8 engines give an error.
        engines: the first that opens is the yardstick.
        images: held out of training; None: noise.
        batch: images at a time.
        rounds: turns of each engine.
        labelled: whether the images' labels are the network's classes.
        announce: is told what is going on.
    """
    seen = _make_noise(prepared, batch) if images is None else images.pixels
    opened: dict[str, Evaluator] = {}
    rows: dict[str, Measured] = {}
    yardstick: npt.NDArray[np.float32] | None = None
    for found in engines:
        announce(f"{found.name} …")
        start = time.perf_counter()
        try:
            evaluator = found.open(prepared)
            logits = evaluator(seen[:batch])
            opening = time.perf_counter() - start
            rest = [evaluator(seen[at : at + batch]) for at in range(batch, len(seen), batch)]
        except (MissingDependency, RunError) as error:
            rows[found.name] = _describe_failure(found, str(error))
            continue
        logits = np.concatenate([logits, *rest])
        yardstick = logits if yardstick is None else yardstick
        if not np.isfinite(logits).all():
            rows[found.name] = _describe_failure(found, "gives logits that are not finite")
            continue
        opened[found.name] = evaluator
        labels = images.labels if images is not None and labelled else None
        rows[found.name] = Measured(
            engine=found.name,
            precision=found.precision,
            opening=opening,
            **_compare(logits, yardstick, labels=labels),
        )
    speeds = _time_engines(opened, seen, batch=batch, rounds=rounds, announce=announce)
    done = tuple(replace(row, **speeds.get(name, {})) for name, row in rows.items())
    return Table(rows=done, batch=batch, rounds=rounds, images=len(seen), real=images is not None)


def _time_engines(
    opened: Mapping[str, Evaluator], seen: Pixels, *, batch: int, rounds: int, announce: Say
) -> dict[str, dict[str, Any]]:
    """Return rates, latencies and their ratios to the first engine's, measured in turns."""
    many, one = np.resize(seen, (batch, *seen.shape[1:])), seen[:1]
    whole: dict[str, list[float]] = {name: [] for name in opened}
    single: dict[str, list[float]] = {name: [] for name in opened}
    for evaluator in opened.values():
        evaluator(one)  # some prepare themselves for every new shape
    for turn in range(rounds):
        announce(f"round {turn + 1} of {rounds} …")
        for name, evaluator in opened.items():
            whole[name].append(_measure_seconds(evaluator, many))
            single[name].append(
                statistics.median(_measure_seconds(evaluator, one) for _ in range(SINGLE))
            )
    first = next(iter(opened), "")
    return {
        name: {
            "rate": batch / statistics.median(whole[name]),
            "speedup": _find_ratio(whole[first], whole[name]),
            "latency": statistics.median(single[name]),
            "quickening": _find_ratio(single[first], single[name]),
        }
        for name in opened
    }


def _compare(
    logits: npt.NDArray[np.float32],
    yardstick: npt.NDArray[np.float32],
    *,
    labels: npt.NDArray[np.int64] | None,
) -> dict[str, Any]:
    size = float(np.abs(yardstick).max()) or 1.0
    apart = np.abs(logits.astype(np.float64) - yardstick)
    named = logits.argmax(axis=1)
    return {
        "largest": float(apart.max()) / size,
        "mean": float(apart.mean()) / size,
        "agreement": float((named == yardstick.argmax(axis=1)).mean()),
        "accuracy": None if labels is None else float((named == labels).mean()),
    }


def _measure_seconds(evaluator: Evaluator, pixels: Pixels) -> float:
    start = time.perf_counter()
    evaluator(pixels)
    return time.perf_counter() - start


def _find_ratio(first: Sequence[float], own: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(first, own, strict=True))


def _describe_failure(found: Engine, error: str) -> Measured:
    return Measured(engine=found.name, precision=found.precision, error=error)


def _make_noise(prepared: Prepared, count: int) -> Pixels:
    size, channels = prepared.network.preprocessing.size, prepared.network.architecture.channels
    shape = (count, size, size, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
