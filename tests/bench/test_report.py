"""From what processes told to the table and the JSON."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from resnets.bench import measurement, results, tables
from resnets.bench.contenders import find_contenders
from resnets.bench.measurement import Turn
from resnets.bench.results import Part, Report, Spread
from resnets.bench.work import Work
from resnets.networks import catalog

WORK = Work(architecture=catalog.get("resnet18"), size=96, batch=128, purpose="training")


def test_a_ratio_is_taken_round_by_round() -> None:
    ours, theirs = Spread((200, 50, 210)), Spread((100, 25, 70))
    ratio = ours.divide(theirs)
    assert ratio.values == (2, 2, 3)
    assert (ratio.median, ratio.least, ratio.most) == (2, 2, 3)
    # The ratio of the medians would not be paired: 200 / 70.
    assert ratio.median != pytest.approx(ours.median / theirs.median)
    assert ratio.to_json() == {"median": 2, "least": 2, "most": 3, "n": 3, "values": [2, 2, 3]}


def test_rounds_that_do_not_pair_are_rejected() -> None:
    with pytest.raises(ValueError):
        Spread((1.0, 2.0)).divide(Spread((1.0,)))
    with pytest.raises(ValueError):
        Spread(())


def ready(precision: str) -> dict[str, Any]:
    return {
        "device": "a CPU",
        "precision": precision,
        "versions": {"torch": "2"},
        "first_step_seconds": 1.5,
    }


@pytest.fixture
def part() -> Part:
    """Torch: the plain loop, ours twice as fast, timm not installed; three rounds."""
    plain, _, timm, ours, limit = find_contenders("torch", "training")
    last = {"peak_memory_bytes": 10**9, "device_memory_bytes": None}

    def told(contender: Any, precision: str, missing: str = "") -> Any:
        return SimpleNamespace(
            contender=contender,
            ready=None if missing else ready(precision),
            missing=missing,
            died=False,
            last=last,
        )

    running = [
        told(plain, "fp32"),
        told(timm, "", "not installed: pip install timm"),
        told(ours, "bf16"),
        told(limit, "fp32 bf16"),
    ]
    rounds = [
        {
            (0, "batch 128"): Turn(100 * slow),
            (2, "batch 128"): Turn(200 * slow),
            (3, "matrix fp32"): Turn(1e11 * slow),
            (3, "matrix bf16"): Turn(2e11 * slow),
        }
        for slow in (1.0, 0.5, 1.0)
    ]
    return measurement._build_part(running, rounds, WORK)


def the_report(part: Part) -> Report:
    return Report(
        date="2026-11-24",
        resnets="0",
        machine={"processor": "a processor", "processors": 2},
        network="resnet18",
        size=96,
        channels=3,
        classes=1000,
        batch=128,
        parameters=1,
        multiply_adds=2,
        seconds=3.0,
        interrupted=False,
        parts=(part,),
    )


def test_figures(part: Part) -> None:
    plain, timm, ours = part.rows
    (own,), (theirs,) = ours.measured, plain.measured
    assert own.ratio is not None and own.ratio.values == (2, 2, 2) and own.peer == "plain loop"
    assert own.images_per_second.median == 200 and own.images_per_second.least == 100
    assert theirs.ratio is None
    assert theirs.of_matrix == pytest.approx(100 * WORK.step_multiply_adds() / 1e11)
    assert own.of_matrix == pytest.approx(200 * WORK.step_multiply_adds() / 2e11)
    assert timm.measured == () and not timm.died
    fp32, bf16 = part.limits
    assert (fp32.precision, bf16.precision) == ("fp32", "bf16")
    assert bf16.matrix.values == (2e11, 1e11, 2e11)


def test_json_has_what_the_schema_says(part: Part) -> None:
    found = json.loads(json.dumps(the_report(part).to_json(), allow_nan=False))
    assert set(found) == {
        *("date", "resnets", "machine", "network", "size", "channels", "classes", "batch"),
        *("parameters", "multiply_adds", "seconds", "parts", "interrupted"),
    }
    (one,) = found["parts"]
    assert set(one) == {"purpose", "rounds", "limits", "rows"} and one["rounds"] == 3
    assert set(one["limits"][0]) == {"framework", "precision", "matrix"}
    row = one["rows"][2]
    assert set(row) == {
        *("framework", "name", "ours", "device", "precision", "versions", "first_step_seconds"),
        *("peak_memory_bytes", "device_memory_bytes", "missing", "died", "measured"),
    }
    (measured,) = row["measured"]
    assert set(measured) == {"batch", "images_per_second", "ratio", "peer", "of_matrix"}
    assert measured["ratio"] == {
        "median": 2, "least": 2, "most": 2, "n": 3, "values": [2, 2, 2]
    }  # fmt: skip
    # The docstring is the schema's only text: it names every key.
    keys = {*found, *one, *one["limits"][0], *row, *measured}
    assert all(f'"{key}"' in (results.__doc__ or "") for key in keys)


def draw(part: Part, width: int = 100) -> str:
    console = Console(width=width, highlight=False, markup=False, color_system=None)
    with console.capture() as capture:
        console.print(tables.draw_report(the_report(part)))
    return capture.get()


def test_the_table_says_all(part: Part) -> None:
    text = draw(part)
    lines = {line[:13]: line.split() for line in text.splitlines()}
    assert {"200", "100-200", "2.00", "2.00-2.00"} <= set(lines["resnets train"])
    assert {"100", "1,000", "MB"} <= set(lines["plain loop   "])
    assert "n = 3 rounds" in text
    assert "— torch, timm, plain loop: not installed: pip install timm" in text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_table_fits(part: Part, width: int) -> None:
    assert all(len(line) <= width for line in draw(part, width).splitlines())


def test_numbers() -> None:
    written = [tables.format_number(v) for v in (12345.6, 999.6, 97.14, 1.5, 0.0312)]
    assert written == ["12,346", "1000", "97.1", "1.5", "0.0312"]
