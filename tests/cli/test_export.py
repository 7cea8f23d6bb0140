"""``resnets export``, and ``--engine`` of what uses a network, as a person types them."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file, save_file

from backends.networks import relative_difference
from commands import resnets
from resnets import data
from resnets.inference.evaluate import make_framework_evaluator
from resnets.networks.folder import load


@pytest.fixture(scope="module")
def trained(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on real images of three classes."""
    place = tmp_path_factory.mktemp("trained")
    command = [
        *("train", "--data", picture_folder, "--network", "resnet8_slim", "--size", 14),
        *("--batch", 16, "--validation", 0.2, "--epochs", 3, "--run", "run"),
    ]
    done = resnets(*command, cwd=place)
    assert done.returncode == 0, done.stderr
    return place / "run"


def typed(*arguments: object) -> tuple[int, str, str]:
    """Return the exit status of a command and what it wrote."""
    done = resnets(*arguments)
    return done.returncode, done.stdout, done.stderr


def test_a_run_becomes_a_file(trained: Path, picture_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "made" / "model.onnx"
    code, out, err = typed("export", trained, "--to", path)
    assert (code, err) == (0, "")
    assert "images: uint8 [n, 14, 14, 3]" in out
    assert f"logits: float32 [n, 3] written {path} (ONNX, opset 17," in " ".join(out.split())
    stored = data.load_dataset(str(picture_folder), size=14).training[:16].pixels
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": stored})
    assert (
        relative_difference(
            logits,
            make_framework_evaluator(load(trained), trained, framework="torch", device="cpu")(
                stored
            ),
        )
        < 1e-5
    )
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["class_names"]) == ["bag", "dress", "sneaker"]


def test_int8_is_calibrated_on_the_runs_training_images(trained: Path, tmp_path: Path) -> None:
    whole, plain = tmp_path / "int8.onnx", tmp_path / "fp32.onnx"
    code, out, _ = typed("export", trained, "--to", whole, "--int8", "--json")
    assert code == 0
    assert json.loads(out)["int8"] is True
    assert typed("export", trained, "--to", plain, "--size", 20)[0] == 0
    assert whole.stat().st_size < plain.stat().st_size / 3
    shape = onnxruntime.InferenceSession(plain).get_inputs()[0].shape
    assert shape == ["n", 20, 20, 3]


def test_a_run_becomes_a_folder_that_predicts(
    trained: Path, picture_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    engines = ("onnxruntime", "onnxruntime-int8")
    code, out, err = typed("export", trained, "--to", folder, "--engine", *engines, "--single")
    assert code == 0
    assert "calibrating int8" in err
    assert "torch-plain" in out  # what the others are compared with
    assert "held-out images" in out
    chosen = json.loads((folder / "engine.json").read_text())
    assert chosen["engine"] in engines
    rows = {row["engine"]: row for row in chosen["measured"]["engines"]}
    assert set(rows) == {"torch-plain", *engines}
    assert all(row["accuracy"] is not None for row in rows.values())
    for engine in ("auto", *engines):
        image = picture_folder / "bag" / "00.png"
        code, out, _ = typed("predict", folder, image, "--engine", engine, "--json")
        assert code == 0
        best = json.loads(out)["classes"][0]
        code, out, _ = typed("predict", folder, image, "--json")
        usual = json.loads(out)["classes"][0]
        assert best["class"] == usual["class"]
        assert best["probability"] == pytest.approx(usual["probability"], abs=0.1)
    code, out, _ = typed("evaluate", folder, "--data", picture_folder, "--engine", "onnxruntime")
    assert code == 0
    same = typed("evaluate", folder, "--data", picture_folder)[1]
    assert out.splitlines()[:2] == same.splitlines()[:2]


def test_a_catalogs_name_has_random_weights(tmp_path: Path) -> None:
    code, _, err = typed("export", "resnet8_slim", "--to", tmp_path / "a.onnx", "--size", 9)
    assert code == 0
    assert "random weights: to try speed, not to use" in err


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("--to", "a.onnx", "--engine", "openvino"), "--engine"),
        (("--to", "a.onnx", "--single"), "--engine"),
        (("--to", "a.onnx", "--data", "nowhere"), "--data"),
        (("--to", "a", "--no-fold"), "--no-fold"),
        (("--to", "a", "--int8"), "--engine openvino-int8"),
        (("--to", "a.onnx", "--int8", "--any-size"), "--any-size"),
        (("--to", "a.onnx", "--int8"), "--data"),
        (("--to", "a", "--engine", "tensorrt"), "'tensorrt'"),
        (("--to", "a", "--images", "0"), "images: 0"),
        (("--to", "a.onnx", "--size", "0"), "size"),
    ],
)
def test_a_mistake_gets_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    culprit: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = typed("export", "resnet8_slim", *arguments)
    assert (code, out) == (1, "")
    assert culprit in err
    assert list(tmp_path.iterdir()) == []


def test_what_stands_there_stays(trained: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in trained.iterdir() if path.is_file()}
    code, _, err = typed("export", trained, "--to", trained)
    assert code == 1
    assert "exists; choose another name" in err
    assert before == {path: path.read_bytes() for path in trained.iterdir() if path.is_file()}
    (tmp_path / "other.onnx").write_bytes(np.zeros(8).tobytes())
    code, _, err = typed("export", trained, "--to", tmp_path / "other.onnx")
    assert code == 1
    assert "does not tell that resnets wrote it" in err


def test_a_run_that_held_nothing_out_calibrates_int8(trained: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps({**recipe, "validation": 0.0}))
    code, out, err = typed("export", run, "--to", tmp_path / "a.onnx", "--int8")
    assert code == 0, err
    assert "calibrated on" in out


def test_a_place_that_cannot_be_is_refused_first(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    code, out, err = typed("export", trained, "--to", tmp_path / "file" / "made")
    assert (code, out) == (1, "")
    assert f"cannot be made: {tmp_path / 'file'} is no folder" in err
    assert "round 1" not in err


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_an_engine_and_a_framework_are_one_too_many(trained: Path, command: str) -> None:
    images = ["x.png"] * (command == "predict")
    given = ("--engine", "onnxruntime", "--framework", "torch")
    code, out, err = typed(command, trained, *images, *given)
    assert (code, out) == (1, "")
    assert "--framework" in err


def test_a_damaged_model_names_no_classes(
    trained: Path, picture_folder: Path, tmp_path: Path
) -> None:
    folder, image = tmp_path / "made", picture_folder / "bag" / "00.png"
    assert typed("export", trained, "--to", folder, "--engine", "onnxruntime")[0] == 0
    assert typed("predict", folder, image, "--engine", "auto")[0] == 0
    other = tmp_path / "other.onnx"
    assert typed("export", "resnet8_slim", "--to", other, "--size", 14)[0] == 0
    shutil.copy(other, folder / "model.onnx")
    code, out, err = typed("predict", folder, image, "--engine", "auto")
    assert (code, out) == (1, "")
    assert f"error: {folder / 'model.onnx'} is damaged: " in err
    # Frameworks read the weights instead.
    assert typed("predict", folder, image)[0] == 0
    weights = dict(load_file(folder / "model.safetensors"))
    save_file({**weights, "fc.weight": -weights["fc.weight"]}, folder / "model.safetensors")
    code, out, err = typed("predict", folder, image)
    assert (code, out) == (1, "")
    assert f"error: {folder / 'model.safetensors'} is damaged: " in err


def test_a_damaged_config_names_no_classes(
    trained: Path, picture_folder: Path, tmp_path: Path
) -> None:
    folder, image = tmp_path / "made", picture_folder / "bag" / "00.png"
    assert typed("export", trained, "--to", folder, "--engine", "onnxruntime")[0] == 0
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("sneaker", "handbag"))
    for engine in ((), ("--engine", "auto")):
        code, out, err = typed("predict", folder, image, *engine)
        assert (code, out) == (1, "")
        assert f"error: {folder / 'config.json'} is damaged: " in err
    choice = json.loads((folder / "engine.json").read_text())
    del choice["sha256"]["config.json"]  # as an older version wrote it
    (folder / "engine.json").write_text(json.dumps(choice))
    assert typed("predict", folder, image)[0] == 0


@pytest.fixture(params=["gone", "no longer whole"])
def orphan(
    request: pytest.FixtureRequest, trained: Path, picture_folder: Path, tmp_path: Path
) -> Path:
    """A run whose images are gone, or have lost a class."""
    run, pictures = Path(shutil.copytree(trained, tmp_path / "run")), tmp_path / "pictures"
    if request.param != "gone":
        shutil.copytree(picture_folder, pictures)
        shutil.rmtree(pictures / "bag")
    recipe = json.loads((run / "recipe.json").read_text())
    (run / "recipe.json").write_text(json.dumps({**recipe, "data": str(pictures)}))
    return run


def test_without_its_images_a_run_is_measured_on_noise(orphan: Path, tmp_path: Path) -> None:
    folder = tmp_path / "made"
    engines = ("onnxruntime", "onnxruntime-int8")
    code, out, err = typed("export", orphan, "--to", folder, "--engine", *engines)
    assert code == 0
    assert "note: no images of the run: " in err
    assert str(tmp_path / "pictures") in err
    assert "--data names images" in err
    assert "images of noise" in out
    written = json.loads((folder / "engine.json").read_text())
    assert (written["engine"], written["measured"]["real"]) == ("onnxruntime", False)
    assert not (folder / "model-int8.onnx").exists()


def test_int8_without_images_says_how_to_name_some(
    orphan: Path, picture_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    code, out, err = typed("export", orphan, "--to", path, "--int8")
    assert (code, out, path.exists()) == (1, "", False)
    assert "note: no images of the run: " in err
    assert "--data" in err.splitlines()[-1]
    missing = tmp_path / "missing"
    code, _, err = typed("export", orphan, "--to", path, "--int8", "--data", missing)
    assert code == 1
    assert f"error: no data set is called {str(missing)!r}" in err
    code, _, err = typed("export", orphan, "--to", path, "--int8", "--data", picture_folder)
    assert code == 0


def test_calibration_needs_no_labels(trained: Path, picture_folder: Path, tmp_path: Path) -> None:
    weights, folder = trained / "model.safetensors", tmp_path / "made"
    named = ("--network", "resnet8_slim", "--size", 14, "--data", picture_folder)
    code, _, err = typed("export", weights, *named, "--int8", "--to", tmp_path / "int8.onnx")
    assert code == 0
    assert "has the classes bag, dress, sneaker; the network in" in err
    assert "knows 0, 1, 2: its images are used without labels" in err
    assert "states what it is" not in err
    engines = ("onnxruntime", "onnxruntime-int8")
    code, out, _ = typed("export", weights, *named, "--engine", *engines, "--to", folder)
    assert code == 0
    assert "held-out images" in out
    assert "accuracy" not in out
    measured = json.loads((folder / "engine.json").read_text())["measured"]
    assert measured["real"]
    assert all(row["agreement"] > 0.5 and row["accuracy"] is None for row in measured["engines"])


def test_calibration_needs_the_networks_channels(picture_folder: Path, tmp_path: Path) -> None:
    code, _, err = typed(
        *("export", "resnet8_slim", "--int8", "--data", picture_folder, "--to"),
        tmp_path / "int8.onnx",
    )
    assert code == 1
    assert f"error: {picture_folder} has 3 channels; the network in resnet8_slim takes 1" in err


def test_the_network_can_be_stated(trained: Path, tmp_path: Path) -> None:
    weights, path = trained / "model.safetensors", tmp_path / "a.onnx"
    code, _, err = typed("export", weights, "--to", path, "--network", "resnet18")
    assert (code, path.exists()) == (1, False)
    assert "weights do not fit resnet18" in err
    code, out, _ = typed("export", weights, "--to", path, "--network", "resnet8_slim")
    assert code == 0
    assert "network  resnet8_slim\n" in out


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("--engine", "tensorrt"), "'tensorrt'"),
        (("--images", "0"), "images: 0"),
        (("--engine", "openvino"), 'pip install "resnets[openvino]"'),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_read(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    culprit: str,
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("something is read")

    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "openvino" else there(name)
    )
    monkeypatch.setattr("resnets.data.load_dataset", read)
    monkeypatch.setattr("resnets.inference.sources.receive", read)
    code, _, err = typed("export", trained, "--to", tmp_path / "made", *arguments)
    assert code == 1
    assert culprit in err
