"""How fast are steps, whole jobs and the device itself?"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gpu_work import Measurement, Ours, Plan, at_size, network_of, random_images, session_of
from resnets.backends import torch as backend
from resnets.bench.measurement import rotate
from resnets.bench.results import Spread
from resnets.data.images import Images
from resnets.networks.architecture import Architecture
from resnets.networks.tracing import trace
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
        found[name] = 2 * n**3 / time_work(lambda a=a, b=b: a @ b, m.plan)
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
    return _measure(m, contenders, count_operations(network, plan.chapter_size))


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
    if (theirs := make_peer(network)) is not None:
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
    return _measure(m, contenders, count_operations(network, plan.large_size), counted)


def _measure(
    m: Measurement, contenders: dict[str, Any], work: int, plan: Plan | None = None
) -> dict[str, Any]:
    rows = take_turns(contenders, plan or m.plan)
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
    events = list(train(session, TrainingData(training, None), recipe=recipe))
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


class PlainLoop:
    """A training loop as it is written by hand: torch's SGD on a module, step after step.

    Its images wait for nothing: they lie on the device, prepared as floats, which is more than
    any loader does. The book's brings them from four processes.

    ``careful``: as one who knows the device writes it, channels-last, bf16 autocast, fused SGD
    with Nesterov's momentum; else as the book's PyTorch Trainer: fp32, NCHW, plain SGD.
    ``compiled``: whether ``torch.compile`` has the module first.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Images,
        batch: int,
        plan: Plan,
        *,
        careful: bool = False,
        compiled: bool = False,
    ) -> None:
        layout = torch.channels_last if careful else torch.contiguous_format
        model = model.to(plan.device, memory_format=layout).train()
        options: dict[str, Any] = {"momentum": 0.9, "nesterov": True, "fused": True}
        self.optimiser = torch.optim.SGD(
            model.parameters(), lr=0.01, **(options if careful else {})
        )
        self.model: Any = torch.compile(model, backend=plan.compiler) if compiled else model
        several = min(len(images), 16 * batch)
        pixels = torch.from_numpy(images.pixels[:several]).to(plan.device)
        self.images = pixels.permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=layout)
        self.labels = torch.from_numpy(images.labels[:several]).to(plan.device)
        self.batch, self.step, self.careful = batch, 0, careful

    def __call__(self) -> Any:
        first = self.step % (len(self.labels) // self.batch) * self.batch
        self.step += 1
        own = slice(first, first + self.batch)
        with torch.autocast(self.images.device.type, torch.bfloat16, enabled=self.careful):
            logits = self.model(self.images[own])
            loss = nn.functional.cross_entropy(logits, self.labels[own])
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss


def make_peer(network: Architecture) -> nn.Module | None:
    """Return timm's network of the same name; None if it has none or cannot be imported."""
    try:
        import timm
    except (ImportError, RuntimeError):  # the latter where its torchvision is of another torch
        return None
    if not timm.is_model(network.name):
        return None
    return timm.create_model(
        network.name, num_classes=network.classes, in_chans=network.channels, zero_init_last=False
    )


def take_turns(contenders: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """Measure images per second of every contender, in turn; ratios are to the first one."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        for _ in range(plan.warm):  # what is compiled, recorded and chosen once
            contender()
        plan.wait()
    names = list(contenders)
    for number in range(plan.rounds):
        for name in rotate(names, number):
            began = time.perf_counter()
            for _ in range(plan.steps):
                contenders[name]()
            plan.wait()
            seconds = time.perf_counter() - began
            found[name].append(contenders[name].batch * plan.steps / seconds)
    base = Spread(tuple(found[names[0]]))
    return {name: _row(Spread(tuple(rates)), base) for name, rates in found.items()}


def _row(rates: Spread, base: Spread) -> dict[str, Any]:
    ratio = rates.divide(base)
    return {
        "images_per_second": rates.median,
        "least": rates.least,
        "most": rates.most,
        "ratio": ratio.median,
        "ratio_least": ratio.least,
        "ratio_most": ratio.most,
        "n": len(rates.values),
    }


def count_operations(network: Architecture, size: int) -> int:
    """Return the operations of a step on one image: two a multiply-add, three passes."""
    return 6 * trace(network, size).multiply_adds


def time_work(work: Callable[[], Any], plan: Plan, times: int = 10) -> float:
    """Return the median seconds of a piece of work, after three to warm up."""
    for _ in range(3):
        work()
    found = []
    for _ in range(times):
        plan.wait()
        began = time.perf_counter()
        work()
        plan.wait()
        found.append(time.perf_counter() - began)
    return statistics.median(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/gpu.py")
