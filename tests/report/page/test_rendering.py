"""The page of a run, from values: no framework, no images."""

import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnets.errors import MissingDependency
from resnets.inference.explain import Explanation, Mistakes
from resnets.networks import catalog
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe
from resnets.report.page import Contents, render
from resnets.report.page import rendering as page
from resnets.training.events import Epoch, Progress
from resnets.training.metrics import Evaluation, confidence_interval

HOSTILE = '<script>alert("x")</script>'


def epoch(number: int, accuracy: float | None, *, best: bool) -> Epoch:
    return Epoch(
        epoch=number,
        step=10 * number,
        rate=0.1,
        training_loss=1.0 / number,
        validation_loss=None if accuracy is None else 1 - accuracy,
        validation_accuracy=accuracy,
        best=best,
        multiply_adds=10**9 * number,
        seconds=2.5,
        images_per_second=100.0,
        progress=Progress(),
    )


def contents(confusion: list[list[int]], names: tuple[str, ...], **changes: Any) -> Contents:
    """What a run of two epochs leaves, whose first one was the better."""
    counts = np.array(confusion)
    worst = [
        Explanation(
            image=f"{names[0]}/a.png",
            pixels=np.zeros((8, 8, 1), np.uint8),
            classes=((names[1], 0.9), (names[0], 0.1)),
            class_activation_map=np.ones((2, 2, 2)),
            label=names[0],
        )
    ]
    result = {
        "test_accuracy": 0.9,
        "test_images": 100,
        "test_recall": dict.fromkeys(names, 0.5),
        "epochs": 2,
    }
    given: dict[str, Any] = {
        "folder": Path("runs/mine"),
        "recipe": Recipe(name="mine", data="things", epochs=2),
        "trace": trace(catalog.get("resnet8_thin", classes=len(names)), 8),
        "class_names": names,
        "result": result,
        "records": [
            {"event": "step", "step": 10, "epoch": 1, "rate": 0.1, "loss": 1.0},
            *(
                {"event": "epoch", "epoch": n, "step": 10 * n, "rate": 0.1, "training_loss": 0.5}
                | {"validation_loss": 0.4, "validation_accuracy": 0.8, "best": n == 1}
                for n in (1, 2)
            ),
        ],
        "epochs": (epoch(1, 0.8, best=True), epoch(2, 0.7, best=False)),
        "start": {"framework": "torch", "device": "a bed"},
        "mistakes": Mistakes(Evaluation(0.3, counts), worst),
    }
    return Contents(**given | changes)


class Reader(HTMLParser):
    """Texts of a page, its elements, and the addresses of its images."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.sources: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [v or "" for k, v in attrs if k in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())


THREE = [[8, 2, 0], [0, 5, 0], [1, 0, 0]]


def test_figures_and_classes() -> None:
    read = Reader(render(contents(THREE, ("cat", "dog", "owl"))))
    assert "90.00%" in read.texts
    assert any("of 100 test images" in text and "82.6% to 94.5%" in text for text in read.texts)
    assert "80.00%, epoch 1 of 2, the best" in read.texts
    assert "5.0 s, 2 epochs" in read.texts
    assert "8 × 8 pixels, 1 channel" in read.texts
    assert "torch, a bed" in read.texts
    assert any(text.startswith("3 of 16 held-out images") for text in read.texts)


def test_the_tables() -> None:
    given = contents(THREE, ("cat", "dog", "owl"))
    rows = [(row.name, row.images, row.recall) for row in page.list_classes(given)]
    assert rows == [("owl", 1, 0.0), ("cat", 10, 0.8), ("dog", 5, 1.0)]
    assert page.list_classes(given)[2].precision == pytest.approx(5 / 7)
    assert page.list_pairs(given) == [
        page.Pair("cat", "dog", 2, 0.2),
        page.Pair("owl", "cat", 1, 1.0),
    ]


def test_it_needs_nothing_but_itself_and_is_the_same_each_time() -> None:
    given = contents(THREE, ("cat", "dog", "owl"))
    text = render(given)
    assert text == render(given)
    read = Reader(text)
    assert len(read.sources) == 3
    assert all(source.startswith("data:image/svg+xml;base64,") for source in read.sources)
    assert not {"script", "link", "iframe"} & set(read.tags)
    assert not re.search(r"url\(|@import", text)


def test_names_are_text_wherever_they_come_from() -> None:
    given = contents(THREE, (HOSTILE, "dog", "owl"))
    recipe = replace(given.recipe, name=HOSTILE, data=f"photos/{HOSTILE}")
    hostile = replace(given, recipe=recipe, folder=Path(HOSTILE), start={"framework": HOSTILE})
    text = render(hostile)
    assert "<script" not in text
    assert Reader(text).texts.count(HOSTILE) >= 3


def test_a_path_that_is_no_text_can_be_written() -> None:
    given = contents(THREE, ("cat", "dog", "owl"))
    recipe = replace(given.recipe, data="caf\udce9")
    text = render(replace(given, recipe=recipe, folder=Path("caf\udce9")))
    assert "caf\\udce9" in text and text.encode()


def test_a_run_that_has_not_ended_and_one_that_held_nothing_out() -> None:
    given = contents(THREE, ("cat", "dog", "owl"), result=None)
    read = Reader(render(given))
    assert "80.00%" in read.texts
    assert any("the run has not ended" in text for text in read.texts)
    assert "recall, test set" not in read.texts
    alone = contents(THREE, ("cat", "dog", "owl"), mistakes=None)
    read = Reader(render(alone))
    assert len(read.sources) == 2
    assert "recall, test set" in read.texts and "recall" not in read.texts
    bare = replace(alone, result=None, epochs=(epoch(1, None, best=True),), start={})
    read = Reader(render(bare))
    assert "epoch 1" in read.texts and "table" not in read.tags


def test_of_many_classes_the_pairs_tell() -> None:
    count = page.MOST_CLASSES + 1
    confusion = np.eye(count, dtype=int)
    confusion[3, 4] = 2
    names = tuple(f"class {i}" for i in range(count))
    text = render(contents(confusion.tolist(), names))
    assert 'class="matrix"' not in text
    assert Reader(text).texts.count("class 4") == 2  # its own line, and that of the pair
    fewer = confusion[1:, 1:]
    assert 'class="matrix"' in render(contents(fewer.tolist(), names[1:]))


def test_a_class_without_images_has_no_shares() -> None:
    given = contents([[3, 0], [0, 0]], ("cat", "dog"))
    (cat, dog) = page.list_classes(given)
    assert (cat.recall, dog.recall, dog.precision) == (1.0, None, None)
    assert "–" in Reader(render(given)).texts
    nothing_wrong = replace(given, mistakes=Mistakes(given.mistakes.evaluation, []))  # type: ignore
    assert len(Reader(render(nothing_wrong)).sources) == 2


def test_without_jinja_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingDependency, match=r'pip install "resnets\[report\]"'):
        render(contents(THREE, ("cat", "dog", "owl")))


@pytest.mark.parametrize("images", [1, 10, 10_000])
@pytest.mark.parametrize("right", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_the_interval_is_wilsons(right: float, images: int) -> None:
    """Its ends are the shares from which the one found is 1.96 standard errors away."""
    low, high = confidence_interval(right, images)
    assert 0 <= low <= right + 1e-12 and right - 1e-12 <= high <= 1
    for end in (low, high):
        distance = 1.959964 * math.sqrt(end * (1 - end) / images)
        assert abs(right - end) == pytest.approx(distance, abs=1e-7)
