import builtins
import math
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resnets.errors import MissingDependency
from resnets.training.monitor.curves import Curves, draw_curves, space_labels, thin_points

SVG = "{http://www.w3.org/2000/svg}"
Record = dict[str, Any]


def step(number: int, loss: float = 1.0, epoch: int = 1) -> Record:
    return {"event": "step", "step": number, "epoch": epoch, "rate": 0.1, "loss": loss}


def epoch(number: int, accuracy: float | None = None, best: bool = False) -> Record:
    return {
        "event": "epoch",
        "epoch": number,
        "step": 4 * number,
        "rate": 0.1,
        "training_loss": 1 / number,
        "validation_loss": None if accuracy is None else 1.1 / number,
        "validation_accuracy": accuracy,
        "best": best,
    }


def run(*accuracies: float | None) -> list[Record]:
    """A run of four steps an epoch; the highest accuracy so far is the best."""
    records: list[Record] = []
    for i, accuracy in enumerate(accuracies, start=1):
        records += [step(4 * (i - 1) + j, 1 / i, i) for j in range(1, 5)]
        before = [a for a in accuracies[: i - 1] if a is not None]
        best = accuracy is None or all(accuracy > a for a in before)
        records.append(epoch(i, accuracy, best))
    return records


def texts(path: Path) -> list[str]:
    """What can be read in an SVG."""
    return ["".join(element.itertext()) for element in ET.parse(path).iter(f"{SVG}text")]


def test_picture_names_its_lines_and_the_best_epoch(tmp_path: Path):
    svg, png = draw_curves(run(0.80, 0.9123, 0.91), tmp_path, title="mine on theirs")
    assert (svg, png) == (tmp_path / "curves.svg", tmp_path / "curves.png")
    found = texts(svg)
    assert "91.23% after epoch 2" in found
    assert {"mine on theirs", "Loss", "Learning rate", "training", "validation"} <= set(found)
    assert "epoch" in found and "step" not in found
    with Image.open(png) as image:
        image.load()
        assert image.width > 1000
        assert image.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_same_records_give_the_same_bytes(tmp_path: Path):
    first = [path.read_bytes() for path in draw_curves(run(0.8, 0.9), tmp_path, title="run")]
    again = [path.read_bytes() for path in draw_curves(run(0.8, 0.9), tmp_path, title="run")]
    assert first == again
    assert b"date" not in first[0].lower()


@pytest.mark.parametrize(
    "records",
    [
        [],
        [step(1)],
        [step(i) for i in range(1, 100)],
        run(0.5),
        run(1.0),
        run(0.0, 0.0),
        run(None),
        run(None, None, None),
        [epoch(1, 0.5)],
        [step(1, math.nan), step(2, math.inf), {"event": "note"}],
        [step(1, 0.0) | {"rate": 0.0}],
    ],
    ids=[
        "nothing",
        "one-step",
        "steps",
        "one-epoch",
        "perfect",
        "useless",
        "one-epoch-unvalidated",
        "unvalidated",
        "no-steps",
        "not-finite",
        "zeros",
    ],
)
def test_whatever_a_run_lacks_is_left_out(records: list[Record], tmp_path: Path):
    svg, png = draw_curves(records, tmp_path, title="run")
    found = texts(svg)
    validated = any(r.get("validation_accuracy") is not None for r in records)
    assert ("Accuracy on validation images" in found) == validated
    assert ("validation" in found) == validated
    assert ("step" in found) == all(r["event"] != "epoch" for r in records)
    assert not {"nan", "inf"} & set(found)
    shares = [float(text[:-1]) for text in found if text.endswith("%")]
    assert all(0 <= share <= 100 for share in shares)
    assert png.stat().st_size > 1000


def test_lines_are_in_epochs_and_the_last_of_several_records_counts():
    repeated = [*run(0.5, 0.6), step(8, 7.0, 2)]
    curves = Curves.from_records(repeated)
    assert curves.unit == "epoch"
    assert curves.steps[0] == (0.25, 1.0)
    assert curves.steps[-1] == (2.0, 7.0)
    assert curves.training == [(0.5, 1.0), (1.5, 0.5)]
    assert curves.validation == [(1.0, 1.1), (2.0, 0.55)]
    assert curves.best == (2.0, 0.6)


def test_losses_that_are_no_numbers_are_left_out():
    curves = Curves.from_records([step(1, math.nan), step(2, 3.0), step(3, math.inf)])
    assert curves.steps == curves.training == [(2.0, 3.0)]


def test_best_is_the_epoch_that_was_kept_last():
    assert Curves.from_records(run(0.9, 0.8, 0.7)).best == (1.0, 0.9)
    assert Curves.from_records(run(None, None)).best is None


GROWN = [
    *[r | {"multiply_adds": 10**9 * r["epoch"]} for r in run(0.5, 0.6)],
    {"event": "growth", "number": 1, "epoch": 2, "step": 8, "network": "deep", "depths": [2, 3]},
    *[r | {"multiply_adds": 3 * 10**9 * r["epoch"] - 4 * 10**9} for r in run(0.5, 0.6, 0.7)[-5:]],
]
"""Two epochs of 10⁹ multiply-adds, and after the growth one of 3 × 10⁹."""


def test_a_run_that_grew_is_drawn_against_its_compute_too(tmp_path: Path):
    svg, png = draw_curves(GROWN, tmp_path, title="run")
    found = texts(svg)
    assert {"Loss against compute", "Accuracy against compute"} <= set(found)
    assert found.count("2-3") == 2 and "multiply-adds of the training, billions" in found
    with Image.open(png) as image:
        tall = image.height
    svg, png = draw_curves(run(0.5, 0.6), tmp_path, title="run")
    assert "Loss against compute" not in texts(svg)
    with Image.open(png) as image:
        assert image.height < tall


@settings(deadline=None)
@given(
    places=st.lists(st.floats(0, 1), max_size=12, unique=True).map(sorted),
    stages=st.integers(1, 5),
    letters=st.floats(14, 80),
)
def test_labels_of_growths_keep_apart_within_the_panel(
    places: list[float], stages: int, letters: float
):
    labels = [(place, "-".join([str(i)] * stages)) for i, place in enumerate(places)]
    shown = sorted(space_labels(labels, letters))
    names = [label for _, label in shown]
    assert names == [label for _, label in labels if label in names]
    assert not labels or shown[-1][1] == labels[-1][1]
    edges = [(letters * at - len(label) / 2, letters * at + len(label) / 2) for at, label in shown]
    for (_, left), (right, _) in pairwise(edges):
        assert right - left >= 2 - 1e-6
    assert all(left >= -1e-6 and right <= letters + 1e-6 for left, right in edges)


def test_growths_far_apart_are_all_named_and_close_ones_by_the_last(tmp_path: Path):
    grown = {"event": "growth", "number": 1, "step": 8, "network": "deep"}
    few = [grown | {"epoch": at, "depths": [at, at]} for at in (1, 2, 3)]
    found = texts(
        draw_curves([*run(*[0.01 * i for i in range(1, 5)]), *few], tmp_path, title="run")[0]
    )
    assert {"1-1", "2-2", "3-3"} <= set(found)
    found = texts(
        draw_curves([*run(*[0.01 * i for i in range(1, 61)]), *few], tmp_path, title="run")[0]
    )
    assert "3-3" in found and not {"1-1", "2-2"} & set(found)


def test_compute_runs_faster_after_a_growth():
    spent = Curves.from_records(GROWN).by_compute()
    assert spent is not None and spent.unit == "multiply-adds of the training, billions"
    assert spent.accuracy == [(1.0, 0.5), (2.0, 0.6), (5.0, 0.7)]
    assert spent.growths == [(2.0, "2-3")]
    assert [x for x, _ in spent.training] == [0.5, 1.5, 3.5]
    assert spent.steps[-2:] == [(4.25, pytest.approx(1 / 3)), (5.0, pytest.approx(1 / 3))]


def test_compute_that_is_not_known_of_every_epoch_is_not_drawn(tmp_path: Path):
    records = [r for r in GROWN if r["event"] != "epoch" or r["epoch"] != 1]
    records = [epoch(1, 0.5), *records]
    assert Curves.from_records(records).by_compute() is None
    assert "Loss against compute" not in texts(draw_curves(records, tmp_path, title="run")[0])


def test_long_lines_are_thinned_to_means():
    points = [(float(i), float(i % 2)) for i in range(10_000)]
    few = thin_points(points, 1000)
    assert len(few) == 1000
    assert few[0] == (4.5, 0.5)
    assert thin_points(points[:10], 1000) == points[:10]


def test_failure_leaves_the_old_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    draw_curves(run(0.5), tmp_path, title="run")
    before = (tmp_path / "curves.svg").read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.backends.backend_svg.FigureCanvasSVG.print_svg", fail)
    with pytest.raises(OSError, match="disk full"):
        draw_curves(run(0.9), tmp_path, title="run")
    assert (tmp_path / "curves.svg").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "curves.svg"]


def test_settings_of_others_stay_as_they_are(tmp_path: Path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw_curves(run(0.5), tmp_path, title="run")
    assert dict(matplotlib.rcParams) == before


def test_missing_matplotlib_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError("No module named 'matplotlib'")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependency, match=r'pip install "resnets\[report\]"'):
        draw_curves(run(0.5), tmp_path, title="run")
