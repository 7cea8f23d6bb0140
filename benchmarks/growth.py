"""Does growing pay? Accuracy against compute: networks grown while they train, and from scratch.

Every arm but "never grown" ends as the same network and is trained by the same recipe otherwise.
Accuracies are those of the best epoch on the held-out validation images; the test figures are not
looked at. Compute is counted: three times the forward multiply-adds, times the images seen. Seconds
are those of the steps, validation aside.

Each run is a line of ``--runs`` once it has ended, and is not trained again: after a kill, or with
more seeds or arms, only what is missing is; with ``--kept`` nothing is, and figures that are not of
today and of this machine are written only where ``--write`` asks for them.

    python benchmarks/growth.py [--seeds 0 1 2] [--arms scratch identity …]

The recipe is ``growth.toml``; of the runs kept those are taken that agree with it in everything
but its name, also where a run is older than a setting and so has its default.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from growth_arms import ARMS, Work
from growth_figure import draw
from resnets.cli.flags import NO_FLAGS, resolve
from resnets.recipes.recipe import Recipe
from resnets.schema import from_json, to_json
from resnets.training import job, records
from resnets.training.events import Progress
from resnets.training.run_folder import METRICS, TIMINGS, RunFolder
from training_step import RESULTS, write

IMAGES = Path(__file__).parent / "images"
RECIPE = Path(__file__).parent / "growth.toml"
DRAWN = 3
"""Seeds that an arm needs to be in the picture; fewer where none has so many."""


def run(name: str, recipe: Recipe, framework: str, device: str) -> dict[str, Any]:
    """Train once; give its line: what it was, and every epoch's figures."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        task = job.Job(recipe=recipe, folder=path, framework=framework, device=device)
        job.follow(job.run(task), [])
        logs = RunFolder(path)
        epochs = records.read_epochs(
            logs.records(METRICS), logs.records(TIMINGS), progress=Progress()
        )
    kept = ("multiply_adds", "training_loss", "validation_loss", "validation_accuracy", "seconds")
    return {
        "arm": name,
        "framework": framework,
        "recipe": to_json(recipe),
        "epochs": [{key: getattr(epoch, key) for key in kept} for epoch in epochs],
    }


def past(path: Path) -> list[dict[str, Any]]:
    """Read the runs that have ended; a line half written is none."""
    found: list[dict[str, Any]] = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def same_run(line: Mapping[str, Any], recipe: Recipe) -> bool:
    """Whether a line is of a run by ``recipe``; a setting newer than the line has its default."""
    return replace(from_json(Recipe, line["recipe"], "a run's recipe"), name="") == replace(
        recipe, name=""
    )


def best(line: Mapping[str, Any]) -> float:
    """The accuracy of a run's best epoch."""
    return max(epoch["validation_accuracy"] for epoch in line["epochs"])


def seconds(line: Mapping[str, Any]) -> float:
    """What a run's steps took."""
    return sum(epoch["seconds"] for epoch in line["epochs"])


def summary(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Give each arm's figures; compute, time and accuracy against "scratch", seed by seed."""
    base = {line["recipe"]["seed"]: line for line in found.get("scratch", ())}
    figures: dict[str, dict[str, Any]] = {}
    for arm, lines in found.items():
        accuracies = [best(line) for line in lines]
        figures[arm] = {
            "accuracy": mean(accuracies),
            "accuracies": accuracies,
            "multiply_adds": lines[0]["epochs"][-1]["multiply_adds"],
            "seconds": mean(map(seconds, lines)),
        }
        pairs = [(line, base[seed]) for line in lines if (seed := line["recipe"]["seed"]) in base]
        if not pairs:
            continue
        ahead = [best(line) - best(other) for line, other in pairs]
        figures[arm] |= {
            "compute": mean(
                line["epochs"][-1]["multiply_adds"] / other["epochs"][-1]["multiply_adds"]
                for line, other in pairs
            ),
            "time": mean(seconds(line) / seconds(other) for line, other in pairs),
            "ahead": mean(ahead),
            "ahead_error": stdev(ahead) / len(ahead) ** 0.5 if len(ahead) > 1 else None,
        }
    return figures


def show(figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the table: shares of "scratch", and how far ahead of it, in points."""
    print(f"\n{'':28} compute  time  accuracy (range)             against scratch    n")
    for arm, row in figures.items():
        low, high = min(row["accuracies"]), max(row["accuracies"])
        shares, ahead = " " * 13, ""
        if "compute" in row:
            shares = f"{row['compute']:7.0%} {row['time']:5.0%}"
            error = row["ahead_error"]
            ahead = f"{100 * row['ahead']:+.2f}" + (
                "" if error is None else f" ± {100 * error:.2f}"
            )
        accuracy = f"{row['accuracy']:.2%} ({low:.2%} to {high:.2%})"
        print(f"{arm:28} {shares}  {accuracy:27} {ahead:>16} {len(row['accuracies']):4}")


def results_name(chosen: argparse.Namespace, default: argparse.Namespace) -> str:
    """Name the figures: growth, and what of recipe and networks is not the usual."""
    given, usual = (
        [Path(one.recipe).stem.removeprefix("growth_"), Path(one.small).stem, Path(one.large).stem]
        for one in (chosen, default)
    )
    own = [name for name, other in zip(given, usual, strict=True) if name != other]
    return "_".join(["growth", *own])


def main(arguments: Sequence[str] | None = None) -> None:
    """Train every arm with every seed, seeds outermost; print, draw and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default=str(RECIPE), help="a name, or a JSON or TOML file")
    parser.add_argument("--small", default="resnet8_thin", help="the network that grows")
    parser.add_argument("--large", default="resnet20_thin", help="what it becomes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--framework", default="torch")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runs", type=Path, default=RESULTS / "growth_runs.jsonl")
    parser.add_argument(
        "--kept", action="store_true", help="train nothing: of each arm what is kept"
    )
    parser.add_argument("--write", action="store_true", help="with --kept: write the figures, too")
    parser.add_argument("--figure", type=Path, default=IMAGES / "growth.svg")
    chosen = parser.parse_args(arguments)
    work = Work(resolve(chosen.recipe, NO_FLAGS), chosen.small, chosen.large)
    recipes = {
        (arm, seed): work.recipe_of(ARMS[arm], seed) for seed in chosen.seeds for arm in chosen.arms
    }
    done = past(chosen.runs)
    found: dict[str, list[dict[str, Any]]] = {arm: [] for arm in chosen.arms}
    for (arm, seed), recipe in recipes.items():
        same = (one for one in done if same_run(one, recipe))
        line = next((one for one in same if one["framework"] == chosen.framework), None)
        if line is None and chosen.kept:
            continue
        if line is None:
            line = run(arm, recipe, chosen.framework, chosen.device)
            chosen.runs.parent.mkdir(parents=True, exist_ok=True)
            with chosen.runs.open("a") as file:
                file.write(json.dumps(line) + "\n")
        found[arm].append(line)
        spent = f"{line['epochs'][-1]['multiply_adds']:.3g} multiply-adds"
        print(
            f"seed {seed}  {arm:28} {spent}  {seconds(line):6.0f} s  {best(line):.2%}", flush=True
        )
    found = {arm: lines for arm, lines in found.items() if lines}
    figures = summary(found)
    show(figures)
    most = max(map(len, found.values()))
    drawn = {arm: lines for arm, lines in found.items() if len(lines) >= min(DRAWN, most)}
    draw(
        {arm: [line["epochs"] for line in lines] for arm, lines in drawn.items()},
        {arm: [g["epoch"] for g in lines[0]["recipe"]["grow"]] for arm, lines in drawn.items()},
        chosen.figure,
    )
    if chosen.write or not chosen.kept:
        name = results_name(chosen, parser.parse_args([]))
        write(name, {"seeds": chosen.seeds, "recipe": to_json(work.recipe), "arms": figures})


if __name__ == "__main__":
    main()
