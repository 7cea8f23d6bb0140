"""A run judged on its own folder of images, which changed since."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.pictures import make_image_folder
from resnets import data
from resnets.errors import DataError
from resnets.inference.evaluate import evaluate_folder, load_training_and_held_out
from resnets.networks.folder import load, save
from resnets.networks.named import find_architecture
from resnets.networks.network import Network
from resnets.recipes.recipe import Recipe
from resnets.schema import to_json
from resnets.training import run_folder
from resnets.training.fingerprint import fingerprint
from resnets.training.plan import RunPlan

WORDS = "may include some it was trained on"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return make_image_folder(tmp_path / "pictures", 60)


@pytest.fixture
def run(pictures: Path, tmp_path: Path) -> Path:
    """What a run leaves that was never trained."""
    recipe = Recipe(network="resnet8_slim", data=str(pictures), size=8, validation=0.2)
    dataset = data.load_dataset(recipe.data, size=8)
    folder = tmp_path / "run"
    plan = RunPlan(recipe=recipe, architecture=find_architecture(recipe.network), source=None)
    save(plan.bind(dataset).network, folder)
    (folder / run_folder.RECIPE).write_text(json.dumps(to_json(recipe)))
    (folder / run_folder.IMAGES).write_text(fingerprint(dataset) + "\n")
    return folder


def network(run: Path, size: int = 8) -> Network:
    found = load(run)
    return replace(found, preprocessing=replace(found.preprocessing, size=size))


def add(pictures: Path) -> None:
    for name in ("a", "b"):
        Image.fromarray(np.full((9, 9, 3), 7, np.uint8)).save(pictures / name / "new.png")


def evaluated(run: Path, name: "str | None" = None) -> str:
    lines: list[str] = []
    evaluate_folder(run, name, framework="torch", device="cpu", announce=lines.append)
    return "\n".join(lines)


def exported(run: Path, name: "str | None" = None, size: int = 8) -> str:
    lines: list[str] = []
    load_training_and_held_out(run, network(run, size), name=name, announce=lines.append)
    return "\n".join(lines)


@pytest.mark.parametrize("judged", [evaluated, exported])
def test_a_change_is_said(judged: Callable[..., str], run: Path, pictures: Path) -> None:
    assert WORDS not in judged(run)
    add(pictures)
    assert f"the images in {pictures} have changed since the run in {run} began" in judged(run)
    assert WORDS in judged(run)


@pytest.mark.parametrize("judged", [evaluated, exported])
def test_the_runs_own_data_by_another_name(
    judged: Callable[..., str], run: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures.parent)
    assert WORDS not in judged(run, "pictures")
    add(pictures)
    assert WORDS in judged(run, "pictures")


@pytest.mark.parametrize("judged", [evaluated, exported])
def test_other_data_is_not_compared(judged: Callable[..., str], run: Path, tmp_path: Path) -> None:
    assert WORDS not in judged(run, str(make_image_folder(tmp_path / "others", 50)))


def test_its_own_folder_by_another_name_is_parted_alike(run: Path, pictures: Path) -> None:
    name = f"{pictures}/../pictures"
    own, same = (
        load_training_and_held_out(run, network(run), name=named, announce=lambda _: None)
        for named in (None, name)
    )
    for one, other in zip(own, same, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_at_another_size(run: Path, pictures: Path) -> None:
    assert WORDS not in exported(run, size=10)
    add(pictures)
    assert WORDS in exported(run, size=10)


def test_a_run_without_a_fingerprint(run: Path, pictures: Path) -> None:
    (run / run_folder.IMAGES).unlink()
    add(pictures)
    assert WORDS not in evaluated(run)


def test_other_classes_are_refused_first(run: Path, pictures: Path) -> None:
    (pictures / "b").rename(pictures / "c")
    with pytest.raises(DataError, match="has the classes a, c"):
        evaluated(run)
