"""Images per second of a whole training step: ours against the chapter's plain loop.

Same network, same images, same batch; what differs is how the step is taken. Each contender
lives in a process of its own (what one tells the allocator must not help the other) and they
take turns, a few steps at a time, so that a slower minute of the machine slows both.

    python benchmarks/training_step.py [--rounds 15] [--network chapter_resnet18] [--size 96]
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Work:
    """What every contender does in a turn."""

    network: str
    size: int
    batch: int
    steps: int


def images_of(work: Work) -> tuple[np.ndarray, np.ndarray]:
    """Random images: the time of a step does not depend on what they show."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8 * work.batch, work.size, work.size, 1), dtype=np.uint8)
    return pixels, rng.integers(0, 10, len(pixels))


def chapter(work: Work) -> Callable[[], Any]:
    """The loop of the book's PyTorch Trainer, on the CPU: float32, NCHW, SGD as torch has it."""
    import torch

    from resnets import catalog
    from resnets.backends import torch as backend

    model = backend.build(catalog.get(work.network, channels=1, classes=10)).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    pixels, labels = images_of(work)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255).contiguous()
    targets = torch.from_numpy(labels)
    state = {"step": 0}

    def step() -> None:
        first = state["step"] % 8 * work.batch
        state["step"] += 1
        batch = slice(first, first + work.batch)
        loss = torch.nn.functional.cross_entropy(model(images[batch]), targets[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return step


def ours(work: Work, *, precision: str, framework: str = "torch") -> Callable[[], Any]:
    """What ``resnets train`` does in a step, drawing and gathering the batch included."""
    from resnets import backends, catalog, recipes
    from resnets.backends import Batch
    from resnets.data.augmentation import chosen, draw
    from resnets.data.images import Images
    from resnets.weights import Preprocessing

    recipe = recipes.named("chapter").changed(batch=work.batch, precision=precision)
    backend = backends.load(framework)
    model = backend.build(catalog.get(work.network, channels=1, classes=10))
    shape = Preprocessing(size=work.size, mean=(0.0,), std=(1.0,))
    session = backend.session(model, recipe, shape, "cpu")
    images = Images(*images_of(work))
    state = {"step": 0}

    def step() -> float:
        index = chosen(recipe, len(images), state["step"])
        draws = draw(recipe, state["step"], len(index), (work.size, work.size))
        state["step"] += 1
        return session.train_step(Batch(images[index], draws), 0.01).loss

    return step


Prepare = Callable[[Work], Callable[[], Any]]
"""Gets a contender ready, in its own process; gives its step."""

CONTENDERS: dict[str, Prepare] = {
    "chapter's loop": chapter,
    "resnets fp32": partial(ours, precision="fp32"),
    "resnets auto": partial(ours, precision="auto"),
}


def _serve(prepare: Prepare, work: Work, pipe: Connection) -> None:
    step = prepare(work)
    for _ in range(3):
        step()
    pipe.send("ready")
    while pipe.recv():
        began = time.perf_counter()
        for _ in range(work.steps):
            step()
        pipe.send(work.batch * work.steps / (time.perf_counter() - began))


def measure(work: Work, rounds: int, contenders: dict[str, Prepare]) -> dict[str, list[float]]:
    """Images per second of every contender in every round; the order turns round by round."""
    context = get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name, prepare in contenders.items():
        pipes[name], theirs = context.Pipe()
        context.Process(target=_serve, args=(prepare, work, theirs), daemon=True).start()
        theirs.close()  # so that a contender that dies ends the wait for it
        pipes[name].recv()
    found: dict[str, list[float]] = {name: [] for name in pipes}
    for number in range(rounds):
        names = list(pipes)
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            pipes[name].send(True)
            found[name].append(pipes[name].recv())
        speeds = ", ".join(f"{name} {found[name][-1]:.0f}" for name in names)
        print(f"round {number + 1}/{rounds}: {speeds}", file=sys.stderr)
    for pipe in pipes.values():
        pipe.send(False)
    return found


def summary(found: dict[str, list[float]], peers: dict[str, str] | None = None) -> dict[str, Any]:
    """Medians, ranges, and the ratio round by round: to the chapter's loop, or to a stated peer."""
    bases = {name: found[(peers or {}).get(name, "chapter's loop")] for name in found}
    return {
        name: {
            "images_per_second": statistics.median(values),
            "least": min(values),
            "most": max(values),
            "ratio": statistics.median(v / b for v, b in zip(values, bases[name], strict=True)),
            "ratio_least": min(v / b for v, b in zip(values, bases[name], strict=True)),
            "ratio_most": max(v / b for v, b in zip(values, bases[name], strict=True)),
            "n": len(values),
        }
        for name, values in found.items()
    }


def main() -> None:
    """Measure, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--network", default="chapter_resnet18")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3, help="in a turn")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    work = Work(given.network, given.size, given.batch, given.steps)
    figures = summary(measure(work, given.rounds, CONTENDERS))
    show(work, figures)
    write("training_step", {"work": vars(work), "figures": figures})


def show(work: Work, figures: dict[str, Any]) -> None:
    """Print the table."""
    print(f"{work.network} at {work.size}x{work.size}, batch {work.batch}, images/s")
    print(f"{'':20} {'median':>8} {'least':>8} {'most':>8} {'ratio':>7} {'(least to most)':>17}")
    for name, row in figures.items():
        spread = f"({row['ratio_least']:.2f} to {row['ratio_most']:.2f})"
        print(
            f"{name:20} {row['images_per_second']:8.0f} {row['least']:8.0f} {row['most']:8.0f}"
            f" {row['ratio']:7.2f} {spread:>17}"
        )


def write(name: str, figures: dict[str, Any]) -> None:
    """Keep the figures with the date, the machine and the versions."""
    import torch

    now = datetime.now(UTC)
    about = {
        "date": f"{now:%Y-%m-%d}",
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{now:%Y-%m-%d}_{name}.json"
    path.write_text(json.dumps({**about, **figures}, indent=2) + "\n")
    print(f"written to {path}", file=sys.stderr)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(found)} cores, {found[0]}" if found else platform.machine()


if __name__ == "__main__":
    main()
