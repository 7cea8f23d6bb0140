"""How accurate in how many seconds?"""

import argparse
from typing import Any

import numpy as np

from gpu_measurement import Measurement
from gpu_work import at_size, network_of, session_of
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


def accuracy(m: Measurement) -> dict[str, Any]:
    """Seconds of training until the validation accuracy is reached, by a recipe of that name."""
    if not m.data.real:
        return {"left out": "needs Fashion-MNIST: --data FOLDER"}
    runs = [_to_accuracy(m, seed) for seed in range(m.seeds)]
    return {"recipe": m.recipe, "aim": AIM, "runs": runs}


def _to_accuracy(m: Measurement, seed: int) -> dict[str, Any]:
    changes = {"epochs": 1, "batch": 32, "grow": [], "milestones": []} if m.plan.small else {}
    recipe = presets.named(m.recipe).changed(seed=seed, precision="bf16", **changes)
    return _trained(m, recipe)


def accurate(m: Measurement) -> dict[str, Any]:
    """The recipe for accuracy in fewer epochs, its rate falling in a line; the test set once."""
    if not m.data.real:
        return {"left out": "needs Fashion-MNIST: --data FOLDER"}
    changes: dict[str, Any] = {"schedule": "linear", "milestones": [], "warmup": 0.1}
    changes |= {"batch": 32, "skip": 0.0} if m.plan.small else {"batch": 256, "rate": 0.2}
    recipe = presets.named(m.plan.accurate).changed(
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/gpu.py")
