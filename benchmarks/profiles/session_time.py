"""What of a training step is in the session, and what is data being made ready."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def do_nothing() -> None:
    """Wait for nothing."""


@dataclass
class SessionTime:
    """What was seen of a session's steps.

    Attributes:
        inside: seconds in ``train_step``.
        whole: seconds of it all.
        batch: the last one.
    """

    inside: float = 0.0
    whole: float = 0.0
    batch: Any = None


def time_session(
    take: Any, session: Any, steps: int, *, wait: Callable[[], None] = do_nothing
) -> SessionTime:
    """Take steps, and time what of them is in the session; the rest is data being made ready.

    ``wait`` waits for what of a step is still to come when its loss is there.
    """
    found, step = SessionTime(), session.train_step

    def timed(batch: Any, *arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        measured = step(batch, *arguments, **options)
        _ = measured.loss
        wait()
        found.inside += time.perf_counter() - began
        found.batch = batch
        return measured

    session.train_step = timed
    try:
        began = time.perf_counter()
        take(steps)
        found.whole = time.perf_counter() - began
    finally:
        del session.train_step  # the class's own again
    return found


def measure_data_share(
    take: Any,
    session: Any,
    prepare: Callable[[Any, Any], Any],
    *,
    steps: int = 3,
    wait: Callable[[], None] = do_nothing,
) -> dict[str, float]:
    """Time a batch's way to the device apart, for steps that are compiled as a whole.

    ``prepare`` takes stored pixels and augmentation parameters and waits for the device; ``wait``
    as in ``time_session``.
    """
    found = time_session(take, session, steps, wait=wait)
    images, draws = found.batch.images, found.batch.augmentation
    prepare(images.pixels, draws)
    began = time.perf_counter()
    for _ in range(steps):
        prepare(images.pixels, draws)
    prepared = time.perf_counter() - began
    return {"data": min((found.whole - found.inside + prepared) / found.whole, 1.0)}


def add_data_outside(spent: Mapping[str, float], take: Any, session: Any) -> dict[str, float]:
    """Return what was spent on each kind as shares of a step, with the data outside of it."""
    found = time_session(take, session, 3)
    whole = sum(spent.values()) or 1.0
    shares = {kind: found.inside / found.whole * spent[kind] / whole for kind in spent}
    return {**shares, "data": shares.get("data", 0.0) + 1 - found.inside / found.whole}
