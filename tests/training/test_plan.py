"""The plan of a run: what is decided before and after its images are known."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from resnets.backends import Backend
from resnets.convert import reading
from resnets.convert.sources import read_source
from resnets.data.images import Dataset, Images
from resnets.errors import DataError, GrowthError, InvalidDescription, RunError, UnknownName
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.folder import save
from resnets.networks.named import find_architecture
from resnets.networks.network import check_weights
from resnets.networks.spec import Norm
from resnets.recipes.recipe import Growth, Recipe
from resnets.training.plan import RunPlan, RunStart, resolve


def _dataset(n: int, classes: int = 2, channels: int = 3, size: int = 28) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (n, size, size, channels), dtype=np.uint8)
    images = Images(pixels, np.arange(n) % classes)
    return Dataset("made", tuple(f"c{i}" for i in range(classes)), images, lambda: images)


def _bind(architecture: Architecture, recipe: Recipe, dataset: Dataset) -> RunStart:
    return RunPlan(recipe=recipe, architecture=architecture, source=None).bind(dataset)


def test_the_network_is_fitted_to_the_data() -> None:
    dataset = _dataset(50, classes=5)
    start = _bind(catalog.get("resnet8_slim"), Recipe(validation=0.2), dataset)
    network, data = start.network, start.data
    assert start.schedule.images == 40
    assert (network.architecture.channels, network.architecture.classes) == (3, 5)
    check_weights(network.architecture, network.weights)
    assert data.validation is not None
    assert (len(data.training), len(data.validation)) == (40, 10)
    scaled = data.training.pixels / 255
    np.testing.assert_allclose(network.preprocessing.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(network.preprocessing.std, scaled.std(axis=(0, 1, 2)), rtol=1e-9)


def test_without_normalisation_and_without_validation() -> None:
    recipe = Recipe(validation=0.0, normalise=False)
    start = _bind(catalog.get("resnet8_slim"), recipe, _dataset(6))
    network, data = start.network, start.data
    assert (network.preprocessing.mean, network.preprocessing.std) == ((0.0,) * 3, (1.0,) * 3)
    assert data.validation is None and len(data.training) == 6


def test_too_few_images() -> None:
    with pytest.raises(DataError, match="1 images to train on"):
        _bind(catalog.get("resnet8_slim"), Recipe(), _dataset(1))


def test_a_norm_with_a_single_value_is_refused_before_training() -> None:
    recipe = Recipe(batch=1, size=8)
    with pytest.raises(RunError, match="batch of 2 or larger images"):
        _bind(catalog.get("resnet18"), recipe, _dataset(8, size=8))
    _bind(catalog.get("resnet18_small"), Recipe(batch=1, size=28), _dataset(8))
    with pytest.raises(RunError, match="use a batch of 2 or larger images, or skip fewer"):
        _bind(
            catalog.get("resnet18"), Recipe(size=8, skip=0.9, validation=0.0), _dataset(8, size=8)
        )
    for kind in ("group", "none"):  # these do not look at other images
        alone = replace(catalog.get("resnet8_slim"), norm=Norm(kind=kind, groups=2))
        _bind(alone, recipe, _dataset(8, size=8))


def test_a_network_in_a_file_takes_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"stages": [{"depth": 1, "width": 8}]}')
    assert find_architecture(str(path)).name == "mine"
    path.write_text('{"stages": []}')
    with pytest.raises(InvalidDescription, match="stages"):
        find_architecture(str(path))
    with pytest.raises(RunError, match="no such file"):
        find_architecture(str(tmp_path / "gone.json"))


class Cpu:
    """The part of a backend that a plan asks."""

    def precision(self, recipe: Recipe, device: str = "auto") -> str:
        return "bf16" if recipe.precision == "auto" else recipe.precision


def _resolve(recipe: Recipe, **options: Any) -> RunPlan:
    return resolve(recipe, cast("Backend", Cpu()), **options)


def test_precision_is_decided_once() -> None:
    assert _resolve(Recipe()).recipe.precision == "bf16"
    assert _resolve(Recipe(), precision="fp32").recipe.precision == "fp32"
    asked = Recipe(precision="fp64")
    assert _resolve(asked, precision="fp32").recipe.precision == "fp64"


def test_weights_to_start_from_are_opened_once_and_may_decide_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(network="resnet8_slim", size=12, validation=0.2)
    before = _bind(catalog.get("resnet8_slim"), recipe, _dataset(20, size=12)).network
    save(before, tmp_path / "net")
    opened: list[str] = []

    def count(source: str, **options: Any) -> Any:
        opened.append(source)
        return read_source(source, **options)

    monkeypatch.setattr(reading, "read_source", count)
    start = Recipe(start=str(tmp_path / "net"), size=28)
    plan = _resolve(start, own_size=True)
    assert plan.recipe.size == 12 and _resolve(start).recipe.size == 28
    opened.clear()
    plan = _resolve(start, own_size=True)
    found = plan.bind(_dataset(20, size=12)).network
    assert opened == [str(tmp_path / "net")]
    assert found.preprocessing == before.preprocessing
    for name, array in before.weights.items():
        np.testing.assert_array_equal(found.weights[name], array)


def test_what_can_be_rejected_is_rejected_before_data_is_read() -> None:
    with pytest.raises(UnknownName):
        _resolve(Recipe(network="resnest50"))
    with pytest.raises(GrowthError):
        _resolve(Recipe(network="resnet8_slim", grow=(Growth(epoch=1, depths=(1, 1)),)))
