"""The script that compares ways to grow finds the runs that are kept, and trains none again."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from resnets.flags import NO_FLAGS, resolve

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
KEPT = BENCHMARKS / "results" / "growth_runs.jsonl"


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("growth")


def test_every_run_kept_is_found_by_its_arm_and_seed(growth: Any) -> None:
    recipe = resolve(str(growth.RECIPE), NO_FLAGS)
    work = growth.Work(recipe, "resnet8_narrow", "resnet14_narrow")
    lines = growth.past(KEPT)
    assert len(lines) >= 32
    for line in lines:
        wanted = work.recipe_of(growth.ARMS[line["arm"]], line["recipe"]["seed"])
        assert growth.same_run(line, wanted), (line["arm"], line["recipe"]["seed"])
        assert not growth.same_run(line, wanted.changed(seed=9))
        assert not growth.same_run(line, wanted.changed(skip=0.2))


def test_nothing_is_trained_that_is_kept(
    growth: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: dict[str, Any] = {}
    monkeypatch.setattr(growth, "run", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(growth, "write", lambda _, found: figures.update(found))
    arms = {line["arm"] for line in growth.past(KEPT)} - {"first stage first"}  # of two seeds
    growth.main(["--arms", *sorted(arms), "--figure", str(tmp_path / "growth.svg")])
    stored = json.loads((BENCHMARKS / "results" / "2026-11-24_growth.json").read_text())
    for arm in arms & stored["arms"].keys():
        assert figures["arms"][arm]["accuracy"] == stored["arms"][arm]["accuracy"]
