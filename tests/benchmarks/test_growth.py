"""The script that compares ways to grow finds the runs that are kept, and trains none again."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from resnets.cli.flags import NO_FLAGS, resolve

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
KEPT = BENCHMARKS / "results" / "growth_runs.jsonl"


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("growth")


SHORT = ("resnet8_narrow", "resnet14_narrow")
LONG = ("resnet8_thin", "resnet20_thin")


def test_every_run_kept_is_found_by_its_arm_and_seed(growth: Any) -> None:
    works = {
        "narrow": growth.Work(resolve(str(BENCHMARKS / "growth_short.toml"), NO_FLAGS), *SHORT),
        "thin": growth.Work(resolve(str(growth.RECIPE), NO_FLAGS), *LONG),
    }
    lines = growth.past(KEPT)
    assert len(lines) >= 80
    for line in lines:
        work = works[line["recipe"]["network"].rpartition("_")[2]]
        wanted = work.recipe_of(growth.ARMS[line["arm"]], line["recipe"]["seed"])
        assert growth.same_run(line, wanted), (line["arm"], line["recipe"]["seed"])
        assert not growth.same_run(line, wanted.replace(seed=9))
        assert not growth.same_run(line, wanted.replace(skip=0.2))


def told(
    growth: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> dict[str, Any]:
    """Run the script, which may train nothing; give what it writes."""
    figures: dict[str, Any] = {}
    monkeypatch.setattr(growth, "run", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(growth, "write", lambda name, found: figures.update(found, name=name))
    growth.main([*arguments, "--figure", str(tmp_path / "growth.svg")])
    return figures


def test_nothing_is_trained_that_is_kept(
    growth: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = json.loads((BENCHMARKS / "results" / "2026-11-24_growth.json").read_text())["arms"]
    setting = ("--recipe", str(BENCHMARKS / "growth_short.toml"), "--small", SHORT[0])
    arms = stored.keys() - {"first stage first"}  # of two seeds
    written = told(
        growth, tmp_path, monkeypatch, *setting, "--large", SHORT[1], "--arms", *sorted(arms)
    )
    assert (tmp_path / "growth.svg").stat().st_size > 1000
    assert written["name"] == f"growth_short_{SHORT[0]}_{SHORT[1]}"  # not over the usual one's
    figures = written["arms"]
    assert figures.keys() == arms
    for arm in arms:
        assert figures[arm]["accuracy"] == stored[arm]["accuracy"]


def test_of_each_arm_what_is_kept(
    growth: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []  # the other test draws a picture
    monkeypatch.setattr(growth, "draw", lambda *arguments: drawn.append(arguments[-1]))
    kept = ("--kept", "--seeds", "0", "1", "2", "3", "4")
    assert told(growth, tmp_path, monkeypatch, *kept) == {}  # they are not of today
    written = told(growth, tmp_path, monkeypatch, *kept, "--write")
    figures = written["arms"]
    assert written["name"] == "growth"
    assert len(figures["random"]["accuracies"]) == 5 > len(figures["copy"]["accuracies"]) > 0
    assert "scratch, stochastic depth" not in figures
    assert drawn == [tmp_path / "growth.svg"] * 2
