"""Events as lines of a run's logs, and back."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from resnets.errors import RunError
from resnets.training.events import Epoch, Grown, Progress, Step

_TIMINGS = ("seconds", "images_per_second")
"""What differs between two repetitions of a run; it has a log of its own."""


def step_record(event: Step) -> dict[str, Any]:
    """Give the line of metrics.jsonl for a step."""
    named = {name: getattr(event, name) for name in ("step", "epoch", "rate", "loss")}
    return {"event": "step", **named}


def epoch_record(event: Epoch) -> dict[str, Any]:
    """Give the line of metrics.jsonl for an epoch's end: the same in every repetition."""
    left_out = (*_TIMINGS, "progress")
    names = (f.name for f in fields(Epoch) if f.name not in left_out)
    return {"event": "epoch", **{name: getattr(event, name) for name in names}}


def growth_record(event: Grown) -> dict[str, Any]:
    """Give the line of metrics.jsonl for a growth."""
    named = {name: getattr(event, name) for name in ("number", "epoch", "step", "network")}
    return {"event": "growth", **named, "depths": list(event.depths)}


def start_record(
    framework: str, device: str, *, threads: int, precision: str, progress: Progress
) -> dict[str, Any]:
    """Give the line of timings.jsonl for a process that begins or goes on with a run."""
    where = {"step": progress.step, "epoch": 0, "framework": framework, "device": device}
    return {"event": "start", **where, "threads": threads, "precision": precision}


def timing_record(event: Epoch, preparing: float = 0.0) -> dict[str, Any]:
    """Give the line of timings.jsonl for an epoch's end.

    ``preparing``: seconds that went into compiling and recording steps so far; the epochs' own
    include them.
    """
    named = {name: getattr(event, name) for name in ("epoch", "step", *_TIMINGS)}
    return {"event": "epoch", **named, **({"preparing": preparing} if preparing else {})}


def read_epochs(
    metrics: Iterable[Mapping[str, Any]],
    timings: Iterable[Mapping[str, Any]],
    *,
    progress: Progress,
) -> tuple[Epoch, ...]:
    """Give back the epochs of both logs; where a kill came between the two, the time is 0.

    Raises:
        RunError: if a line is not of an epoch.
    """
    timed = {line["epoch"]: line for line in timings if line["event"] == "epoch"}
    found: list[Epoch] = []
    for line in metrics:
        if line["event"] != "epoch":
            continue
        times = {name: timed.get(line["epoch"], {}).get(name, 0.0) for name in _TIMINGS}
        named = {name: value for name, value in line.items() if name != "event"}
        try:
            found.append(Epoch(**named, **times, progress=progress))
        except TypeError as error:
            raise RunError(f"a log's line of epoch {line['epoch']} is damaged: {line}") from error
    return tuple(found)
