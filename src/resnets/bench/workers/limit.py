"""The machine's limit, in a framework: large matrix products, the network's convolutions alone."""

import importlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from resnets.bench.convolutions import Convolution, distinct, passes
from resnets.bench.work import Work
from resnets.bench.worker import Prepared, Task

SMALLEST, LARGEST = 512, 8192
PRODUCT_SECONDS = 0.03
"""A matrix product is made larger until it takes so long."""

CALL_SECONDS = 0.004
"""A convolution is repeated until it takes so long: the clock and the call itself cost too."""

MOST_CALLS = 50

Call = Callable[[], Any]


def probes(work: Work, *, framework: str) -> Prepared:
    """Matrix products, and each distinct convolution of the network, in each fast precision."""
    about = importlib.import_module(f"resnets.bench.workers.{framework}")
    kernels, where = about.Kernels(work.device), about.where(work.device)
    tasks: dict[str, Task] = {}
    details: dict[str, Any] = {"matrix_size": {}}
    for precision in kernels.precisions(work.device):
        size, call = _large_enough(kernels, precision)
        details["matrix_size"][precision] = size
        probe = precision == "fp32"
        tasks[f"matrix {precision}"] = Task(partial(_repeated, kernels, call), size**3, probe)
        for batch in work.batches():
            alone = _Alone(kernels, work, batch, precision)
            tasks[f"convolutions {precision} batch {batch}"] = Task(alone.take, batch)
    return Prepared(
        tasks=tasks,
        device=where.words,
        precision=" ".join(details["matrix_size"]),
        on_processor=where.on_processor,
        versions=where.versions,
        unknown_shares="a probe",
        device_memory=where.memory,
        details=details,
    )


def _repeated(kernels: Any, call: Call, steps: int) -> None:
    for _ in range(steps - 1):
        call()
    kernels.wait(call())


def _large_enough(kernels: Any, precision: str) -> tuple[int, Call]:
    size = SMALLEST
    while True:
        call = kernels.matrix(size, precision)
        if _timed(kernels, call, 1) >= PRODUCT_SECONDS or size == LARGEST:
            return size, call
        size *= 2


def _timed(kernels: Any, call: Call, count: int) -> float:
    """Seconds of a call, the first of which does not count."""
    kernels.wait(call())
    began = time.perf_counter()
    _repeated(kernels, call, count)
    return (time.perf_counter() - began) / count


class _Alone:
    """The convolutions of a step, without anything between them.

    Each distinct one is called alone, and its time counts as often as it occurs.
    """

    def __init__(self, kernels: Any, work: Work, batch: int, precision: str) -> None:
        self.kernels = kernels
        self.calls: list[tuple[str, int, Call, int]] = []
        training = work.purpose == "training"
        for convolution, occurs in distinct(work.trace()).items():
            made = kernels.convolution(convolution, batch, precision)
            for name in passes(convolution, training=training):
                call, count = self._fastest(made[name])
                self.calls.append((_title(convolution, name), occurs, call, count))

    def _fastest(self, variants: list[Call]) -> tuple[Call, int]:
        """The quickest of the framework's ways, and how often to call it in a turn."""
        times = [_timed(self.kernels, call, 2) for call in variants]
        best = min(times)
        count = min(max(round(CALL_SECONDS / max(best, 1e-9)), 1), MOST_CALLS)
        return variants[times.index(best)], count

    def take(self, steps: int) -> dict[str, float]:
        seconds, parts = 0.0, {}
        for title, occurs, call, count in self.calls:
            began = time.perf_counter()
            _repeated(self.kernels, call, count * steps)
            each = (time.perf_counter() - began) / (count * steps)
            parts[title] = each
            seconds += each * occurs * steps
        return {"seconds": seconds, **parts}


def _title(convolution: Convolution, name: str) -> str:
    return f"{convolution.name} {name}"
