"""Seconds of training until Fashion-MNIST is known: recipes by name, seeds, frameworks.

A run is ``resnets train`` in a process of its own. Its time goes from the start of the first step,
with the images in memory, to the end of the last epoch: validation, compilation and saving are in
it. The rest (reading the images, the one look at the test set, drawing) is the difference to
``whole``. Each run is a line of ``--runs`` once it has ended, and is not trained again.

    python benchmarks/time_to_accuracy.py [--recipes quick …] [--frameworks torch …] [--seeds 0 1 …]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from resnets import backends
from resnets.recipes import presets
from resnets.training import job
from resnets.training.events import Epoch, Event, Started
from training_step import RESULTS, write


class Stopwatch:
    """A consumer of events that takes the time."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self.run = event
            self.began = self.ended = time.perf_counter()
        if isinstance(event, Epoch):
            self.ended = time.perf_counter()


def run(recipe: str, framework: str, seed: int) -> dict[str, Any]:
    """Train once in this process; give the figures."""
    watch = Stopwatch()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        task = job.Job(
            recipe=presets.get_preset(recipe).replace(seed=seed),
            folder=Path(folder) / "run",
            framework=framework,
        )
        result = job.follow(job.run(task), [watch])
    return {
        "recipe": recipe,
        "framework": framework,
        "seed": seed,
        "network": result["network"],
        "parameters": watch.run.parameters,
        "precision": watch.run.precision,
        "seconds": round(watch.ended - watch.began, 2),
        "whole": round(time.perf_counter() - began, 2),
        "validation_accuracy": result["validation_accuracy"],
        "test_accuracy": result["test_accuracy"],
        "test_accuracy_mirrored": result.get("test_accuracy_mirrored"),
    }


def missing(given: argparse.Namespace) -> Iterable[tuple[str, str, int]]:
    """The runs asked for that have no line yet; seeds outermost, so that load falls on all."""
    done = {(r["recipe"], r["framework"], r["seed"]) for r in lines(given.runs)}
    asked = [(r, f, s) for s in given.seeds for r in given.recipes for f in given.frameworks]
    return [one for one in asked if one not in done]


def lines(path: Path) -> list[dict[str, Any]]:
    """The runs that have ended."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def apart(recipe: str, framework: str, seed: int) -> str:
    """Train once in a process of its own; give its line."""
    command = [sys.executable, __file__, "--one", recipe, framework, str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    return done.stdout.splitlines()[-1]


def summary(runs: Sequence[dict[str, Any]]) -> list[str]:
    """A line for each recipe and framework: means, spread, n."""
    told: list[str] = []
    for recipe, framework in sorted({(r["recipe"], r["framework"]) for r in runs}):
        same = [r for r in runs if (r["recipe"], r["framework"]) == (recipe, framework)]
        test, seconds = [r["test_accuracy"] for r in same], [r["seconds"] for r in same]
        spread = f"± {stdev(test):.2%}" if len(test) > 1 else ""
        both = [r["test_accuracy_mirrored"] for r in same if r.get("test_accuracy_mirrored")]
        mirrored = f", {mean(both):.2%} with mirrored images (n = {len(both)})" if both else ""
        told.append(
            f"{recipe:9} {framework:10} {same[0]['precision']:4} n = {len(same)}  test "
            f"{mean(test):.2%} {spread} ({min(test):.2%} to {max(test):.2%}){mirrored}, "
            f"{mean(seconds):.0f} s ({min(seconds):.0f} to {max(seconds):.0f})"
        )
    return told


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing; print and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recipes", nargs="+", default=["quick"], choices=list(presets.PRESETS))
    parser.add_argument("--frameworks", nargs="+", default=["torch"], choices=backends.NAMES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--runs", type=Path, default=RESULTS / "time_to_accuracy.jsonl")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one:
        recipe, framework, seed = given.one
        print(json.dumps(run(recipe, framework, int(seed))))
        return
    given.runs.parent.mkdir(parents=True, exist_ok=True)
    for one in missing(given):
        line = apart(*one)
        with given.runs.open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)
    runs = lines(given.runs)
    print("\n".join(["", *summary(runs)]))
    write("time_to_accuracy", {"runs": runs})


if __name__ == "__main__":
    main()
