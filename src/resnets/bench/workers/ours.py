"""Our own ways, the same for every framework: what ``resnets train`` and ``predict`` do."""

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from resnets import backends
from resnets.bench.work import Work
from resnets.bench.worker import Prepared, Task
from resnets.data.images import Images
from resnets.networks.weights import Preprocessing
from resnets.recipes import presets
from resnets.training.events import Step
from resnets.training.loop import TrainingData, train

RATE = 1e-12
"""Learning rate of every row, so small that weights stay where they are.

A step's work is the same at any rate; but at a usual one the loss on noise may become infinite
after a few steps, which ends a training.
"""

NOT_TAKEN_APART = "not taken apart, but for resnets train"
"""Why it is not known where the time of a row goes."""

MANY = 100_000
"""Epochs: more than anybody waits for."""


def training(work: Work, *, framework: str) -> Prepared:
    """The loop of ``resnets train``: drawing and gathering the batches included; plain SGD."""
    backend = backends.load(framework)
    # The chapter's settings: SGD without momentum, which every peer has too.
    recipe = presets.named("chapter").changed(
        batch=work.batch, precision=work.precision, size=work.size, epochs=MANY, rate=RATE
    )
    model = backend.build(work.architecture)
    session = backend.session(model, recipe, preprocessing=_shape(work), device=work.device)
    events = train(session, TrainingData(Images(*work.images()), None), recipe)
    about = importlib.import_module(f"resnets.bench.workers.{framework}")
    where = about.where(work.device)

    def take(steps: int) -> dict[str, float]:
        taken, whole = 0, False
        while taken < steps or not whole:
            event = next(events)
            if isinstance(event, Step):
                # Where steps are under way at once, their events come together.
                taken, whole = taken + 1, event.progress is not None
        if where.wait is not None:
            where.wait()
        return {"steps": taken}

    return Prepared(
        tasks={_name(work.batch): Task(take, work.batch)},
        device=session.device,
        precision=backend.precision(recipe, work.device),
        on_processor=where.on_processor,
        versions=where.versions,
        shares=lambda: about.training_shares(take, session),
        device_memory=where.memory,
    )


def evaluator(work: Work, *, framework: str) -> Prepared:
    """What ``resnets predict`` does with decoded images: from stored pixels to logits."""
    backend = backends.load(framework)
    model = backend.build(work.architecture)
    logits = backend.evaluator(model, _shape(work), device=work.device)
    pixels, _ = work.images()
    about = importlib.import_module(f"resnets.bench.workers.{framework}")
    where = about.where(work.device)
    return Prepared(
        tasks={
            _name(batch): Task(over_batches(logits, pixels, batch), batch)
            for batch in work.batches()
        },
        device=where.words,
        precision="fp32",
        on_processor=where.on_processor,
        versions=where.versions,
        unknown_shares=NOT_TAKEN_APART,
        device_memory=where.memory,
    )


def over_batches(call: Any, images: Any, batch: int) -> Any:
    """Give what calls ``call`` on one batch of ``images`` after the other, round and round."""
    count = len(images) // batch
    taken = 0

    def take(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            first = taken % count * batch
            call(images[first : first + batch])
            taken += 1

    return take


@dataclass
class Watched:
    """What was seen of a session's steps.

    Attributes:
        inside: seconds in ``train_step``.
        whole: seconds of it all.
        batch: the last one.
    """

    inside: float = 0.0
    whole: float = 0.0
    batch: Any = None


def watched(
    take: Any, session: Any, steps: int, wait: Callable[[], None] = lambda: None
) -> Watched:
    """Take steps, and time what of them is in the session; the rest is data being made ready.

    ``wait`` waits for what of a step is still to come when its loss is there.
    """
    found, step = Watched(), session.train_step

    def timed(batch: Any, *given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        measured = step(batch, *given, **named)
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


def data_share(
    take: Any,
    session: Any,
    prepare: Callable[[Any, Any], Any],
    steps: int = 3,
    wait: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Time a batch's way to the device apart, for steps that are compiled as a whole.

    ``prepare`` takes stored pixels and draws, and waits for the device; ``wait`` as in ``watched``.
    """
    found = watched(take, session, steps, wait)
    images, draws = found.batch.images, found.batch.draws
    prepare(images.pixels, draws)
    began = time.perf_counter()
    for _ in range(steps):
        prepare(images.pixels, draws)
    prepared = time.perf_counter() - began
    return {"data": min((found.whole - found.inside + prepared) / found.whole, 1.0)}


def parted(spent: Mapping[str, float], take: Any, session: Any) -> dict[str, float]:
    """Give what was spent on each kind as shares of a step, with what is data outside of it."""
    found = watched(take, session, 3)
    whole = sum(spent.values()) or 1.0
    shares = {kind: found.inside / found.whole * spent[kind] / whole for kind in spent}
    return {**shares, "data": shares.get("data", 0.0) + 1 - found.inside / found.whole}


def _shape(work: Work) -> Preprocessing:
    channels = work.architecture.channels
    return Preprocessing(size=work.size, mean=(0.0,) * channels, std=(1.0,) * channels)


def _name(batch: int) -> str:
    return f"batch {batch}"
