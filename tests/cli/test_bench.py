"""``resnets bench`` as a user meets it. No test looks at how fast anything is."""

import json
import sys
from typing import Any
from unittest import mock

import pytest

from resnets.__main__ import main
from resnets.bench import progress

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked:UserWarning")

TINY = ("cifar_resnet20", "--size", "8", "--batch", "2", "--rounds", "3", "--device", "cpu")


def run(*arguments: str) -> Any:
    """Run the command in this process; return its exit status."""
    with mock.patch.object(sys, "argv", ["resnets", "bench", *arguments]):
        try:
            main()
        except SystemExit as ended:
            return ended.code
    return 0


def test_training_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With real processes, of the framework that is imported fastest."""
    assert run(*TINY, "--framework", "mxnet", "--training", "--json") == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert (found["network"], found["size"], found["batch"]) == ("cifar_resnet20", 8, 2)
    (part,) = found["parts"]
    assert part["purpose"] == "training" and part["rounds"] == 3
    rows = {row["name"]: row for row in part["rows"]}
    for row in rows.values():
        (measured,) = row["measured"]
        speed = measured["images_per_second"]
        assert speed["n"] == 3 and 0 < speed["least"] <= speed["median"] <= speed["most"]
        assert row["peak_memory_bytes"] > 1e7 and measured["of_matrix"] > 0
    assert rows["resnets train"]["measured"][0]["ratio"]["n"] == 3
    assert rows["Gluon Trainer"]["measured"][0]["ratio"] is None
    (limit,) = part["limits"]
    assert limit["precision"] == "fp32" and limit["matrix"]["median"] > 0
    assert "rounds of" in told.err


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["resnet19"], "resnet18"),
        (["resnet18", "--framework", "caffe"], "caffe"),
        (["resnet18", "--rounds", "2"], "--rounds 2"),
        (["resnet18", "--batch", "0"], "--batch 0"),
        (["resnet18", "--size", "0"], "0 is not a number of pixels"),
        (["resnet18", "--size", "16", "--batch", "1", "--training"], "--batch 2"),
        (["resnet8_slim", "--size", "1", "--batch", "1", "--training"], "--batch 2"),
    ],
)
def test_mistakes_get_a_sentence(
    arguments: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(*arguments, *(["--framework", "torch"] if "--framework" not in arguments else []))
    told = capsys.readouterr()
    assert status == 1 and told.out == ""
    assert name in told.err and "Traceback" not in told.err


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with progress.announce_progress("measuring", 5, said.append) as advance:
        for _ in range(5):
            now += 6
            advance(1)
    assert said == ["measuring: 2 of 5", "measuring: 4 of 5"]
