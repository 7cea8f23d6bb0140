"""How much of a training step goes into choosing, drawing, gathering and augmenting the batch.

python benchmarks/loading.py [--steps 15]
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from resnets import backends
from resnets.backends import Batch
from resnets.data.augmentation import draw_parameters, step_indices
from resnets.data.images import Images
from resnets.networks import catalog
from resnets.networks.network import Preprocessing
from resnets.recipes import presets
from resnets.recipes.recipe import Recipe
from training_step import write

EVERYTHING = {"flip": True, "crop": 4, "erase": 0.5, "mixup": 0.2, "cutmix": 1.0}
CASES: dict[str, tuple[Recipe, int]] = {
    "quick": (presets.get_preset("quick"), 1),
    "quick, all augmentation": (presets.get_preset("quick").replace(**EVERYTHING), 1),
    "chapter": (presets.get_preset("chapter").replace(precision="auto"), 1),
    "resnet18 at 96, colour, all augmentation": (
        presets.get_preset("quick").replace(network="resnet18", size=96, **EVERYTHING),
        3,
    ),
}


def seconds(action: Callable[[int], Any], count: int) -> float:
    """Median seconds of ``action``, called with a step's number."""
    taken: list[float] = []
    for step in range(count + 3):
        began = time.perf_counter()
        action(step)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[3:])


def share(recipe: Recipe, channels: int, count: int) -> dict[str, float]:
    """Seconds of a whole step and of its loading."""
    rng = np.random.default_rng(0)
    size = (recipe.size, recipe.size)
    pixels = rng.integers(0, 256, (20 * recipe.batch, *size, channels), dtype=np.uint8)
    images = Images(pixels, rng.integers(0, 10, len(pixels)))
    preprocessing = Preprocessing(size=recipe.size, mean=(0.3,) * channels, std=(0.3,) * channels)
    backend = backends.load("torch")
    model = backend.build(catalog.get(recipe.network, channels=channels, classes=10))
    session: Any = backend.session(model, recipe, preprocessing=preprocessing, device="cpu")
    prepare: Callable[..., Any] = session.prepare

    def batch(step: int) -> Batch:
        index = step_indices(recipe, len(images), step=step)
        return Batch(images[index], draw_parameters(recipe, step, count=len(index), size=size))

    def load(step: int) -> None:
        made = batch(step)
        prepare(made.images.pixels, made.augmentation)

    whole = seconds(lambda step: session.train_step(batch(step), 0.01).loss, count)
    loading = seconds(load, count)
    return {"step": whole, "loading": loading, "share": loading / whole}


def main() -> None:
    """Measure every case, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=15, help="of which the median is taken")
    steps = parser.parse_args().steps
    figures: dict[str, dict[str, float]] = {}
    print(f"{'':42} {'step':>10} {'loading':>10} {'share':>7}")
    for name, (recipe, channels) in CASES.items():
        row = figures[name] = share(recipe, channels, steps)
        print(
            f"{name:42} {1e3 * row['step']:7.1f} ms {1e3 * row['loading']:7.2f} ms"
            f" {row['share']:7.1%}"
        )
        sys.stdout.flush()
    write("loading", {"figures": figures})


if __name__ == "__main__":
    main()
