"""Where a step's time goes, by torch's profiler."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from profiles.session_time import time_session

STEPS = 2
OTHER = "other"

# What an operator belongs to, by what its name contains; the first that fits.
KINDS = (
    ("data", ("resnets: data",)),
    ("optimiser", ("optimizer.", "_fused_sgd", "_fused_adam", "foreach")),
    ("convolutions", ("conv",)),
    (OTHER, ("addmm", "linear", "loss", "softmax")),  # the last layer
    (
        "norms, activations",
        ("norm", "relu", "threshold", "elu", "silu", "add", "pool", "sigmoid", "mean"),
    ),
)


def split_step(take: Callable[[int], Any], session: Any) -> dict[str, float]:
    """Return each kind's share of a step of ours; what makes batches ready is timed."""
    outside = time_session(take, session, STEPS)
    prepare = session.train_state.prepare
    session.train_state.prepare = name_for_profiler("data", prepare)
    try:
        found = profile_steps(take)
    finally:
        session.train_state.prepare = prepare
    data = max(1 - outside.inside / outside.whole, 0.0)
    moved = min(data, found[OTHER])
    return {**found, "data": found["data"] + moved, OTHER: found[OTHER] - moved}


def name_for_profiler(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose time the profiler finds under ``resnets: name``."""

    def inside(*arguments: Any) -> Any:
        with record_function(f"resnets: {name}"):
            return function(*arguments)

    return inside


def profile_steps(take: Callable[[int], Any]) -> dict[str, float]:
    """Profile a few steps; return each kind's share of their time, and what is left.

    On a GPU the time is the device's; elsewhere the clock's, so that what is left has Python's
    part too.
    """
    on_device = torch.cuda.is_available() and torch.cuda.memory_allocated() > 0
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_device else [])]
    with profile(activities=activities, acc_events=True) as found:
        began = time.perf_counter()
        take(STEPS)
        whole = (time.perf_counter() - began) * 1e6
    spent: Counter[str] = Counter()
    for event in found.events() or ():
        time_of = event.self_device_time_total if on_device else event.self_cpu_time_total
        spent[find_kind(_list_callers(event))] += time_of
    if on_device:
        whole = sum(spent.values())
    result = {name: spent[name] / max(whole, 1e-9) for name, _ in KINDS if name != OTHER}
    return {**result, OTHER: max(1 - sum(result.values()), 0.0)}


def find_kind(names: Iterable[str]) -> str:
    """Return what an operator belongs to, by its name and those of its callers."""
    lowered = [name.lower() for name in names]
    for kind, parts in KINDS:
        if any(part in name for name in lowered for part in parts):
            return kind
    return OTHER


def _list_callers(event: Any) -> Iterable[str]:
    while event is not None:
        yield event.name
        event = event.cpu_parent
