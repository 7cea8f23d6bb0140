"""Which files ``predict`` takes, and what it says of those that it does not."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from data.pictures import make_image_folder
from resnets import Architecture, Stage, Stem
from resnets.convert.fitting import number_classes
from resnets.data import folder
from resnets.errors import DataError
from resnets.inference.predict import Prediction, predict_images
from resnets.networks.folder import save
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network, Preprocessing

Predict = Callable[..., list[Prediction]]


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network of two classes for images of 8 pixels, saved."""
    stem = Stem(width=4, kernel=3, stride=1, pool=False)
    a = Architecture(channels=3, classes=2, stem=stem, stages=(Stage(depth=1, width=4),))
    preprocessing = Preprocessing(size=8, mean=(0.0,) * 3, std=(1.0,) * 3)
    save(Network(a, initial_weights(a), preprocessing, number_classes(2)), tmp_path / "network")
    return tmp_path / "network"


@pytest.fixture
def predict(network: Path) -> Predict:
    def run(*images: Path, said: "list[str] | None" = None) -> list[Prediction]:
        announce = (said if said is not None else []).append
        return [
            *predict_images(
                network,
                [*map(str, images)],
                top=1,
                framework="torch",
                device="cpu",
                announce=announce,
            )
        ]

    return run


def test_of_a_folder_it_takes_what_training_takes(predict: Predict, tmp_path: Path) -> None:
    root = make_image_folder(tmp_path / "pets", 6)
    image = (root / "a" / "0000.png").read_bytes()
    for name in (".hidden", "__MACOSX", "a/.cache"):
        (root / name).mkdir()
        (root / name / "x.png").write_bytes(image)
    for name in ("a/notes.txt", "b/Thumbs.db", "b/v.svg"):
        (root / name).write_text("no image")
    (root / "b" / "bare").write_bytes(image)
    elsewhere = make_image_folder(tmp_path / "elsewhere", 4)
    (root / "b" / "link").symlink_to(elsewhere)
    (elsewhere / "circle").symlink_to(root / "b")
    said: list[str] = []
    found = predict(root, said=said)
    dataset = folder.load_folder(root, size=8)
    assert len(found) == len(dataset.training) + len(dataset.test()) == 6 + 1 + 4
    assert all(prediction.error is None for prediction in found)
    assert said[-1] == f"note: {root}: ignored 3 files that are hidden or not images"


def test_a_damaged_image_in_a_folder_is_an_error(predict: Predict, tmp_path: Path) -> None:
    root = make_image_folder(tmp_path / "pets", 4)
    (root / "a" / "damaged.png").write_bytes(b"no")
    assert [p.image for p in predict(root) if p.error] == [str(root / "a" / "damaged.png")]


def test_files_that_are_named_are_taken_as_they_are(predict: Predict, tmp_path: Path) -> None:
    notes, hidden = tmp_path / "notes.txt", tmp_path / ".hidden.png"
    notes.write_text("no image")
    Image.new("RGB", (9, 9)).save(hidden)
    one, two = predict(notes, hidden)
    assert one.error == f"{notes}: not a readable image: its format is not known"
    assert two.error is None


def test_what_pillow_warns_of_is_said_once_in_our_words(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_image_folder(tmp_path / "pets", 2)
    Image.new("RGB", (20, 11)).save(root / "a" / "bomb.png")
    (root / "a" / "bomb.png").rename(root / "a" / "bomb")  # opened to see what it is
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        bomb = next(p for p in predict(root) if p.error)
    assert bomb.error == f"{root / 'a' / 'bomb'}: 20×11 pixels; at most 200 are opened"
    assert not [warning for warning in said if "DecompressionBomb" in str(warning.category)]


def test_a_folder_without_images(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="empty: a folder without images"):
        predict(tmp_path / "empty")
