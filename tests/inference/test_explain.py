"""Where the evidence for a class is: exactly what the logits are made of, in every framework."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.dom import minidom

import numpy as np
import pytest
from PIL import Image

from backends.networks import images, random_weights, to_float64
from commands import resnets
from resnets.cli.explain import explain
from resnets.data import folder
from resnets.data.decoding import open_image
from resnets.data.images import Images
from resnets.errors import DataError, RunError, WeightsError
from resnets.inference.evaluate import (
    load_held_out,
    load_training_and_held_out,
    make_framework_evaluator,
)
from resnets.inference.explain import (
    Explainer,
    Explanation,
    Mistakes,
    class_activation_maps,
    find_mistakes,
    preprocess,
)
from resnets.inference.sources import load_calibration_images
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.folder import save
from resnets.networks.network import Network, Preprocessing
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe
from resnets.report.drawing import to_png, to_svg
from resnets.report.drawing.explanations import AGAINST, FOR, draw_explanations
from resnets.schema import to_json
from resnets.training.metrics import Evaluation, log_softmax
from resnets.training.run_folder import RECIPE


@pytest.mark.parametrize("size", [(16, 16), (9, 14), (1, 1)])
def test_the_means_of_the_maps_are_the_logits(small: Architecture, size: tuple[int, int]) -> None:
    weights, x = to_float64(random_weights(small)), images(small, *size).astype(np.float64)
    outputs = reference.forward(small, weights, x)
    steps = trace(small, size)
    maps = class_activation_maps(
        small, weights, last=outputs.outputs[steps.features[f"stage{len(small.stages)}"]]
    )
    bias = weights[steps.layers[-1].tensors[1].name]
    found = maps.mean(axis=(2, 3)) + bias - bias.mean()
    logits = outputs.logits
    np.testing.assert_allclose(found, logits - logits.mean(axis=1, keepdims=True), atol=1e-10)


def test_evidence_is_where_it_was_put() -> None:
    """A network that sees brightness alone: its evidence lies on the bright spot."""
    a = catalog.get("resnet8_slim", channels=1, classes=2)
    last = np.zeros((1, 128, 3, 3))
    last[0, :, 0, 2] = 1
    weights = {n: np.zeros_like(v) for n, v in random_weights(a).items()}
    weights["fc.weight"][0] = 1
    width = weights["fc.weight"].shape[1]
    maps = class_activation_maps(a, weights, last=last[:, :width])
    assert maps[0, 0, 0, 2] == -maps[0, 1, 0, 2] == width / 2
    assert np.count_nonzero(maps) == 2


def test_logits_that_are_not_finite_are_refused(network: Network) -> None:
    weights = {**network.weights, "fc.bias": np.full(3, np.nan, np.float32)}
    explainer = Explainer(replace(network, weights=weights), "torch")
    with pytest.raises(WeightsError):
        explainer(np.zeros((1, 28, 28, 3), np.uint8))


def test_images_are_prepared_as_training_does() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(1, 2, 4, 3)
    found = preprocess(pixels, Preprocessing(size=2, mean=(0.1, 0.2, 0.3), std=(0.5, 1, 2)))
    assert found.shape == (1, 3, 2, 4) and found.dtype == np.float32
    assert found[0, 2, 1, 3] == pytest.approx((23 / 255 - 0.3) / 2)


@pytest.fixture(scope="module")
def network() -> Network:
    """Three classes, of random weights: wrong about most images."""
    a = catalog.get("resnet8_slim", channels=3, classes=3)
    preprocessing = Preprocessing(size=28, mean=(0.3,) * 3, std=(0.3,) * 3)
    return Network(a, random_weights(a), preprocessing, ("bag", "dress", "sneaker"))


@pytest.fixture(scope="module")
def saved(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explaining") / "network"
    save(network, path)
    return path


def test_mistakes_are_the_wrong_images_of_the_largest_loss(
    network: Network, saved: Path, picture_folder: Path
) -> None:
    held = load_training_and_held_out(
        saved, network, name=str(picture_folder), announce=lambda _: None
    )[1]
    logits = make_framework_evaluator(network, saved, framework="torch", device="cpu")(held.pixels)
    losses = -log_softmax(logits)[np.arange(len(held)), held.labels]
    wrong = np.flatnonzero(logits.argmax(axis=1) != held.labels)
    found = find_mistakes(network, saved, str(picture_folder), 2, "torch", "cpu", lambda _: None)
    assert (found.images, found.wrong) == (len(held), len(wrong))
    best = wrong[np.argsort(-losses[wrong], kind="stable")][:2]
    for one, i in zip(found.worst, best, strict=True):
        np.testing.assert_array_equal(one.pixels, held.pixels[i])
        assert one.label == network.class_names[held.labels[i]] == Path(one.image).parent.name
        taken, own = one.classes
        assert taken[0] == network.class_names[logits[i].argmax()] and own[0] == one.label
        assert own[1] == pytest.approx(np.exp(-losses[i]), rel=1e-4)
        opened = open_image(Path(one.image), size=28, channels=3)
        np.testing.assert_array_equal(one.pixels, opened)


def test_a_run_that_held_none_out_shows_mistakes_among_what_it_learned(
    network: Network, picture_folder: Path, tmp_path: Path
) -> None:
    save(network, tmp_path / "run")
    recipe = Recipe(data=str(picture_folder), validation=0)
    (tmp_path / "run" / RECIPE).write_text(json.dumps(to_json(recipe)))
    given = (network, tmp_path / "run", None, 3, "torch", "cpu", lambda _: None)
    with pytest.raises(RunError, match="--data"):
        find_mistakes(*given)
    with pytest.raises(RunError):
        load_held_out(tmp_path / "run", network, name=None, announce=lambda _: None)
    said: list[str] = []
    assert (
        load_calibration_images(str(tmp_path / "run"), network, data=None, announce=said.append)
        is None
    )
    assert "--data" in said[-1]
    found = find_mistakes(*given, trained=True)
    assert found.images == len(folder.load_folder(picture_folder, size=28).training)
    assert len(found.worst) == 3


def test_training_images_are_named_by_their_files(picture_folder: Path, tmp_path: Path) -> None:
    """Also where some cannot be read, and others are the test set."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(12):
            Image.new("RGB", (8, 8), (20 * i, 0, 0)).save(tmp_path / name / f"{i}.png")
        (tmp_path / name / "10b.png").write_bytes(b"no")
    found = folder.load_folder(tmp_path, size=8)
    assert 12 < len(found.training) < 24
    for i, pixels in enumerate(found.training.pixels):
        path = Path(found.image_name(i))
        assert pixels[0, 0, 0] == 20 * int(path.stem)
        assert found.class_names[found.training.labels[i]] == path.parent.name


def test_files_are_explained_the_same_in_every_framework(
    saved: Path, picture_folder: Path, tmp_path: Path
) -> None:
    found: dict[str, Any] = {}
    for framework in ("torch", "jax", "tensorflow", "mxnet"):
        done = resnets(
            *("explain", saved, picture_folder / "bag", "--count", 2, "--top", 2, "--json"),
            *("--framework", framework),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert "note: the first 2 of 40 images" in done.stderr
        found[framework] = [json.loads(line) for line in done.stdout.splitlines()]
    assert not list(tmp_path.iterdir())
    for lines in found.values():
        for one, expected in zip(lines, found["torch"], strict=True):
            assert one["image"] == expected["image"] and len(one["classes"]) == 2
            for own, other in zip(one["classes"], expected["classes"], strict=True):
                assert own["class"] == other["class"]
                np.testing.assert_allclose(own["evidence"], other["evidence"], atol=1e-4)


def test_pictures_of_images_and_of_mistakes(
    saved: Path, picture_folder: Path, tmp_path: Path
) -> None:
    image, bad = picture_folder / "dress" / "00.png", tmp_path / "bad.png"
    bad.write_bytes(b"no")
    done = resnets("explain", saved, image, bad, "-o", "why.svg", cwd=tmp_path)
    assert done.returncode == 1 and f"error: {bad}: not a readable image" in done.stderr
    assert str(image) in done.stdout and "wrote why.svg" in done.stdout
    shown = minidom.parse(str(tmp_path / "why.svg"))
    assert len(shown.getElementsByTagName("image")) == 1 + 3 + 2  # the key's two beside it
    done = resnets("explain", saved, "--data", picture_folder, "--count", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "are taken for another class" in done.stdout
    with Image.open(tmp_path / "explanation.png") as picture:
        assert picture.width > 400 and picture.mode == "RGB"


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("--top", "0", "x.png"), "--top 0"),
        (("--count", "201"), "--count 201"),
        (("x.png", "--trained"), "--trained"),
        (("x.png", "-o", "why.jpg"), "why.jpg"),
        (("x.png", "-o", "gone/why.png"), "gone"),
        ((), "--data"),
    ],
)
def test_mistakes_of_the_user(
    saved: Path, tmp_path: Path, arguments: tuple[str, ...], culprit: str
) -> None:
    done = resnets("explain", saved, *arguments, cwd=tmp_path)
    assert done.returncode == 1 and culprit in done.stderr
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())


def test_a_sheet_shows_evidence_in_its_colours(fashion: Images) -> None:
    evidence = np.zeros((2, 2, 2))
    evidence[0, 0, 0], evidence[1, 1, 1] = 1, -1
    name = "a/very/long/path/of/an/image/that/does/not/fit/above/it/\x1b[31m<b>.png"
    one = Explanation(
        name, np.full((20, 20, 1), 128, np.uint8), (("<x>", 0.9), ("y", 0.1)), evidence
    )
    diagram = draw_explanations([one] * 5, "Title", "below")
    assert minidom.parseString(to_svg(diagram)).getElementsByTagName("image").length == 5 * 3 + 2
    assert "image/that" in to_svg(diagram) and "…" in to_svg(diagram)
    assert to_png(diagram) == to_png(diagram)
    pictures = [mark for mark in diagram.marks if hasattr(mark, "png")][:3]
    first, second = (_decoded(mark) for mark in pictures[1:])
    grey = first[-1, -1].astype(int)
    assert np.ptp(grey) == 0  # no evidence, no colour
    for found, place, colour in ((first, (0, 0), FOR), (second, (-1, -1), AGAINST)):
        away = np.abs(found[place].astype(int) - np.array(colour))
        assert away.max() < np.abs(grey - np.array(colour)).max() / 2


def _decoded(mark: Any) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(mark.png)) as image:
        return np.asarray(image.convert("RGB"))


def test_without_mistakes_it_says_that_nothing_is_drawn(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = Mistakes(Evaluation(0.0, np.eye(3, dtype=np.int64)), [])
    monkeypatch.setattr("resnets.inference.explain.find_mistakes", lambda *_, **__: right)
    explain(str(saved), output=tmp_path / "x.png", framework="torch")
    assert f"there is nothing to draw: {tmp_path / 'x.png'} was not written" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "x.png").exists()


def test_other_data_that_leave_nothing_are_what_is_blamed(
    network: Network, saved: Path, picture_folder: Path, tmp_path: Path
) -> None:
    for name in ("bag", "dress", "sneaker"):
        (tmp_path / name).mkdir()
        for number in range(2):
            source = picture_folder / name / f"0{number}.png"
            (tmp_path / name / source.name).write_bytes(source.read_bytes())
    with pytest.raises(DataError, match=str(tmp_path)):
        find_mistakes(network, saved, str(tmp_path), 2, "torch", "cpu", lambda _: None)
