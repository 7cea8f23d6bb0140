"""What a run starts from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnets.data.images import Dataset, Images
from resnets.errors import DataError, InvalidDescription, RunError
from resnets.networks import catalog
from resnets.networks.named import find_architecture
from resnets.networks.spec import Norm
from resnets.networks.weights import check
from resnets.recipes.recipe import Recipe
from resnets.training.preparation import prepare


def _dataset(n: int, classes: int = 2, channels: int = 3, size: int = 28) -> Dataset:
    pixels = np.random.default_rng(0).integers(0, 256, (n, size, size, channels), dtype=np.uint8)
    images = Images(pixels, np.arange(n) % classes)
    return Dataset("made", tuple(f"c{i}" for i in range(classes)), images, lambda: images)


def test_the_network_is_fitted_to_the_data() -> None:
    dataset = _dataset(50, classes=5)
    network, data = prepare(catalog.get("resnet8_slim"), Recipe(validation=0.2), dataset)
    assert (network.architecture.channels, network.architecture.classes) == (3, 5)
    check(network.architecture, network.weights)
    assert data.validation is not None
    assert (len(data.training), len(data.validation)) == (40, 10)
    scaled = data.training.pixels / 255
    np.testing.assert_allclose(network.preprocessing.mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-9)
    np.testing.assert_allclose(network.preprocessing.std, scaled.std(axis=(0, 1, 2)), rtol=1e-9)


def test_without_normalisation_and_without_validation() -> None:
    recipe = Recipe(validation=0.0, normalise=False)
    network, data = prepare(catalog.get("resnet8_slim"), recipe, _dataset(6))
    assert (network.preprocessing.mean, network.preprocessing.std) == ((0.0,) * 3, (1.0,) * 3)
    assert data.validation is None and len(data.training) == 6


def test_too_few_images() -> None:
    with pytest.raises(DataError, match="1 images to train on"):
        prepare(catalog.get("resnet8_slim"), Recipe(), _dataset(1))


def test_a_norm_with_a_single_value_is_refused_before_training() -> None:
    recipe = Recipe(batch=1, size=8)
    with pytest.raises(RunError, match="batch of 2 or larger images"):
        prepare(catalog.get("resnet18"), recipe, _dataset(8, size=8))
    prepare(catalog.get("resnet18_small"), Recipe(batch=1, size=28), _dataset(8))
    with pytest.raises(RunError, match="use a batch of 2 or larger images, or skip fewer"):
        prepare(
            catalog.get("resnet18"), Recipe(size=8, skip=0.9, validation=0.0), _dataset(8, size=8)
        )
    for kind in ("group", "none"):  # these do not look at other images
        alone = replace(catalog.get("resnet8_slim"), norm=Norm(kind=kind, groups=2))
        prepare(alone, recipe, _dataset(8, size=8))


def test_a_network_in_a_file_takes_the_files_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"stages": [{"depth": 1, "width": 8}]}')
    assert find_architecture(str(path)).name == "mine"
    path.write_text('{"stages": []}')
    with pytest.raises(InvalidDescription, match="stages"):
        find_architecture(str(path))
    with pytest.raises(RunError, match="no such file"):
        find_architecture(str(tmp_path / "gone.json"))
