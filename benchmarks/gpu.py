"""Everything that is claimed for a GPU, measured on one, in under ten minutes.

    python benchmarks/gpu.py [--data FOLDER] [--recipe steady] [--seeds 3] [--out gpu.json]
    python benchmarks/gpu.py --small --device cpu        # tries the script itself

It needs torch with CUDA and this package's own dependencies, and fetches nothing. Fashion-MNIST is
read where it lies (``--data``: a folder with its four files); without it the images are random and
what needs real ones is left out. The result is written after each part: what is not known yet is
missing, what failed says why. Compiling is last, and its time is stated apart.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_work import (
    Data,
    Ours,
    PlainLoop,
    Plan,
    at_size,
    data_of,
    in_turns,
    network_of,
    operations,
    peer,
    random_images,
    seconds_of,
    session_of,
)
from resnets import recipes
from resnets.backends import torch as backend
from resnets.backends.torch.devices import available_devices, device_called, in_words
from resnets.data import mean_and_std
from resnets.data.augmentation import split
from resnets.description import to_json
from resnets.evaluation import evaluate, evaluate_both
from resnets.recipe import Recipe
from resnets.training import Epoch, TrainingData, train

AIM = 0.94
"""Accuracy whose time is measured."""

Part = Callable[["Measurement"], dict[str, Any]]


@dataclass
class Measurement:
    """What the parts share."""

    plan: Plan
    data: Data
    recipe: str
    seeds: int
    found: dict[str, Any] = field(default_factory=dict)

    def chapter(self, precision: str) -> Recipe:
        """The chapter's recipe at the plan's size."""
        plan = self.plan
        changes = {"size": plan.chapter_size, "epochs": plan.epochs, "precision": precision}
        batch = {"batch": 32} if plan.small else {}
        return recipes.named("chapter").changed(**changes, **batch)

    def fraction(self, operations_a_second: float) -> float | None:
        """Share of what a large matrix product in bf16 reaches; None where it was not measured."""
        most = self.found.get("limit", {}).get("bf16")
        return operations_a_second / most if most else None


def machine(m: Measurement) -> dict[str, Any]:
    """The device, versions, and what torch finds."""
    device = m.plan.device
    words = {"device": in_words(device), "found": available_devices(), "torch": torch.__version__}
    if device.type == "cuda":
        free, whole = torch.cuda.mem_get_info(device)
        words |= {"memory": whole, "free": free, "cuda": torch.version.cuda}
        words |= {"cudnn": torch.backends.cudnn.version()}
    words["data"] = "Fashion-MNIST" if m.data.real else "random images of the same shapes"
    return words


def parity(m: Measurement) -> dict[str, Any]:
    """One step here against the CPU, and whether steps repeat and resume to the last bit."""
    found: dict[str, Any] = {}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    images = random_images(32, 32, 3, 10)
    here, cpu = m.plan, Plan.of(torch.device("cpu"), small=m.plan.small)
    try:
        for precision in ("fp64", "fp32"):
            recipe = Recipe(batch=16, rate=0.1, momentum=0.9, flip=True, precision=precision)
            network = network_of("resnet8_slim" if here.small else "resnet18", images, 10)
            sessions = (
                session_of(network, recipe, here, here.speed()),
                session_of(network, recipe, cpu, None),
            )
            before = sessions[1].weights()
            losses = [Ours(session, images)().loss for session in sessions]
            after = [session.weights() for session in sessions]
            found[precision] = {
                "loss": abs(losses[0] - losses[1]) / abs(losses[1]),
                "weights": _apart(after[0], after[1], before),
            }
    finally:
        torch.backends.cudnn.allow_tf32 = True
    return found | {"repeatable": _repeats(m)}


def _apart(found: Any, expected: Any, before: Any) -> float:
    """The largest difference of a tensor, relative to the largest change that the step made."""
    return max(
        float(
            np.abs(found[n] - expected[n]).max() / max(np.abs(expected[n] - before[n]).max(), 1e-9)
        )
        for n in expected
    )


def _repeats(m: Measurement) -> dict[str, bool]:
    """Whether two runs, and a resumed one, agree bit for bit; by how cuDNN chooses."""
    images = at_size(m.data.training[:512], m.plan.chapter_size, m.plan)
    recipe = m.chapter("bf16").changed(momentum=0.9, flip=True, crop=2)
    network = network_of(m.plan.chapter, images, 10)

    def run(repeatable: bool, stop: int | None) -> Any:
        speed = m.plan.speed(repeatable=repeatable)
        session = session_of(network, recipe, m.plan, speed)
        for step in range(8):
            if step == stop:
                saved = session.state()
                session = session_of(network, recipe, m.plan, speed)
                session.restore(saved)
            Ours(session, images)()
        return session.state()

    def same(one: Any, other: Any) -> bool:
        return all(np.array_equal(one[name], other[name]) for name in one)

    first = run(True, None)
    return {
        "two runs": same(first, run(True, None)),
        "resumed": same(first, run(True, 4)),
        "two runs, cuDNN times its algorithms": same(run(False, None), run(False, None)),
    }


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


def accuracy(m: Measurement) -> dict[str, Any]:
    """Seconds of training until the validation accuracy is reached, by a recipe of that name."""
    if not m.data.real:
        return {"left out": "needs Fashion-MNIST: --data FOLDER"}
    runs = [_to_accuracy(m, seed) for seed in range(m.seeds)]
    return {"recipe": m.recipe, "aim": AIM, "runs": runs}


def _to_accuracy(m: Measurement, seed: int) -> dict[str, Any]:
    changes = {"epochs": 1, "batch": 32, "grow": [], "milestones": []} if m.plan.small else {}
    recipe = recipes.named(m.recipe).changed(seed=seed, precision="bf16", **changes)
    return _trained(m, recipe)


def accurate(m: Measurement) -> dict[str, Any]:
    """The recipe for accuracy in fewer epochs, its rate falling in a line; the test set once."""
    if not m.data.real:
        return {"left out": "needs Fashion-MNIST: --data FOLDER"}
    changes: dict[str, Any] = {"schedule": "linear", "milestones": [], "warmup": 0.1}
    changes |= {"batch": 32, "skip": 0.0} if m.plan.small else {"batch": 256, "rate": 0.2}
    recipe = recipes.named(m.plan.accurate).changed(
        epochs=m.plan.accurate_epochs, precision="bf16", **changes
    )
    return {"recipe": to_json(recipe)} | _trained(m, recipe)


def _trained(m: Measurement, recipe: Recipe) -> dict[str, Any]:
    """Train as a recipe says, steps recorded; validation and test accuracy, and times."""
    images = at_size(m.data.training, recipe.size, m.plan)
    kept, held = split(images.labels, recipe.validation or 0.05, recipe.seed)
    data = TrainingData(images[kept], images[held])
    network = network_of(recipe.network, images, 10)
    pixels = mean_and_std(data.training) if recipe.normalise else ((0.0,), (1.0,))
    session = session_of(network, recipe, m.plan, m.plan.speed(), pixels)
    epochs = [e for e in train(session, data, recipe) if isinstance(e, Epoch)]
    seconds = np.cumsum([epoch.seconds for epoch in epochs]).tolist()
    reached = [
        s for s, e in zip(seconds, epochs, strict=True) if (e.validation_accuracy or 0) >= AIM
    ]
    plain, both = evaluate_both(session.eval_step, at_size(m.data.test, recipe.size, m.plan))
    return {
        "seed": recipe.seed,
        "seconds_to_aim": reached[0] if reached else None,
        "seconds": seconds[-1],
        "preparing_seconds": session.preparing,
        "validation_accuracies": [epoch.validation_accuracy for epoch in epochs],
        "training_losses": [epoch.training_loss for epoch in epochs],
        "test_accuracy": plain.accuracy,
        "test_accuracy_mirrored": both.accuracy,
    }


def others(m: Measurement) -> dict[str, Any]:
    """JAX and TensorFlow, where they are here: the device they take, and three steps there."""
    found: dict[str, Any] = {}
    for name in ("torch", "jax", "tensorflow"):
        if find_spec(name) is None:
            found[name] = {"left out": "not installed"}
            continue
        device = "cpu" if name == "torch" or m.plan.device.type == "cpu" else "auto"
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "steps.json"
            command = [sys.executable, str(Path(__file__).with_name("gpu_other.py"))]
            ended = subprocess.run(
                [*command, name, device, str(out)], capture_output=True, text=True, timeout=240
            )
            if out.is_file():
                found[name] = json.loads(out.read_text())
            else:
                found[name] = {"failed": ended.stderr[-800:]}
    expected = found["torch"].get("losses")
    for answer in found.values():
        if expected and "losses" in answer:
            pairs = zip(answer["losses"], expected, strict=True)
            answer["apart"] = max(abs(a - b) / abs(b) for a, b in pairs)
    return found


PARTS: dict[str, Part] = {
    "machine": machine,
    "parity": parity,
    "limit": limit,
    "step": step,
    "job": job,
    "large": large,
    "accuracy": accuracy,
    "others": others,
    "accurate": accurate,
    "step, compiled": lambda m: step(m, compiled=True),
    "job, compiled": lambda m: job(m, compiled=True),
    "large, compiled": lambda m: large(m, compiled=True),
}


def main() -> int:
    """Take the parts one after the other; write what is known after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--data", type=Path, help="folder with Fashion-MNIST's files")
    parser.add_argument("--recipe", default="steady", help="for the time to 94%%")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=PARTS, help="parts; all unless named")
    parser.add_argument("--budget", type=float, default=540, help="seconds; no part begins after")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    given = parser.parse_args()
    began = time.perf_counter()
    plan = Plan.of(device_called(given.device), small=given.small)
    m = Measurement(plan, data_of(given.data, plan), given.recipe, given.seeds)
    m.found["date"] = f"{datetime.now(UTC):%Y-%m-%d}"
    failed = False
    for name in given.only or PARTS:
        started = time.perf_counter()
        if started - began > given.budget:
            m.found[name] = {"left out": "no time"}
        else:
            try:
                m.found[name] = PARTS[name](m)
            except Exception as error:  # one part must not lose the others
                failed = True
                m.found[name] = {"failed": f"{type(error).__name__}: {error}"}
                traceback.print_exc()
        m.found[name]["part_seconds"] = round(time.perf_counter() - started, 1)
        given.out.write_text(json.dumps(m.found, indent=2) + "\n")
        print(f"{name}: {json.dumps(m.found[name])}", flush=True)
        if plan.device.type == "cuda":
            torch.cuda.empty_cache()
    print(f"{time.perf_counter() - began:.0f} s, written to {given.out}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
