"""Deployed folders: what an engine reads is what was exported, or is refused by name."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export.networks import network, pixels
from resnets.data.images import Images
from resnets.errors import RunError, WeightsError
from resnets.export import deploy, fastest, onnx_bytes, opened
from resnets.export.deployment import chosen_engine
from resnets.networks import catalog
from resnets.networks.folder import load, save_weights
from resnets.networks.network import Network

READS = {
    "torch-plain": "model.safetensors",
    "onnxruntime": "model.onnx",
    "openvino": "model.onnx",
    "onnxruntime-int8": "model-int8.onnx",
    "openvino-int8": "model-int8.onnx",
}
"""The file that each engine computes from."""


@pytest.fixture(scope="module")
def slim() -> Network:
    return network(catalog.get("resnet8_slim"), size=28)


@pytest.fixture(scope="module")
def exported(slim: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all forms of a network."""
    images = Images(pixels(slim.architecture, 28, 28, n=12), np.zeros(12, np.int64))
    engines = ["onnxruntime", "onnxruntime-int8"]
    found = fastest(slim, training=images, engines=engines, batch=2, rounds=1)
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
    return onnx_bytes(network(a, size=made.preprocessing.size))


@pytest.mark.parametrize("name", READS)
def test_a_swapped_file_is_refused_by_name(name: str, slim: Network, folder: Path) -> None:
    """What stands in its place is whole and fits: nothing but its sum can tell."""
    negated = {**slim.weights, "fc.weight": -slim.weights["fc.weight"]}
    path = folder / READS[name]
    if path.suffix == ".onnx":
        path.write_bytes(onnx_bytes(replace(slim, weights=negated)))
    else:
        save_weights(negated, path)
    with pytest.raises(WeightsError, match=f"{path}: not the file exported .*export .* again"):
        opened(name, load(folder), folder)


@pytest.mark.parametrize("name", READS)
def test_one_byte_is_enough_and_other_files_are_not_looked_at(
    name: str, slim: Network, folder: Path
) -> None:
    for path in folder.iterdir():
        if path.name not in (READS[name], "engine.json"):
            path.write_bytes(b"damaged")
    assert opened(name, slim, folder)(pixels(slim.architecture, 28, 28)).shape == (3, 10)
    path = folder / READS[name]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"{path}: not the file exported"):
        opened(name, slim, folder)


@pytest.mark.parametrize("name", READS)
def test_a_file_that_is_gone_or_came_later(name: str, slim: Network, folder: Path) -> None:
    path = folder / READS[name]
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(WeightsError, match=f"{path}: no such file, though it was exported"):
        opened(name, slim, folder)
    path.write_bytes(content)
    choice = folder / "engine.json"
    value = json.loads(choice.read_text())
    del value["sha256"][path.name]
    choice.write_text(json.dumps(value))
    with pytest.raises(WeightsError, match=f"{path}: not the file exported"):
        opened(name, slim, folder)


@pytest.mark.parametrize("name", READS)
def test_a_folder_of_an_older_version_opens(name: str, slim: Network, folder: Path) -> None:
    forget_sums(folder)
    assert chosen_engine(folder).startswith("onnxruntime")
    assert opened(name, slim, folder)(pixels(slim.architecture, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_what_fails_while_it_computes_gets_a_sentence(
    name: str, slim: Network, folder: Path
) -> None:
    forget_sums(folder)
    path = folder / "model.onnx"
    path.write_bytes(onnx_bytes(network(slim.architecture, size=20)))
    stored = pixels(slim.architecture, 28, 28)
    for images in (stored, stored[:1]):
        wrong = r"(Got invalid dimensions|Can't set the input tensor)"
        with pytest.raises(RunError, match=rf"{name} cannot compute {path}: [^\n]*{wrong}"):
            opened(name, slim, folder)(images)
    path.write_bytes(of_more_classes(slim))
    with pytest.raises(RunError, match=rf"{path} gives logits of shape \(3, 11\) for 3 images"):
        opened(name, slim, folder)(stored)


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
            opened("openvino", slim, folder)


def test_a_choice_with_damaged_sums_gets_a_sentence(slim: Network, folder: Path) -> None:
    (folder / "engine.json").write_text('{"format": 1, "engine": "torch", "sha256": 5}')
    with pytest.raises(RunError, match=r"engine\.json: not the choice of an engine"):
        opened("onnxruntime", slim, folder)
