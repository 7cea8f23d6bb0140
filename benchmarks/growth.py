"""Does growing pay? Accuracy against compute: a network grown while it trains, and from scratch.

Every arm ends as the same network and is trained by recipe quick otherwise. Accuracies are those of
the best epoch on the held-out validation images; the test figures are not looked at. Compute is
counted: three times the forward multiply-adds, times the images seen.

    python benchmarks/growth.py [--seeds 0 1 2] [--arms scratch identity …]
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from resnets import catalog, job, recipes
from resnets.progress import view
from resnets.recipe import Recipe
from resnets.tracing import trace
from training_step import write

SMALL, LARGE = "resnet8_slim", "resnet14_slim"
GROWN_AFTER = 4
GROWN = {"network": SMALL, "grow": [{"epoch": GROWN_AFTER, "to": LARGE}]}


def grown(**changes: object) -> dict[str, object]:
    """Settings of an arm that grows once."""
    return {**GROWN, "grow": [{"epoch": GROWN_AFTER, "to": LARGE, **changes}]}


ARMS: dict[str, dict[str, object]] = {
    "scratch": {"network": LARGE},
    "scratch, as much compute": {"network": LARGE, "epochs": 6},
    "never grown": {"network": SMALL},
    "identity": grown(),
    "copy": grown(start="copy"),
    "random": grown(start="random"),
    "identity, interleaved": grown(placement="interleaved"),
}


def compute(recipe: Recipe, images: int) -> float:
    """Multiply-adds of the whole training."""
    total, network, since = 0.0, recipe.network, 0
    for growth in (*recipe.grow, None):
        until = growth.epoch if growth else recipe.epochs
        a = catalog.get(network, channels=1, classes=10)
        total += 3 * trace(a, recipe.size).multiply_adds * images * (until - since)
        network, since = (growth.to if growth else network), until
    return total


def run(recipe: Recipe) -> float:
    """Give the best validation accuracy."""
    with tempfile.TemporaryDirectory() as folder, view(quiet=True) as quiet:
        result = job.run(job.Job(recipe=recipe, folder=Path(folder) / "run"), quiet)
    return float(result["validation_accuracy"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Train every arm with every seed, seeds outermost; print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    chosen = parser.parse_args(arguments)
    quick = recipes.named("quick")
    whole = compute(quick.changed(**ARMS["scratch"]), 57_000)
    found: dict[str, list[float]] = {arm: [] for arm in chosen.arms}
    for seed in chosen.seeds:
        for arm in chosen.arms:
            recipe = quick.changed(**ARMS[arm], seed=seed)
            found[arm].append(run(recipe))
            share = compute(recipe, 57_000) / whole
            print(f"seed {seed}  {arm:26} compute {share:4.0%}  {found[arm][-1]:.2%}", flush=True)
    print()
    for arm, values in found.items():
        share = compute(quick.changed(**ARMS[arm]), 57_000) / whole
        low, high = min(values), max(values)
        print(f"{arm:26} compute {share:4.0%}  mean {mean(values):.2%} ({low:.2%} to {high:.2%})")
    shares = {arm: compute(quick.changed(**ARMS[arm]), 57_000) / whole for arm in found}
    write("growth", {"seeds": chosen.seeds, "compute": shares, "validation_accuracy": found})


if __name__ == "__main__":
    main()
