"""``grow``, ``prune-depth`` and ``train --start`` on real images, as a user meets them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import resnets
from resnets.inference.evaluate import load_held_out
from resnets.networks.folder import load, save_weights


@pytest.fixture(scope="module")
def run(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three classes, and what is made of it beside it."""
    cwd = tmp_path_factory.mktemp("depth")
    done = resnets(
        *("train", "--data", picture_folder, "--network", "resnet8_slim", "--size", 14),
        *("--batch", 16, "--validation", 0.2, "--epochs", 6, "--run", "run"),
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr
    return cwd / "run"


@pytest.fixture(scope="module")
def deeper(run: Path) -> Path:
    done = resnets("grow", run, "--to", "2-3-1", "-o", "deeper", cwd=run.parent)
    assert done.returncode == 0, done.stderr
    assert "2-3-1 blocks" in done.stdout and "the same function, bit for bit" in done.stdout
    return run.parent / "deeper"


def test_a_grown_network_gives_the_same_figures(run: Path, deeper: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    recipe = json.loads((run / "recipe.json").read_text())
    done = resnets("evaluate", deeper, "--data", recipe["data"], "--json", cwd=run.parent)
    found = json.loads(done.stdout)
    assert (found["accuracy"], found["loss"]) == (result["test_accuracy"], result["test_loss"])


def test_what_was_added_is_cut_again_and_leaves_the_same_weights(run: Path, deeper: Path) -> None:
    data = json.loads((run / "recipe.json").read_text())["data"]
    cwd = run.parent
    ranked = resnets("prune-depth", deeper, "--data", data, "--json", cwd=cwd)
    costs = {cost["block"]: cost for cost in json.loads(ranked.stdout)}
    assert set(costs) == {"layer1.1", "layer2.1", "layer2.2"}
    assert all(cost["loss"] == 0 for cost in costs.values())
    cut = resnets("prune-depth", deeper, "--data", data, "--blocks", 3, "-o", "cut", cwd=cwd)
    assert cut.returncode == 0, cut.stderr
    assert "without layer2.2: loss" in cut.stderr and "1-1-1 blocks, in cut" in cut.stdout
    whole, back = load(run), load(cwd / "cut")
    assert back.weights.keys() == whole.weights.keys()
    for name, array in whole.weights.items():
        np.testing.assert_array_equal(back.weights[name], array)


def test_a_folder_spelled_otherwise_is_the_runs_own(
    run: Path, deeper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(json.loads((run / "recipe.json").read_text())["data"])
    monkeypatch.chdir(data.parent)
    said: list[str] = []
    own = load_held_out(run, load(run), name=None, announce=said.append)
    for name in (f"./{data.name}", f"{data}/", str(data / ".." / data.name)):
        np.testing.assert_array_equal(
            load_held_out(run, load(run), name=name, announce=said.append).labels, own.labels
        )
    assert not any("may have been among them" in text for text in said)
    load_held_out(deeper, load(deeper), name=str(data), announce=said.append)
    assert any("may have been among them" in text for text in said)


def test_weights_that_tell_no_architecture_grow_by_a_stated_one(run: Path) -> None:
    cwd, file = run.parent, run.parent / "bare.safetensors"
    save_weights(load(run).weights, file)
    same = (file, "--to", "2-2-2", "--network", "resnet8_slim", "--json")
    done = resnets("grow", *same, "-o", "stated", cwd=cwd)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["blocks"] == [2, 2, 2]
    assert "note: no names of classes: they are numbered from 0" in done.stderr


def test_training_starts_from_weights(run: Path, deeper: Path, picture_folder: Path) -> None:
    # Of the size that the weights know, where none is named.
    arguments = ("train", "--start", deeper, "--batch", 16, "--epochs", 1)
    cwd, same = run.parent, ("--data", picture_folder, "--run", "on")
    done = resnets(*arguments, *same, "--rate", 1e-6, cwd=cwd)
    assert done.returncode == 0, done.stderr
    network = load(cwd / "on")
    assert [stage.depth for stage in network.architecture.stages] == [2, 3, 1]
    assert network.preprocessing == load(run).preprocessing
    moved = np.abs(
        network.weights["layer1.0.conv1.weight"] - load(run).weights["layer1.0.conv1.weight"]
    )
    assert 0 < moved.max() < 1e-4


def test_other_classes_need_a_choice(run: Path, deeper: Path, tmp_path: Path) -> None:
    data = tmp_path / "other"
    recipe = json.loads((run / "recipe.json").read_text())
    for name in sorted(p for p in Path(recipe["data"]).iterdir() if p.is_dir())[:2]:
        (data / f"new {name.name}").parent.mkdir(exist_ok=True)
        (data / f"new {name.name}").symlink_to(name)
    arguments = ("train", "--start", deeper, "--data", data, "--size", 14, "--batch", 8)
    refused = resnets(*arguments, "--epochs", 1, "--run", "new", cwd=tmp_path)
    assert refused.returncode == 1 and "--reset-head" in refused.stderr
    assert not (tmp_path / "new").exists()
    done = resnets(*arguments, "--epochs", 1, "--run", "new", "--reset-head", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "new").architecture.classes == 2


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("grow", "run", "--to", "resnet18", "-o", "x"), "stem.width"),
        (("grow", "run", "--to", "3-3", "-o", "x"), "'3-3'"),
        (("grow", "run", "--to", "", "-o", "x"), "''"),
        (("grow", "run", "--to", "1-1-1", "-o", "x"), "1-1-1"),
        (("grow", "begun", "--to", "2-2-2", "-o", "x"), "begun"),
        (("prune-depth", "begun"), "begun"),
        (("train", "--start", "run", "--network", "resnet18"), "--network"),
        (("grow", "run", "--to", "2-2-2", "-o", "run"), "--out"),
        (("grow", "nowhere", "--to", "2-2-2", "-o", "x"), "nowhere"),
        (("prune-depth", "run", "--blocks", 9, "-o", "x", "--data", "gone"), "9 blocks"),
        (("prune-depth", "run", "--blocks", -1, "-o", "x", "--data", "gone"), "-1 blocks"),
        (("prune-depth", "run", "--share", 0.1, "-o", "x", "--data", "gone"), "10.0%"),
        (("prune-depth", "run", "--blocks", 1), "--out"),
        (("prune-depth", "run", "--share", 2, "-o", "x"), "--share 2"),
        (("prune-depth", "deeper"), "deeper"),
        (("train", "--reset-head"), "reset_head"),
    ],
)
def test_mistakes_get_a_sentence(
    run: Path, deeper: Path, arguments: tuple[Any, ...], culprit: str
) -> None:
    begun = run.parent / "begun"
    begun.mkdir(exist_ok=True)
    for name in ("config.json", "recipe.json"):
        shutil.copy(run / name, begun)
    done = resnets(*arguments, cwd=run.parent)
    assert done.returncode == 1
    assert culprit in done.stderr and "Traceback" not in done.stderr
    assert not (run.parent / "x").exists()
