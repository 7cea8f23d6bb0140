"""Deployed folders: damaged files are detected and named."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.networks import network, pixels
from resnets.data.images import Images
from resnets.errors import RunError, WeightsError
from resnets.export import build_onnx, deploy, open_engine, select_fastest
from resnets.export.deployment import check_damage, read_chosen_engine
from resnets.networks import catalog
from resnets.networks.network import Network

READS = {
    "onnxruntime": "model.onnx",
    "openvino": "model.onnx",
    "onnxruntime-int8": "model-int8.onnx",
    "openvino-int8": "model-int8.onnx",
}
"""The file that each engine reads beside the network."""


@pytest.fixture(scope="module")
def slim() -> Network:
    return network(catalog.get("resnet8_slim"), size=28)


@pytest.fixture(scope="module")
def exported(slim: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all forms of a network."""
    images = Images(pixels(slim.architecture, 28, 28, n=12), np.zeros(12, np.int64))
    engines = ["onnxruntime", "onnxruntime-int8"]
    found = select_fastest(slim, training=images, engines=engines, batch=2, rounds=1)
    folder = tmp_path_factory.mktemp("exported") / "made"
    deploy(found, folder)
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(exported, tmp_path / "made"))


def forget_sums(folder: Path) -> None:
    """Make the folder one that an older version wrote."""
    path = folder / "engine.json"
    value = json.loads(path.read_text())
    value.pop("sha256", None)
    path.write_text(json.dumps(value))


def of_more_classes(made: Network) -> bytes:
    """An ONNX file that is whole, and another network's."""
    a = replace(made.architecture, classes=made.architecture.classes + 1)
    return build_onnx(network(a, size=made.preprocessing.size))


def damage(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", READS)
def test_an_engine_refuses_a_damaged_file_and_looks_at_no_other(
    name: str, slim: Network, folder: Path
) -> None:
    for path in folder.iterdir():
        if path.name not in (READS[name], "engine.json"):
            path.write_bytes(b"damaged")
    assert open_engine(name, slim, folder=folder)(pixels(slim.architecture, 28, 28)).shape == (
        3,
        10,
    )
    path = folder / READS[name]
    damage(path)
    with pytest.raises(WeightsError, match=f"{path} is damaged: .*; export it again"):
        open_engine(name, slim, folder=folder)


@pytest.mark.parametrize("name", READS)
def test_an_engine_refuses_a_missing_file(name: str, slim: Network, folder: Path) -> None:
    path = folder / READS[name]
    path.unlink()
    with pytest.raises(WeightsError, match=f"{path} is missing"):
        open_engine(name, slim, folder=folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_network_is_refused(name: str, folder: Path) -> None:
    check_damage(folder)
    damage(folder / name)
    with pytest.raises(WeightsError, match=f"{folder / name} is damaged"):
        check_damage(folder)
    forget_sums(folder)
    check_damage(folder)


@pytest.mark.parametrize("name", READS)
def test_a_folder_of_an_older_version_opens(name: str, slim: Network, folder: Path) -> None:
    forget_sums(folder)
    assert read_chosen_engine(folder).startswith("onnxruntime")
    assert open_engine(name, slim, folder=folder)(pixels(slim.architecture, 28, 28)).shape == (
        3,
        10,
    )


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_what_fails_while_it_computes_gets_a_sentence(
    name: str, slim: Network, folder: Path
) -> None:
    forget_sums(folder)
    path = folder / "model.onnx"
    path.write_bytes(build_onnx(network(slim.architecture, size=20)))
    stored = pixels(slim.architecture, 28, 28)
    for images in (stored, stored[:1]):
        wrong = r"(Got invalid dimensions|Can't set the input tensor)"
        with pytest.raises(RunError, match=rf"{name} cannot compute {path}: [^\n]*{wrong}"):
            open_engine(name, slim, folder=folder)(images)
    path.write_bytes(of_more_classes(slim))
    with pytest.raises(RunError, match=rf"{path} gives logits of shape \(3, 11\) for 3 images"):
        open_engine(name, slim, folder=folder)(stored)


def test_openvinos_message_is_the_line_that_says_something(slim: Network, folder: Path) -> None:
    forget_sums(folder)
    path = folder / "model.onnx"
    content = path.read_bytes()
    for damaged, said in (
        (b"no model at all", "Unable to read the model"),
        (content[: len(content) // 2], "Error during import of ONNX model"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=f"openvino cannot open {path}: {said}"):
            open_engine("openvino", slim, folder=folder)


def test_a_choice_with_damaged_sums_gets_a_sentence(slim: Network, folder: Path) -> None:
    (folder / "engine.json").write_text('{"format": 1, "engine": "torch", "sha256": 5}')
    with pytest.raises(RunError, match=r"engine\.json"):
        open_engine("onnxruntime", slim, folder=folder)
