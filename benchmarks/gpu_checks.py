"""Is it right? One step against the CPU, repeated steps, other frameworks, and the accuracy."""

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gpu_work import Measurement, Ours, Plan, at_size, network_of, random_images, session_of
from resnets.data import mean_and_std
from resnets.data.augmentation import split
from resnets.recipes import presets
from resnets.recipes.recipe import Recipe
from resnets.schema import to_json
from resnets.training.events import Epoch
from resnets.training.loop import TrainingData, train
from resnets.training.metrics import evaluate_both

AIM = 0.94
"""Accuracy whose time is measured."""


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
    recipe = m.chapter("bf16").replace(momentum=0.9, flip=True, crop=2)
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


def accuracy(m: Measurement) -> dict[str, Any]:
    """Seconds of training until the validation accuracy is reached, by a recipe of that name."""
    if not m.data.real:
        return {"left out": "needs Fashion-MNIST: --data FOLDER"}
    runs = [_to_accuracy(m, seed) for seed in range(m.seeds)]
    return {"recipe": m.recipe, "aim": AIM, "runs": runs}


def _to_accuracy(m: Measurement, seed: int) -> dict[str, Any]:
    changes = {"epochs": 1, "batch": 32, "grow": [], "milestones": []} if m.plan.small else {}
    recipe = presets.get_preset(m.recipe).replace(seed=seed, precision="bf16", **changes)
    return _trained(m, recipe)


def accurate(m: Measurement) -> dict[str, Any]:
    """The recipe for accuracy in fewer epochs, its rate falling in a line; the test set once."""
    if not m.data.real:
        return {"left out": "needs Fashion-MNIST: --data FOLDER"}
    changes: dict[str, Any] = {"schedule": "linear", "milestones": [], "warmup": 0.1}
    changes |= {"batch": 32, "skip": 0.0} if m.plan.small else {"batch": 256, "rate": 0.2}
    recipe = presets.get_preset(m.plan.accurate).replace(
        epochs=m.plan.accurate_epochs, precision="bf16", **changes
    )
    return {"recipe": to_json(recipe)} | _trained(m, recipe)


def _trained(m: Measurement, recipe: Recipe) -> dict[str, Any]:
    """Train as a recipe says, steps recorded; validation and test accuracy, and times."""
    images = at_size(m.data.training, recipe.size, m.plan)
    kept, held = split(images.labels, recipe.validation or 0.05, seed=recipe.seed)
    data = TrainingData(images[kept], images[held])
    network = network_of(recipe.network, images, 10)
    pixels = mean_and_std(data.training) if recipe.normalise else ((0.0,), (1.0,))
    session = session_of(network, recipe, m.plan, m.plan.speed(), pixels)
    epochs = [e for e in train(session, data, recipe=recipe) if isinstance(e, Epoch)]
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/gpu.py")
