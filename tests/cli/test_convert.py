"""``resnets convert``: what is written opens again, what stands there is spared."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backends.networks import random_weights
from commands import resnets, resnets_process
from resnets import files
from resnets.backends import torch as backend
from resnets.convert import read, receive
from resnets.convert.conversion import convert
from resnets.convert.writing import write
from resnets.errors import ResnetsError, WeightsError
from resnets.networks import catalog, folder
from resnets.networks.network import Network, Preprocessing


def network(name: str = "resnet8_slim", seed: int = 0, **changes: Any) -> Network:
    a = catalog.get(name, **changes)
    preprocessing = Preprocessing(size=28, mean=(0.1,) * a.channels, std=(0.5,) * a.channels)
    names = tuple(f"class {i}" for i in range(a.classes))
    return Network(a, random_weights(a, seed), preprocessing, names)


def assert_same(one: Network, other: Network) -> None:
    assert one.architecture == other.architecture
    assert (one.preprocessing, one.class_names) == (other.preprocessing, other.class_names)
    assert one.weights.keys() == other.weights.keys()
    for name, array in one.weights.items():
        np.testing.assert_array_equal(array, other.weights[name])


@pytest.mark.parametrize("name", ["net", "net.a1_in1k", "deep/in/folders", "net.safetensors"])
def test_what_is_written_is_read_whole(tmp_path: Path, name: str) -> None:
    before = network()
    kind = write(before, tmp_path / name)
    assert kind == ("safetensors file" if name.endswith("safetensors") else "folder")
    received = receive(tmp_path / name)
    assert_same(before, received.network)
    assert received.notes == ()
    write(network(seed=1), tmp_path / name)  # what was written here may be replaced
    assert_same(network(seed=1), read(tmp_path / name))
    assert sorted(p.name for p in tmp_path.iterdir()) == [name.split("/")[0]]


def test_torch_opens_the_file_as_it_is(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    before = network()
    write(before, tmp_path / "net.safetensors")
    model = backend.build(before.architecture, seed=9)
    model.load_state_dict(load_file(tmp_path / "net.safetensors"))
    for name, array in backend.dump(model).items():
        np.testing.assert_array_equal(array, before.weights[name])


@pytest.mark.parametrize("name", ["net.pth", "net.PT", "net.bin", "net.onnx", "net.json"])
def test_forms_that_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=r"not written|not a form"):
        write(network(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def made(path: Path, what: str) -> None:
    """Put something in the way."""
    if what == "a run":
        folder.save(network(), path)
        (path / "recipe.json").write_text("{}")
    elif what == "notes":
        folder.save(network(), path)
        (path / "notes.txt").write_text("mine")
    elif what == "timm":
        folder.save(network(), path)
        (path / "config.json").write_text('{"architecture": "resnet18"}')
    elif what == "a file":
        path.write_text("mine")
    else:
        folder.save_weights(network().weights, path)


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [
        ("net", "a run", "a run folder, which is never overwritten"),
        ("net", "notes", "holds notes.txt"),
        ("net", "timm", "not written by resnets"),
        ("net", "a file", "exists and is no folder"),
        ("net.safetensors", "weights", "does not tell that resnets wrote it"),
        ("net.safetensors", "a file", "does not tell that resnets wrote it"),
        ("net.h5", "a file", "does not tell that resnets wrote it"),
        ("net.keras", "a file", "does not tell that resnets wrote it"),
        ("net.params", "a file", "does not tell that resnets wrote it"),
    ],
)
def test_what_is_not_ours_is_never_overwritten(
    tmp_path: Path, name: str, what: str, said: str
) -> None:
    target = tmp_path / name
    made(target, what)
    inside = target.rglob("*") if target.is_dir() else [target]
    before = {path: path.read_bytes() for path in inside}
    source = tmp_path / "source"
    folder.save(network(seed=1), source)
    with pytest.raises(WeightsError, match=said):
        convert(str(source), target)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("name", ["net", "net.safetensors"])
@pytest.mark.parametrize("there", [False, True])
def test_an_interruption_leaves_the_old_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, there: bool
) -> None:
    target = tmp_path / name
    if there:
        write(network(), target)
    calls = {"left": 1 if name == "net" else 0}

    def failing(descriptor: int) -> None:
        calls["left"] -= 1
        if calls["left"] < 0:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", failing)
    with pytest.raises(WeightsError, match="No space left"):
        write(network(seed=1), target)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ([name] if there else [])
    if there:
        assert_same(network(), read(target))


def test_a_folder_onto_itself(tmp_path: Path) -> None:
    """The arrays read are still in the file that is replaced."""
    for name in ("net", "net.safetensors"):
        write(network("cifar_resnet20"), tmp_path / name)
        convert(str(tmp_path / name), tmp_path / name, channels=1, adapt="sum")
        found = read(tmp_path / name)
        assert found.architecture.channels == 1
        kernel = network("cifar_resnet20").weights["layer3.1.conv2.weight"]
        np.testing.assert_array_equal(found.weights["layer3.1.conv2.weight"], kernel)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    folder.save_weights(random_weights(catalog.get("cifar_resnet20")), path)
    return path


@pytest.fixture
def state_dict(tmp_path: Path) -> Path:
    a = catalog.get("cifar_resnet20")
    path = tmp_path / "net.pth"
    tensors = {name: torch.from_numpy(array) for name, array in random_weights(a).items()}
    torch.save({"state_dict": {f"module.{name}": value for name, value in tensors.items()}}, path)
    return path


def test_the_command(state_dict: Path, tmp_path: Path) -> None:
    done = resnets("convert", "net.pth", "net", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    for part in (
        "read net.pth (PyTorch file)",
        "cifar_resnet20: 3 channels, 32 pixels, 10 classes, 269,722 parameters",
        "taken for cifar_resnet20",
        "preprocessing assumed: 32 pixels",
        "written net (folder)",
    ):
        assert part in said
    done = resnets(
        *("convert", "net", "one.safetensors", "--classes", 2, "--reset-head", "--channels", 1),
        *("--input", "repeat", "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["source_kind"] == "folder of resnets"
    assert (told["architecture"]["classes"], told["architecture"]["channels"]) == (2, 1)
    shown = resnets("show", "one.safetensors", "--json", cwd=tmp_path)
    assert json.loads(shown.stdout)["parameters"] == told["parameters"]


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("net.safetensors", "out", "--classes", "3"), "--reset-head"),
        (("net.safetensors", "out", "--channels", "1"), "--input sum"),
        (("net.safetensors", "out", "--network", "resnet18"), "missing"),
        (("net.safetensors", "out.pth"), "out.pth"),
        (("gone", "out"), "gone"),
        (("owner/gone", "out"), "owner/gone"),
    ],
)
def test_mistakes_get_a_sentence(
    bare: Path, tmp_path: Path, arguments: tuple[str, ...], culprit: str
) -> None:
    # The hub's client reads its settings when it is imported.
    run = resnets_process if arguments[0] == "owner/gone" else resnets
    done = run("convert", *arguments, cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert culprit in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_foreign_weights_predict(bare: Path, tmp_path: Path, picture_folder: Path) -> None:
    """Notes go to stderr, predictions to stdout."""
    image = next(picture_folder.glob("bag/*.png"))
    done = resnets("predict", "net.safetensors", image, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "note: taken for cifar_resnet20" in done.stderr
    assert len(json.loads(done.stdout)["classes"]) == 3


def test_a_missing_torch_is_named(
    state_dict: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ResnetsError, match=r'torch.*pip install "resnets\[torch\]"'):
        read(state_dict)


def test_safetensors_are_described_without_any_framework(bare: Path) -> None:
    code = (
        "import sys; from resnets import convert; "
        f"print(convert.describe({str(bare)!r}).architecture.name); "
        "print({'torch', 'jax', 'tensorflow', 'mxnet', 'keras', 'h5py'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["cifar_resnet20", "set()"]
