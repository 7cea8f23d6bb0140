"""How fast are steps, whole jobs and the device itself?"""

import argparse
import time
from typing import Any

import torch

from gpu_measurement import Measurement
from gpu_work import (
    Ours,
    PlainLoop,
    Plan,
    at_size,
    in_turns,
    network_of,
    operations,
    peer,
    random_images,
    seconds_of,
    session_of,
)
from resnets.backends import torch as backend
from resnets.recipes.recipe import Recipe
from resnets.training.events import Epoch
from resnets.training.loop import TrainingData, train
from resnets.training.metrics import evaluate


def limit(m: Measurement) -> dict[str, Any]:
    """Operations a second of a large matrix product, on random numbers."""
    n, found = m.plan.product, {}
    for name, kind, tf32 in (
        ("bf16", torch.bfloat16, False),
        ("tf32", torch.float32, True),
        ("fp32", torch.float32, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(n, n, device=m.plan.device).to(kind) for _ in range(2))
        found[name] = 2 * n**3 / seconds_of(lambda a=a, b=b: a @ b, m.plan)
    torch.backends.cuda.matmul.allow_tf32 = False
    return found


def step(m: Measurement, *, compiled: bool = False) -> dict[str, Any]:
    """The chapter's step: its own loop, ordinary steps, recorded ones; compiled ones."""
    plan = m.plan
    images = at_size(m.data.training[:8192], plan.chapter_size, plan)
    network = network_of(plan.chapter, images, 10)
    recipe = m.chapter("bf16")

    def ours(**speed: Any) -> Ours:
        chosen = plan.speed(**speed) if speed else None
        return Ours(session_of(network, recipe, plan, chosen), images)

    contenders: dict[str, Any] = {
        "chapter's loop": PlainLoop(backend.build(network), images, recipe.batch, plan),
        "recorded": ours(record=True),
    }
    if compiled:
        contenders["compiled and recorded"] = ours(compile="default")
        contenders["the same, not repeatable"] = ours(compile="default", repeatable=False)
    else:
        contenders["careful loop"] = PlainLoop(
            backend.build(network), images, recipe.batch, plan, careful=True
        )
        contenders["ordinary"] = ours()
        contenders["recorded, not repeatable"] = ours(repeatable=False)
    return _measured(m, contenders, operations(network, plan.chapter_size))


def large(m: Measurement, *, compiled: bool = False) -> dict[str, Any]:
    """Training at full size with random images, all augmentation of the usual kind."""
    plan = m.plan
    images = random_images(plan.large_images, plan.large_size, 3, 1000)
    network = network_of(plan.large_network, images, 1000)
    recipe = Recipe(
        size=plan.large_size,
        batch=plan.large_batch,
        rate=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-5,
        label_smoothing=0.1,
        flip=True,
        crop=8,
        precision="bf16",
    )

    def ours(**speed: Any) -> Ours:
        chosen = plan.speed(**speed) if speed else None
        return Ours(session_of(network, recipe, plan, chosen), images)

    contenders: dict[str, Any] = {}
    if (theirs := peer(network)) is not None:
        name = "timm, careful loop" + (", compiled" if compiled else "")
        contenders[name] = PlainLoop(
            theirs, images, recipe.batch, plan, careful=True, compiled=compiled
        )
    contenders["recorded"] = ours(record=True)
    if compiled:
        contenders["compiled and recorded"] = ours(compile="default")
    else:
        contenders["ordinary"] = ours()
        contenders["recorded, not repeatable"] = ours(repeatable=False)
        contenders["recorded, images brought batch by batch"] = ours(held=0.0)
    steps = max(1, plan.steps // 15)
    counted = Plan(**{**vars(plan), "steps": steps, "rounds": min(plan.rounds, 5)})
    return _measured(m, contenders, operations(network, plan.large_size), counted)


def _measured(
    m: Measurement, contenders: dict[str, Any], work: int, plan: Plan | None = None
) -> dict[str, Any]:
    rows = in_turns(contenders, plan or m.plan)
    for name, row in rows.items():
        row["fraction_of_bf16_limit"] = m.fraction(row["images_per_second"] * work)
        row["preparing_seconds"] = getattr(
            getattr(contenders[name], "session", None), "preparing", 0
        )
    return rows


def job(m: Measurement, *, compiled: bool = False) -> dict[str, Any]:
    """The chapter's whole job: ten epochs of 60,000 images; nothing but the loop is timed."""
    plan = m.plan
    began = time.perf_counter()
    training = at_size(m.data.training[: plan.images], plan.chapter_size, plan)
    resizing = time.perf_counter() - began
    recipe = m.chapter("bf16")
    network = network_of(plan.chapter, training, 10)
    speed = plan.speed(compile="default" if compiled else None)
    session = session_of(network, recipe, plan, speed)
    began = time.perf_counter()
    events = list(train(session, TrainingData(training, None), recipe))
    plan.wait()
    seconds = time.perf_counter() - began
    epochs = [event for event in events if isinstance(event, Epoch)]
    test = at_size(m.data.test, plan.chapter_size, plan)
    return {
        "seconds": seconds,
        "preparing_seconds": session.preparing,
        "resizing_seconds": resizing,
        "images_per_second": recipe.epochs * len(training) / seconds,
        "last_epoch_images_per_second": epochs[-1].images_per_second,
        "epoch_seconds": [epoch.seconds for epoch in epochs],
        "training_loss": epochs[-1].training_loss,
        "test_accuracy": evaluate(session.eval_step, test).accuracy if m.data.real else None,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/gpu.py")
