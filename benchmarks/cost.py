"""Time and memory of training against batch, pixels, depth, width and number of images.

A ResNet-18 of the chapter at 64×64, batch 64, of which one thing at a time is changed; each point
is a process of its own, all points take a turn in every round. A line is fitted through each row:
time and memory must be linear in the images of a batch, in pixels, in blocks, in the multiply-adds
of a wider network, and in the number of images of an epoch.

    python benchmarks/cost.py [--rounds 5] [--axes batch pixels …]
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from cost_figure import draw
from resnets.bench import machine
from resnets.bench.work import Work
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.tracing import trace
from resnets.recipes import presets
from training_step import RESULTS, write

SIZE, BATCH, CHANNELS = 64, 64, 3
TURN_SECONDS = 1.5
"""Of steps that a point takes in a round, about; three at least."""

FIGURE = RESULTS.parent / "images" / "cost.svg"


@dataclass(frozen=True)
class Axis:
    """What is changed.

    Attributes:
        values: of it.
        work: what is measured at a value.
        unit: what time and memory must be linear in.
        amount: of that unit at a value.
    """

    values: tuple[int, ...]
    work: Callable[[int], Work]
    unit: str
    amount: Callable[[int], float]


def network(depth: int = 2, width: int = 64) -> Architecture:
    """The chapter's ResNet-18 with so many blocks a stage, and that width in the first."""
    a = catalog.get("chapter_resnet18", channels=CHANNELS, classes=10)
    stages = [replace(s, depth=depth, width=s.width * width // a.stem.width) for s in a.stages]
    return replace(a, stem=replace(a.stem, width=width), stages=tuple(stages))


def work(a: Architecture, size: int = SIZE, batch: int = BATCH) -> Work:
    """A step of training that network."""
    return Work(architecture=a, size=size, batch=batch, purpose="training")


def _multiply_adds(width: int) -> float:
    return trace(network(width=width), SIZE).multiply_adds / 1e6


AXES: Mapping[str, Axis] = {
    "batch": Axis((16, 32, 64, 128, 256), lambda n: work(network(), batch=n), "images", float),
    "pixels": Axis(
        (32, 48, 64, 96, 128), lambda n: work(network(), size=n), "pixels", lambda n: float(n * n)
    ),
    "depth": Axis(
        (1, 2, 3, 4, 6), lambda n: work(network(depth=n)), "blocks", lambda n: float(4 * n)
    ),
    "width": Axis(
        (16, 32, 48, 64, 96), lambda n: work(network(width=n)), "M multiply-adds", _multiply_adds
    ),
    # An epoch of the smallest network, whose time is the data's as much as the network's.
    "images": Axis(
        (5_000, 10_000, 20_000, 40_000, 80_000),
        lambda n: work(catalog.get("resnet8_narrow"), size=28, batch=128),
        "images",
        float,
    ),
}


def one(axis: str, value: int) -> dict[str, float]:
    """Measure a point in this process: seconds of a step or an epoch, bytes above the start."""
    from resnets.bench.workers import ours

    wanted = AXES[axis].work(value)
    # What the framework itself takes is in memory before: it does not grow.
    tiny = work(catalog.get("resnet8_narrow"), size=28, batch=2)
    ours.train(tiny, framework="torch").tasks["batch 2"].take(2)
    if axis == "images":
        return _epoch(wanted, value)
    before = machine.peak_memory() or 0
    (task,) = ours.train(wanted, framework="torch").tasks.values()
    task.take(2)
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < TURN_SECONDS:
        began = time.perf_counter()
        task.take(1)
        seconds.append(time.perf_counter() - began)
    return {"seconds": median(seconds), "bytes": (machine.peak_memory() or 0) - before}


def _epoch(wanted: Work, images: int) -> dict[str, float]:
    from resnets import backends
    from resnets.data.images import Images
    from resnets.networks.network import Preprocessing
    from resnets.training.events import Epoch
    from resnets.training.loop import TrainingData, train

    backend = backends.load("torch")
    before = machine.peak_memory() or 0
    rng, size = np.random.default_rng(0), wanted.size
    pixels = rng.integers(0, 256, (images, size, size, 1), dtype=np.uint8)
    data = TrainingData(Images(pixels, rng.integers(0, 10, images)), None)
    recipe = presets.get_preset("folder").replace(epochs=2, batch=wanted.batch)
    scale = Preprocessing(size=size, mean=(0.5,), std=(0.5,))
    session = backend.session(backend.build(wanted.architecture), recipe, preprocessing=scale)
    seconds = [e.seconds for e in train(session, data, recipe=recipe) if isinstance(e, Epoch)]
    return {"seconds": seconds[-1], "bytes": (machine.peak_memory() or 0) - before}


def measured(axes: Sequence[str], rounds: int) -> dict[str, dict[int, dict[str, Any]]]:
    """Let every point take its turns; give medians and ranges."""
    taken: dict[tuple[str, int], list[dict[str, float]]] = {}
    for number in range(rounds):
        for axis in axes:
            for value in AXES[axis].values:
                print(f"round {number + 1}: {axis} {value}", file=sys.stderr)
                command = [sys.executable, __file__, "--one", axis, str(value)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                taken.setdefault((axis, value), []).append(json.loads(done.stdout))
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for (axis, value), turns in taken.items():
        seconds = [turn["seconds"] for turn in turns]
        point = {**turns[0], "seconds": median(seconds), "range": [min(seconds), max(seconds)]}
        point["bytes"] = median(turn["bytes"] for turn in turns)
        found.setdefault(axis, {})[value] = {"amount": AXES[axis].amount(value), **point}
    return found


def line(points: Mapping[int, Mapping[str, Any]], key: str) -> dict[str, float]:
    """Fit ``at_zero + each * amount``; give it with the share of the variance that it explains."""
    x = np.array([p["amount"] for p in points.values()])
    y = np.array([p[key] for p in points.values()])
    # Weighted by 1 / y: each point counts by its relative error, not the largest alone.
    each, at_zero = np.polyfit(x, y, 1, w=1 / y)
    rest = float(((y - at_zero - each * x) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    return {"at_zero": float(at_zero), "each": float(each), "explained": 1 - rest}


def table(found: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> list[str]:
    """A paragraph for each axis."""
    told: list[str] = []
    for axis, points in found.items():
        unit = AXES[axis].unit
        for key, scale, name in (("seconds", 1e3, "ms"), ("bytes", 1e-6, "MB")):
            fit = line(points, key)
            row = "  ".join(f"{n}: {p[key] * scale:,.0f}" for n, p in points.items())
            told.append(
                f"{axis:7} {name:2}  {row}   = {fit['at_zero'] * scale:,.0f} + "
                f"{fit['each'] * scale:.3g} per {unit}, R² {fit['explained']:.4f}"
            )
    return told


def main() -> None:
    """Measure, print, write figures and picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(given.one[0], int(given.one[1]))))
        return
    found = measured(given.axes, given.rounds)
    print("\n".join(table(found)))
    fits = {a: {k: line(points, k) for k in ("seconds", "bytes")} for a, points in found.items()}
    draw(found, fits, {name: axis.unit for name, axis in AXES.items()}, given.figure)
    write("cost", {"rounds": given.rounds, "points": found, "lines": fits})


if __name__ == "__main__":
    main()
