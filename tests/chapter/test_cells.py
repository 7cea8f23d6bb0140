"""Every cell of the chapter runs, in each of its tabs, on today's frameworks; and learns."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TABS = ("pytorch", "tensorflow", "jax", "mxnet")
CHAPTER = HERE.parents[2] / "shared" / "chapter" / "resnet.md"
"""The text that the cells were copied from, where it lies beside this checkout."""
CELLS = {
    "pytorch": "2e9c885f8d36a5ad4c834bcd040d3b00aac5a7f9fd5a8c99c3e3cf219d6c9d2d",
    "tensorflow": "6e925b2697154449edae97f293e4c7da8bece87b2b6d078a1541c1d354be9baf",
    "jax": "ef8fdd2e9801af05a5bc112462a150ccadd5b2164c271bca2a688d34d8df8e8d",
    "mxnet": "c54b43b4d99237c460aa1a5d9a201d1a4de32bd8f7c3ace504cea123dd799b64",
}
"""SHA-256 of each tab's cells as they were copied."""

FIRST = ("pytorch", "mxnet")
"""The tabs whose images have their channels first, and whose paddings are the same all round."""


@dataclass(frozen=True)
class Run:
    """What a tab's process left."""

    tab: str
    folder: Path
    outcome: dict[str, Any]
    stdout: str
    stderr: str


@pytest.fixture(scope="module", params=TABS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp(request.param)
    done = subprocess.run(
        [sys.executable, HERE / "run_cells.py", request.param, folder],
        cwd=folder,
        # At its usual level of optimisation: XLA's code for 96 pixels is worth the compilation.
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads((folder / "outcome.json").read_text())
    return Run(request.param, folder, outcome, done.stdout, done.stderr)


def test_shapes_are_those_of_the_chapter(run: Run) -> None:
    small, halved, wide = (3, 6, 6), (6, 3, 3), (32, 96, 96)
    shapes = [(4, *(s if run.tab in FIRST else (*s[1:], s[0]))) for s in (small, halved, wide)]
    assert run.outcome["shown"] == [str(shape) for shape in shapes]
    parts = [(64, 24), (64, 24), (128, 12), (256, 6), (512, 3)]
    expected = [(1, c, s, s) if run.tab in FIRST else (1, s, s, c) for c, s in parts]
    expected += [(1, 512, 1, 1), (1, 10)] if run.tab == "mxnet" else [(1, 10)]
    printed = re.findall(r"^\w+ output shape:\t \D*([\d, ]+)", run.stdout, re.M)
    assert [tuple(map(int, shape.split(", "))) for shape in printed] == expected


def test_the_chapters_network_is_trained_at_its_size(run: Run) -> None:
    assert run.outcome["asked"][0] == 96
    assert run.outcome["parameters"] == 11_178_378
    losses = run.outcome["losses"]
    assert len(losses) == 10
    assert losses[-1] < 0.1 * losses[0]


def test_a_readers_class_learns_and_is_validated_by_its_running_statistics(run: Run) -> None:
    learned = run.outcome["learned"]
    training, validation, accuracy = zip(*learned["epochs"], strict=True)
    assert training[-1] < 0.6 * training[0]
    assert max(accuracy) > 0.3  # ten classes
    assert learned["validation_loss"] == pytest.approx(validation[-1], rel=1e-4)
    assert learned["alone"] < 1e-4  # an image's logits do not depend on its neighbours
    for nearest_zero, furthest_from_one in learned["statistics"]:
        assert nearest_zero > 0  # no mean is where it began
        assert furthest_from_one > 0.1


def test_the_run_is_seen_and_saved(run: Run) -> None:
    assert "finds no GPU here: training on the CPU" in run.stderr
    assert re.search(r"^ +10 +\d\.\d{4} +\d\.\d{4} +\d+\.\d\d%", run.stderr, re.M)
    (saved,) = (run.folder / "runs").glob("chapter-resnet18-*")
    assert {p.name for p in saved.iterdir()} == {"metrics.jsonl", "curves.svg", "curves.png"}
    lines = [json.loads(line) for line in (saved / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "step"] == list(range(1, 11))
    losses = [line["training_loss"] for line in lines if line["event"] == "epoch"]
    assert losses == run.outcome["losses"]


def test_a_gpu_that_is_not_here_is_a_sentence(run: Run) -> None:
    assert run.outcome["learned"]["absent"].startswith("GPU 99 is not here: ")


def test_a_readers_class_is_described_or_refused(run: Run) -> None:
    described = run.outcome["learned"]["described"]
    if run.tab in FIRST:
        assert [s["width"] for s in described["stages"]] == [64, 16]
        assert described["stages"][1]["block"]["shortcut"] == "bare_projection"
        assert described["bias"] is True
    else:
        assert "padding 'same' at stride 2" in described
        assert "net[0][0]" in described


@pytest.mark.parametrize("tab", TABS)
def test_cells_are_the_chapters_word_for_word(tab: str) -> None:
    """By their digest everywhere, and against the chapter's text where it is at hand."""
    text = (HERE / "cells" / f"{tab}.txt").read_text(encoding="utf-8")
    assert hashlib.sha256(text.encode()).hexdigest() == CELLS[tab]
    if CHAPTER.is_file():
        assert text == "".join(f"# %%\n{cell}" for cell in chapters_cells(tab))


def chapters_cells(tab: str) -> list[str]:
    """Return the cells that the chapter's own text has for a tab."""
    found = re.findall(r"```\{\.python \.input\}\n(.*?)```", CHAPTER.read_text(), re.S)
    cells = []
    for cell in found[1:]:
        line, _, rest = cell.partition("\n")
        if not line.startswith("%%tab"):
            cells.append(cell)
        elif tab in [name.strip() for name in line.removeprefix("%%tab").split(",")]:
            cells.append(rest)
    return cells
