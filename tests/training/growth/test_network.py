"""A run whose network grows: how fast new tensors learn, and that it goes on after any stop."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from rich.console import Console

from backends.networks import random_weights
from resnets.errors import InvalidDescription, RunError
from resnets.networks import catalog
from resnets.networks.folder import load, load_weights
from resnets.networks.initialization import initial_weights, last_scales
from resnets.networks.network import Network, Preprocessing
from resnets.networks.spec import Norm
from resnets.networks.tracing import trace
from resnets.recipes import presets
from resnets.recipes.recipe import Growth, Recipe
from resnets.recipes.schedule import Schedule
from resnets.report.console import run_report
from resnets.schema import to_json
from resnets.training.events import Event, Step
from resnets.training.growth.network import GrowingNetwork
from resnets.training.growth.targets import plan_growths
from resnets.training.job import Job, follow, run
from resnets.training.monitor.curves import CurveDrawer
from resnets.training.monitor.progress import choose_view

pytestmark = pytest.mark.slow

SLIM = catalog.get("resnet8_slim")
PREPROCESSING = Preprocessing(size=28, mean=(0.3,), std=(0.3,))
RECIPE = Recipe(
    network="resnet8_slim",
    epochs=10,
    batch=16,
    size=14,
    validation=0.2,
    rate=0.02,
    momentum=0.9,
    stochastic_depth=0.3,
    precision="fp64",
).replace(
    grow=[
        {"epoch": 2, "depths": [1, 1, 2], "warmup": 0.4, "scale_rate": 3, "fade_in": 0.3},
        {"epoch": 4, "to": "resnet14_slim", "warmup": 0.2, "start": "random"},
    ]
)
"""The first growth's warm-up (4 epochs) goes on beside the second's (2)."""


def growing(recipe: Recipe = RECIPE, per_epoch: int = 5) -> GrowingNetwork:
    network = Network(SLIM, random_weights(SLIM), PREPROCESSING, ("a", "b"))
    schedule = Schedule(recipe, per_epoch * recipe.batch)
    return GrowingNetwork(network, plan_growths(recipe, SLIM), schedule)


def test_new_tensors_rise_to_the_whole_rate_each_from_its_own_growth() -> None:
    found = [growing().lr_scales(step) for step in range(50)]
    assert not any(found[:10])
    # What is left then is the faster scale of the first growth.
    assert all(shares == {"layer3.1.bn2.weight": 3} for shares in found[30:])
    for step in range(10, 30):
        risen = found[step].get("layer3.1.conv1.weight", 1.0)
        assert found[step].get("layer3.1.bn2.weight", 1.0) == pytest.approx(3 * risen)
    first = [shares.get("layer3.1.conv1.weight", 1.0) for shares in found]
    second = [shares.get("layer1.1.bn2.weight", 1.0) for shares in found]
    assert first[10:31] == pytest.approx([(n + 1) / 21 for n in range(20)] + [1.0])
    assert second[20:31] == pytest.approx([(n + 1) / 11 for n in range(10)] + [1.0])
    blocks = {".".join(name.split(".")[:2]) for name in found[20]}
    assert blocks == {"layer1.1", "layer2.1", "layer3.1"}
    assert not any("running" in name for name in found[20])
    slow = growing(RECIPE.replace(grow=[{"epoch": 2, "to": "resnet14_slim"}]))
    assert not any(slow.lr_scales(step) for step in range(50))


def test_new_last_scales_are_raised_by_one_each_from_its_own_growth() -> None:
    """But for those that begin at random; and not before the first step after the event."""
    faded = RECIPE.replace(
        grow=[
            {"epoch": 2, "depths": [1, 1, 2], "fade_in": 0.4},
            {"epoch": 4, "depths": [2, 1, 2], "fade_in": 0.1, "start": "copy"},
            {"epoch": 9, "to": "resnet14_slim", "fade_in": 0.5, "start": "random"},
        ]
    )
    found = [growing(faded).parameter_additions(step) for step in range(50)]
    first, second = "layer3.1.bn2.weight", "layer1.1.bn2.weight"
    for step, lifts in enumerate(found):
        names = {first: range(11, 31), second: range(21, 26)}
        assert lifts.keys() == {name for name, steps in names.items() if step in steps}
        for name, amount in lifts.items():
            np.testing.assert_allclose(amount, 1 / len(names[name]), err_msg=name)


@pytest.mark.parametrize("scheme", ["he", "xavier"])
@pytest.mark.parametrize("kind", ["no norms", "pre-activation", "before another growth"])
def test_kernels_that_end_branches_become_what_they_would_be_drawn_as(
    kind: str, scheme: Literal["he", "xavier"]
) -> None:
    """Also where a growth between old blocks gives them other names meanwhile."""
    base = replace(SLIM, norm=Norm(kind="none"))
    if kind == "pre-activation":
        base = catalog.get("cifar_resnetv2_110", channels=3)
        base = replace(base, stages=tuple(replace(stage, depth=2) for stage in base.stages))
    depths = [stage.depth + 1 for stage in base.stages]
    growths: list[dict[str, Any]] = [{"epoch": 2, "depths": depths, "fade_in": 0.4}]
    if kind == "before another growth":
        more = {"placement": "interleaved", "start": "random"}
        growths.append({"epoch": 3, "depths": [n + 2 for n in depths], **more})
    recipe = RECIPE.replace(grow=growths, initialisation=scheme, seed=4)
    network = Network(base, random_weights(base), PREPROCESSING, ("a", "b"))
    schedule = Schedule(recipe, 5 * recipe.batch)
    found = GrowingNetwork(network, plan_growths(recipe, base), schedule)
    total: dict[str, Any] = {}
    for step in range(50):
        for name, amount in found.parameter_additions(step).items():
            total[name] = total.get(name, 0) + amount
    first, last = found.plans[0], found.plans[-1]
    drawn = initial_weights(first.target, seed=4, scheme=scheme)
    new = {name for name, old in first.origins.items() if old is None}
    ends = new & last_scales(trace(first.target, 32))
    assert len(ends) == len(depths) and all(drawn[name].ndim == 4 for name in ends)
    if last is first:
        assert total.keys() == ends
        for name, amount in total.items():
            np.testing.assert_allclose(amount, drawn[name], rtol=1e-6, atol=1e-9)
        return
    assert found.parameter_additions(14).keys() == ends
    later = found.parameter_additions(15)  # after the second growth
    assert later.keys() == {n for n, old in last.origins.items() if old in ends} != ends
    for name, amount in later.items():
        np.testing.assert_allclose(amount, drawn[str(last.origins[name])] / 20, rtol=1e-6)


def test_fading_in_ends_with_the_training_and_lasts_a_step_at_least() -> None:
    late = growing(RECIPE.replace(grow=[{"epoch": 9, "to": "resnet14_slim"}]))
    short = growing(RECIPE.replace(grow=[{"epoch": 1, "to": "resnet14_slim"}]), per_epoch=1)
    schedule = replace(short.schedule, recipe=replace(short.schedule.recipe, epochs=3))
    brief = replace(short, schedule=schedule)
    for found, steps in ((late, 50), (short, 10), (brief, 3)):
        lifts = [
            found.parameter_additions(step).get("layer2.1.bn2.weight", np.zeros(1))
            for step in range(steps)
        ]
        np.testing.assert_allclose(sum(lifts), 1)


def test_trained_weights_may_grow_at_once() -> None:
    grow = [{"epoch": 0, "to": "resnet14_slim"}]
    with pytest.raises(InvalidDescription, match=r"grow\[0\].epoch: 0 is not after 0 and before"):
        RECIPE.replace(grow=grow)
    recipe = RECIPE.replace(grow=grow, start="runs/x")
    assert not growing(recipe).parameter_additions(0) and growing(recipe).parameter_additions(1)


def test_a_recipe_saved_before_growths_were_faded_in_means_what_it_meant() -> None:
    saved = to_json(RECIPE)
    for growth in saved["grow"]:
        assert growth.pop("fade_in")
    assert [growth.fade_in for growth in presets.recipe_from_json(saved).grow] == [0, 0]
    by_hand = {"grow": [{"epoch": 2, "to": "resnet14_slim", "warmup": 0.1}]}
    assert presets.recipe_from_json(by_hand).grow[0].fade_in == Growth.fade_in > 0


def test_a_network_advances_through_its_growths_and_not_beyond() -> None:
    found = growing()
    found.advance(2)
    assert [stage.depth for stage in found.network.architecture.stages] == [2, 2, 2]
    with pytest.raises(RunError, match="has grown 3 times, the recipe less"):
        growing().advance(3)


class Stopped(Exception):
    """What the run below dies of."""


class Stopping:
    """A consumer that ends the run after some step, once its state is saved."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, event: Event) -> None:
        if isinstance(event, Step) and event.step > self.after:
            raise Stopped


def trained(recipe: Recipe, folder: Path, stops: Sequence[tuple[str, int]] = ()) -> Path:
    """Train with each framework until after its step, the last time with torch to the end."""
    for framework, after in stops:
        job = Job(recipe=recipe, folder=folder, framework=framework, resume=True, save_seconds=0)
        with pytest.raises(Stopped):
            follow(run(job), [Stopping(after)])
    last = Job(recipe=recipe, folder=folder, resume=True, save_seconds=0)
    follow(run(last), [CurveDrawer(print)])
    return folder


@pytest.fixture(scope="module")
def recipe(picture_folder: Path) -> Recipe:
    return replace(RECIPE, data=str(picture_folder))


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run never stopped."""
    return trained(recipe, tmp_path_factory.mktemp("whole") / "run")


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_run_stopped_anywhere_in_its_warm_ups_ends_in_the_same_bits(
    recipe: Recipe, whole: Path, tmp_path: Path
) -> None:
    stops = [("torch", step) for step in (9, 10, 11, 15, 20, 22, 29, 31)]
    folder = trained(recipe, tmp_path / "run", stops)
    for name in ("metrics.jsonl", "result.json", "model.safetensors"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    one, other = (load_weights(f / "state.safetensors")[0] for f in (folder, whole))
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_run_goes_through_all_frameworks_in_its_warm_ups(
    recipe: Recipe, whole: Path, tmp_path: Path
) -> None:
    stops = [("jax", 12), ("tensorflow", 17), ("mxnet", 23)]
    found, expected = logged(trained(recipe, tmp_path / "run", stops)), logged(whole)
    assert [line["event"] for line in found] == [line["event"] for line in expected]
    for line, other in zip(found, expected, strict=True):
        for key in {"loss", "training_loss", "validation_loss"} & line.keys():
            assert line[key] == pytest.approx(other[key], rel=1e-4), line


def test_a_finished_run_grows_at_once_and_is_trained_on(
    recipe: Recipe, whole: Path, tmp_path: Path
) -> None:
    more = [{"epoch": 0, "depths": [3, 2, 2], "fade_in": 0.5}]
    further = recipe.replace(start=str(whole), epochs=2, grow=more)
    folder = trained(further, tmp_path / "run", [("torch", 1), ("torch", 3)])
    once = trained(further, tmp_path / "once")
    for name in ("metrics.jsonl", "model.safetensors", "result.json"):
        assert (folder / name).read_bytes() == (once / name).read_bytes(), name
    first = logged(folder)[0]
    assert (first["event"], first["epoch"], first["step"]) == ("growth", 0, 0)
    scale = load_weights(folder / "state.safetensors")[0]["weights/layer1.2.bn2.weight"]
    assert np.abs(scale - 1).max() < 0.2
    assert "3-2-2 after epoch 0" in reported(
        json.loads((folder / "result.json").read_text()), folder
    )
    assert (folder / "curves.svg").is_file()


def test_compute_is_counted_and_cheaper_before_it_grew(recipe: Recipe, whole: Path) -> None:
    epochs = [line for line in logged(whole) if line["event"] == "epoch"]
    images = 16 * (epochs[0]["step"])
    channels = load(whole).architecture.channels
    small, last = (
        3 * trace(catalog.get(name, channels=channels, classes=3), 14).multiply_adds
        for name in ("resnet8_slim", "resnet14_slim")
    )
    costs = np.diff([0, *(epoch["multiply_adds"] for epoch in epochs)])
    assert costs[0] == costs[1] == small * images
    assert all(costs[4:] == last * images) and small * images < costs[2] < last * images
    result = json.loads((whole / "result.json").read_text())
    assert result["multiply_adds"] == epochs[-1]["multiply_adds"]
    assert result["multiply_adds_ungrown"] == 10 * last * images
    said = reported(result, whole)
    assert "1-1-2 after epoch 2, 2-2-2 after epoch 4" in said
    assert f"{result['multiply_adds'] / result['multiply_adds_ungrown']:.0%} of" in said


def reported(result: dict[str, Any], folder: Path) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(run_report(result, folder))
    return console.export_text()


def test_a_run_that_keeps_the_network_from_before_it_grew_says_so(
    recipe: Recipe, tmp_path: Path
) -> None:
    # Random blocks, and a rate that falls to nothing: what grew is worse.
    late = [{"epoch": 5, "to": "resnet14_slim", "start": "random"}]
    changed = recipe.replace(epochs=6, schedule="linear", grow=late)
    folder = trained(changed, tmp_path / "run")
    result = json.loads((folder / "result.json").read_text())
    assert result["best_epoch"] <= 5 and result["network"] == "resnet8_slim"
    assert result["kept_depths"] == [1, 1, 1] and result["growth"][0]["depths"] == [2, 2, 2]
    said = reported(result, folder)
    assert f"epoch {result['best_epoch']}, resnet8_slim, before it grew " in said


def test_what_was_kept_is_said_where_it_grew_afterwards(whole: Path) -> None:
    result = json.loads((whole / "result.json").read_text())
    for best, kept in ((2, "before it grew"), (3, "before it grew again"), (5, "")):
        said = reported({**result, "best_epoch": best}, whole)
        line = next((line for line in said.splitlines() if line.startswith("kept")), "")
        assert line.strip().endswith(kept) and bool(line) == bool(kept)


def test_a_view_of_the_real_kind_shows_such_a_run(recipe: Recipe, tmp_path: Path) -> None:
    short = recipe.replace(epochs=3, grow=[{"epoch": 1, "to": "resnet14_slim", "warmup": 0.5}])
    with choose_view(quiet=True) as quiet:
        job = Job(recipe=short, folder=tmp_path / "run")
        result = follow(run(job), [quiet.show, CurveDrawer(quiet.note)])
    assert [g["depths"] for g in result["growth"]] == [[2, 2, 2]]
    drawn = (tmp_path / "run" / "curves.svg").read_text()
    assert drawn.count(">2-2-2<") == 2
    assert drawn.count("resnet8_slim, grown to 2-2-2") == 1
