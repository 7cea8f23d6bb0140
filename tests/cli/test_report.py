"""``resnets report``, as a person types it, of a run on real images."""

import json
import shutil
from pathlib import Path

import pytest

from commands import resnets


def typed(*arguments: object, cwd: Path) -> tuple[int, str, str]:
    """Return the exit status of a command and what it wrote."""
    done = resnets(*arguments, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def place(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos of three classes, and a run on them."""
    place = tmp_path_factory.mktemp("reporting")
    shutil.copytree(picture_folder, place / "photos")
    code, out, err = typed(
        *("train", "--data", "photos", "--network", "resnet8_thin", "--size", 14),
        *("--batch", 16, "--validation", 0.3, "--epochs", 2, "--run", "run"),
        cwd=place,
    )
    assert code == 0, err
    assert "report run   # all of it on one page" in out
    return place


def test_a_run_on_one_page(place: Path) -> None:
    before = {path: path.read_bytes() for path in (place / "run").iterdir() if path.is_file()}
    code, out, err = typed("report", "run", "--count", 2, cwd=place)
    assert (code, out) == (0, f"wrote {Path('run') / 'report.html'}\n"), err
    page = (place / "run" / "report.html").read_text(encoding="utf-8")
    result = json.loads((place / "run" / "result.json").read_text())
    assert f"{result['test_accuracy']:.2%}" in page and "resnet8_thin on photos" in page
    assert all(name in page for name in ("bag", "dress", "sneaker"))
    assert "held-out images are taken for another class" in page
    assert all(path.read_bytes() == content for path, content in before.items())
    assert typed("report", "run", "--count", 2, "-o", "again.html", cwd=place)[0] == 0
    assert (place / "again.html").read_text(encoding="utf-8") == page


def test_without_its_images_the_rest_is_there(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "run", tmp_path / "run")  # and no photos
    code, out, err = typed("report", "run", cwd=tmp_path)
    assert code == 0 and "wrote" in out
    assert "note: without classes and mistakes: " in err
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "of the test images" not in page and "recall, test set" in page


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        (("photos",), "recipe.json"),
        (("nowhere",), "nowhere"),
        (("run", "--count", 0), "--count 0"),
        (("run", "--device", "abacus"), "abacus"),
        (("run", "-o", "page.pdf"), "page.pdf"),
        (("run", "-o", "gone/page.html"), "gone"),
    ],
)
def test_mistakes_of_the_user(place: Path, arguments: tuple[object, ...], culprit: str) -> None:
    before = set(place.iterdir())
    code, out, err = typed("report", *arguments, cwd=place)
    assert (code, out) == (1, "")
    assert culprit in err and "Traceback" not in err
    assert set(place.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "damage", "culprit"),
    [
        ("model.safetensors", None, "run"),
        ("result.json", {"test_recall": {"bag": "all"}}, "result.json"),
        ("result.json", {"test_images": 0}, "result.json"),
        ("result.json", {"test_accuracy": 7.0}, "result.json"),
    ],
)
def test_a_damaged_run_is_refused(
    place: Path, tmp_path: Path, name: str, damage: dict[str, object] | None, culprit: str
) -> None:
    run = Path(shutil.copytree(place / "run", tmp_path / "run"))
    if damage is None:
        (run / name).unlink()
    else:
        value = json.loads((run / name).read_text())
        (run / name).write_text(json.dumps(value | damage))
    code, out, err = typed("report", run, "-o", tmp_path / "page.html", cwd=place)
    assert (code, out) == (1, "")
    assert culprit in err and "Traceback" not in err
    assert not (tmp_path / "page.html").exists()
