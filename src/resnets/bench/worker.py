"""A process that does one row's work: it is told to take turns, and waits in between.

It speaks JSON, a line a message, on its standard input and output; what frameworks print goes to
standard error. It ends when its input does, so that it never outlives who started it.
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Protocol

from resnets import backends
from resnets.bench import machine
from resnets.bench.work import Work
from resnets.errors import Diverged, ResnetsError
from resnets.recipes.recipe import Recipe

WARM_STEPS, WARM_SECONDS = 4, 2.0
"""Steps before the first turn; fewer where they take longer than that, but two at least."""

SLEEPING, LONGEST_SETTLING = 0.02, 0.3
"""Seconds without processor time after which a process counts as asleep; the most to wait."""


class Absent(ResnetsError):
    """This row cannot be had here; says why."""


class Take(Protocol):
    """Takes steps."""

    def __call__(self, steps: int, /) -> Mapping[str, float] | None:
        """Take so many steps and wait for the device.

        May give numbers by name: ``steps`` that were taken, where they are more; ``seconds`` that
        they took, where that is not the time of the call; all others are seconds of parts.
        """
        ...


@dataclass(frozen=True)
class Task:
    """Something to take turns at.

    Attributes:
        take: takes steps.
        amount: what a step handles: images, or the probe's multiply-adds.
        probe: whether it is the probe by which disturbed rounds are found.
    """

    take: Take
    amount: float
    probe: bool = False


@dataclass(frozen=True)
class Prepared:
    """A row that is ready.

    Attributes:
        tasks: by name.
        device: in words.
        precision: that it computes in.
        on_processor: whether the processor does the work, so that its time tells.
        versions: of what it computes with.
        shares: says where a step's time goes: shares of it by name; None where that is unknown.
        unknown_shares: why.
        device_memory: gives the most bytes held on the device; None where it has none of its own.
        details: what else is to be told, as JSON values.
    """

    tasks: Mapping[str, Task]
    device: str
    precision: str
    on_processor: bool
    versions: Mapping[str, str]
    shares: Callable[[], Mapping[str, float]] | None = None
    unknown_shares: str = ""
    device_memory: Callable[[], int] | None = None
    details: Mapping[str, Any] | None = None


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this one ends it
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, answers)


def serve(orders: IO[str], answers: IO[str]) -> None:
    """Answer each order; a failure is told, and ends it."""

    def answer(value: Mapping[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    prepared: Prepared | None = None
    for line in orders:
        order: dict[str, Any] = json.loads(line)
        try:
            if order["do"] == "load":
                importlib.import_module(str(order["maker"]).partition(":")[0])
                backends.load(order["framework"])
                answer({})
            elif order["do"] == "device":
                # Resolving the precision refuses a device that is not here.
                backends.load(order["framework"]).precision(Recipe(), order["device"])
                answer({})
            elif order["do"] == "prepare":
                prepared, ready = prepare(order)
                answer(ready)
            elif prepared is not None:
                answer(_obeyed(prepared, order))
        except ResnetsError as error:  # Absent, or what the backend says of the device
            # What could be had and did not go on has failed.
            failed = prepared is not None or isinstance(error, Diverged)
            answer({"failed" if failed else "absent": str(error)})
            return
        except Exception as error:
            traceback.print_exc()
            answer({"failed": _reason(error)})
            return


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def prepare(order: Mapping[str, Any]) -> tuple[Prepared, dict[str, Any]]:
    """Make what the order names ready and warm; give it, and what is to be told of it."""
    began = time.perf_counter()
    module, _, function = str(order["maker"]).partition(":")
    maker = getattr(importlib.import_module(module), function)
    prepared: Prepared = maker(Work.from_json(order["work"]), **order["options"])
    made = time.perf_counter() - began
    steps: dict[str, int] = {}
    first = 0.0
    for name, task in prepared.tasks.items():
        first_step, each = warm(task)
        first += first_step
        steps[name] = max(1, round(order["turn_seconds"] / max(each, 1e-9)))
    settle()
    return prepared, {
        "steps": steps,
        "seconds": {name: _seconds(prepared.tasks[name], steps[name]) for name in steps},
        "device": prepared.device,
        "precision": prepared.precision,
        "versions": dict(prepared.versions),
        "preparation_seconds": made,
        "first_step_seconds": first,
        "details": dict(prepared.details or {}),
    }


def warm(task: Task) -> tuple[float, float]:
    """Take the first steps; give the seconds of the first, and of the quickest after it."""
    began = time.perf_counter()
    task.take(1)
    first = time.perf_counter() - began
    quickest, begun = float("inf"), time.perf_counter()
    for _ in range(1, WARM_STEPS):
        before = time.perf_counter()
        task.take(1)
        quickest = min(quickest, time.perf_counter() - before)
        if time.perf_counter() - begun > WARM_SECONDS:
            break
    return first, quickest


def _seconds(task: Task, steps: int) -> float:
    """What a turn takes on the clock, for the time that is left."""
    began = time.perf_counter()
    task.take(steps)
    return time.perf_counter() - began


def _obeyed(prepared: Prepared, order: Mapping[str, Any]) -> dict[str, Any]:
    if order["do"] == "turn":
        return turn(prepared, order["task"], order["steps"])
    if order["do"] == "memory":
        ask = prepared.device_memory
        return {
            "peak": machine.peak_memory(),
            "device_peak": None if ask is None else int(ask()),
        }
    if order["do"] == "shares":
        if prepared.shares is None:
            return {"shares": None, "reason": prepared.unknown_shares}
        return {"shares": dict(prepared.shares()), "reason": ""}
    raise ValueError(f"no order is called {order['do']!r}")


def turn(prepared: Prepared, name: str, steps: int) -> dict[str, Any]:
    """Take a turn; it ends when the process has fallen asleep."""
    task = prepared.tasks[name]
    used, began = time.process_time(), time.perf_counter()
    told = dict(task.take(steps) or {})
    wall, used = time.perf_counter() - began, time.process_time() - used
    seconds, taken = told.pop("seconds", wall), told.pop("steps", steps)
    settle()
    return {
        "rate": task.amount * taken / max(seconds, 1e-9),
        "share": used / max(wall, 1e-9) if prepared.on_processor else None,
        "probe": task.probe,
        "parts": told,
    }


def settle() -> None:
    """Wait until the threads sleep: they spin for a while after their last work."""
    end = time.perf_counter() + LONGEST_SETTLING
    used = time.process_time()
    while time.perf_counter() < end:
        time.sleep(SLEEPING)
        now = time.process_time()
        if now - used < SLEEPING / 10:
            return
        used = now
