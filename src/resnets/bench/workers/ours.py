"""Our own ways, the same for every framework: what ``resnets train`` and ``predict`` do."""

import importlib
from typing import Any

from resnets import backends
from resnets.bench.work import Work
from resnets.bench.worker import Device, Prepared, Take, Task
from resnets.bench.workers.tasks import RATE, inference_tasks
from resnets.data.images import Images
from resnets.networks.network import Preprocessing
from resnets.recipes import presets
from resnets.training.events import Step
from resnets.training.loop import TrainingData
from resnets.training.loop import train as run_loop

MANY = 100_000
"""Epochs: more than anybody waits for."""


def train(work: Work, *, framework: str) -> Prepared:
    """Prepare the loop of ``resnets train``: drawing and gathering the batches, plain SGD."""
    take, _session, precision = start_training(work, framework=framework)
    tasks = {f"batch {work.batch}": Task(take, work.batch)}
    return Prepared(tasks, _find_device(work, framework), precision)


def start_training(work: Work, *, framework: str) -> tuple[Take, Any, str]:
    """Start training on the drawn images; return what takes steps, the session, the precision."""
    backend = backends.load(framework)
    # The chapter's settings: SGD without momentum, which every peer has too.
    recipe = presets.get_preset("chapter").replace(
        batch=work.batch, precision=work.precision, size=work.size, epochs=MANY, rate=RATE
    )
    model = backend.build(work.architecture)
    session = backend.session(model, recipe, preprocessing=preprocess(work), device=work.device)
    data = TrainingData(Images(*work.draw_images()), None)
    events = run_loop(session, data, recipe=recipe)
    wait = _find_device(work, framework).wait

    def take(steps: int) -> dict[str, float]:
        taken, complete = 0, False
        while taken < steps or not complete:
            event = next(events)
            if isinstance(event, Step):
                # Where several steps are under way, their events come together.
                taken, complete = taken + 1, event.progress is not None
        if wait is not None:
            wait()
        return {"steps": taken}

    return take, session, backend.precision(recipe, work.device)


def predict(work: Work, *, framework: str) -> Prepared:
    """Prepare what ``resnets predict`` does with decoded images: from pixels to logits."""
    backend = backends.load(framework)
    logits = backend.evaluator(
        backend.build(work.architecture), preprocess(work), device=work.device
    )
    pixels, _ = work.draw_images()
    return Prepared(inference_tasks(logits, pixels, work), _find_device(work, framework), "fp32")


def preprocess(work: Work) -> Preprocessing:
    """Return the preprocessing that leaves pixels as they are."""
    channels = work.architecture.channels
    return Preprocessing(size=work.size, mean=(0.0,) * channels, std=(1.0,) * channels)


def _find_device(work: Work, framework: str) -> Device:
    module = importlib.import_module(f"resnets.bench.workers.{framework}")
    return module.find_device(work.device)
