"""The process of one contender: it takes turns when told to, and sleeps in between.

It reads orders from standard input and writes answers to standard output, one line of JSON each.
What frameworks print goes to standard error. It ends when its input does, so that it never
outlives the process that started it.
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

WARM_STEPS, WARM_SECONDS = 4, 2.0
"""Steps before the first turn; fewer where they take longer than that, but two at least."""

NAP, LONGEST_SETTLING = 0.02, 0.3
"""Seconds without processor time after which a process counts as asleep; the most to wait."""


class Unavailable(ResnetsError):
    """This contender cannot run here; the message says why."""


class Take(Protocol):
    """Take steps."""

    def __call__(self, steps: int, /) -> Mapping[str, float] | None:
        """Take ``steps`` steps and wait for the device.

        May return the number of ``steps`` actually taken and the ``seconds`` that count, where
        these differ from what was asked and from the time of the call.
        """
        ...


@dataclass(frozen=True)
class Task:
    """Something to take turns at; ``amount`` is what a step handles: images or multiply-adds."""

    take: Take
    amount: float


@dataclass(frozen=True)
class Device:
    """Where a contender computes.

    Attributes:
        description: the device, for people.
        is_cpu: whether the processor computes.
        versions: of the framework's distributions.
        peak_memory: returns the most bytes held on the device; None on a CPU.
        wait: waits for all work; None where reading a step's loss does that.
    """

    description: str
    is_cpu: bool
    versions: Mapping[str, str]
    peak_memory: Callable[[], int] | None = None
    wait: Callable[[], None] | None = None


@dataclass(frozen=True)
class Prepared:
    """A contender that is ready: its tasks by name, its device and its precision."""

    tasks: Mapping[str, Task]
    device: Device
    precision: str


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(sys.stdin, answers)


def serve(orders: IO[str], answers: IO[str]) -> None:
    """Answer each order; stop after answering that one failed."""

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
            elif order["do"] == "prepare":
                prepared, ready = prepare(order)
                answer(ready)
            else:
                assert order["do"] == "turn" and prepared is not None, order
                answer(take_turn(prepared, order["task"], order["steps"]))
        except ResnetsError as error:  # Unavailable, or what the backend says of the device
            failed = prepared is not None or isinstance(error, Diverged)
            answer({"failed" if failed else "unavailable": str(error)})
            return
        except Exception as error:
            traceback.print_exc()
            answer({"failed": _describe_error(error)})
            return


def _describe_error(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def prepare(order: Mapping[str, Any]) -> tuple[Prepared, dict[str, Any]]:
    """Prepare a contender and take its first steps; return it, and what to tell of it."""
    work = Work.from_json(order["work"])
    _require_memory(work, order["framework"])
    module, _, function = str(order["maker"]).partition(":")
    make = getattr(importlib.import_module(module), function)
    prepared: Prepared = make(work, **order["options"])
    steps: dict[str, int] = {}
    first_step_seconds, seconds = 0.0, 0.0
    for name, task in prepared.tasks.items():
        first, quickest = warm_up(task)
        first_step_seconds += first
        steps[name] = max(1, round(order["turn_seconds"] / max(quickest, 1e-9)))
        seconds += quickest * steps[name]
    settle()
    return prepared, {
        "steps": steps,
        "seconds": seconds,
        "device": prepared.device.description,
        "precision": prepared.precision,
        "versions": dict(prepared.device.versions),
        "first_step_seconds": first_step_seconds,
    }


def _require_memory(work: Work, framework: str) -> None:
    """Raise Unavailable if the work does not fit beside the processes that are ready."""
    found = importlib.import_module(f"resnets.bench.workers.{framework}").find_device(work.device)
    needed, free = work.estimate_memory(on_cpu=found.is_cpu), machine.free_memory()
    if free is not None and needed > free:
        raise Unavailable(
            f"not enough memory: about {needed / 1e9:.1f} GB are needed and "
            f"{free / 1e9:.1f} GB are free; use a smaller --batch or --size"
        )


def warm_up(task: Task) -> tuple[float, float]:
    """Take the first steps; return the seconds of the first one, and of the quickest other."""
    first = time_call(lambda: task.take(1))
    quickest, began = float("inf"), time.perf_counter()
    for _ in range(1, WARM_STEPS):
        quickest = min(quickest, time_call(lambda: task.take(1)))
        if time.perf_counter() - began > WARM_SECONDS:
            break
    return first, quickest


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def take_turn(prepared: Prepared, name: str, steps: int) -> dict[str, Any]:
    """Take a turn, and wait until the process has fallen asleep.

    ``processor_share`` is processor time over wall time, None where a device computes.
    """
    task, device = prepared.tasks[name], prepared.device
    used, began = time.process_time(), time.perf_counter()
    told = task.take(steps) or {}
    wall, used = time.perf_counter() - began, time.process_time() - used
    settle()
    rate = task.amount * told.get("steps", steps) / max(told.get("seconds", wall), 1e-9)
    return {
        "rate": rate,
        "processor_share": used / max(wall, 1e-9) if device.is_cpu else None,
        "peak_memory_bytes": machine.peak_memory(),
        "device_memory_bytes": int(device.peak_memory()) if device.peak_memory else None,
    }


def settle() -> None:
    """Wait until the threads sleep: they spin for a while after their last work."""
    end = time.perf_counter() + LONGEST_SETTLING
    used = time.process_time()
    while time.perf_counter() < end:
        time.sleep(NAP)
        now = time.process_time()
        if now - used < NAP / 10:
            return
        used = now
