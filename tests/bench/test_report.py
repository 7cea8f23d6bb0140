"""From what processes told to the table and the JSON."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from rich.console import Console

from resnets.bench import tables
from resnets.bench.contenders import Contender, chosen, limit
from resnets.bench.convolutions import step_multiply_adds
from resnets.bench.figures import part_of
from resnets.bench.results import Part, Report
from resnets.bench.room import groups, needed
from resnets.bench.rounds import Gathered, Turn
from resnets.bench.work import Purpose, Work
from resnets.errors import RunError
from resnets.networks import catalog


@dataclass
class Told:
    contender: Contender
    ready: dict[str, Any] | None
    missing: str = ""
    died: bool = False
    memory: dict[str, Any] = field(default_factory=dict)
    shares: dict[str, Any] = field(default_factory=dict)


def work(purpose: Purpose = "training", **changes: Any) -> Work:
    given = {"architecture": catalog.get("resnet18"), "size": 96, "batch": 128, **changes}
    return Work(purpose=purpose, **given)


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
    plain, _, timm, ours = chosen(("torch",), "training")
    told = [
        Told(plain, ready("fp32"), memory={"peak": 10**9}, shares={"shares": {"data": 0.25}}),
        Told(timm, None, missing="not installed: pip install timm"),
        Told(ours, ready("bf16"), shares={"shares": None, "reason": "one graph"}),
        Told(limit("torch", "training"), ready("fp32 bf16")),
    ]
    kept = tuple(
        {
            (0, "batch 128"): Turn(100 * slow),
            (2, "batch 128"): Turn(200 * slow),
            (3, "matrix fp32"): Turn(1e11 * slow, probe=True),
            (3, "convolutions fp32 batch 128"): Turn(125 * slow, parts={"3x3": 0.01 / slow}),
            (3, "matrix bf16"): Turn(2e11 * slow),
            (3, "convolutions bf16 batch 128"): Turn(400 * slow, parts={"3x3": 0.005 / slow}),
        }
        for slow in (1.0, 0.5, 1.0)
    )
    return part_of(told, Gathered(kept, discarded=2, disturbed=1), work())


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
        parts=(part,),
    )


def test_figures(part: Part) -> None:
    plain, timm, ours = part.rows
    (own,), (theirs,) = ours.measured, plain.measured
    assert own.ratio is not None and own.ratio.values == (2, 2, 2) and own.peer == "plain loop"
    assert own.images_per_second.median == 200 and own.images_per_second.least == 100
    assert theirs.ratio is None and theirs.of_convolutions == pytest.approx(0.8)
    assert own.of_convolutions == pytest.approx(0.5)
    an_image = step_multiply_adds(work().trace(), training=True)
    assert own.of_matrix == pytest.approx(200 * an_image / 2e11)
    assert timm.measured == () and not timm.died
    fp32, bf16 = part.limits
    assert (fp32.precision, bf16.precision) == ("fp32", "bf16")
    assert fp32.seconds == {"3x3": 0.01}
    assert bf16.convolutions.values == (400, 200, 400)


def test_json_has_what_the_schema_says(part: Part) -> None:
    found = json.loads(json.dumps(the_report(part).to_json(), allow_nan=False))
    assert set(found) == {
        *("date", "resnets", "machine", "network", "size", "channels", "classes", "batch"),
        *("parameters", "multiply_adds", "seconds", "parts", "interrupted"),
    }
    (one,) = found["parts"]
    assert set(one) == {"purpose", "rounds", "discarded", "disturbed", "limits", "rows"}
    assert (one["rounds"], one["discarded"], one["disturbed"]) == (3, 2, 1)
    assert set(one["limits"][0]) == {
        *("framework", "precision", "batch", "matrix", "convolutions", "seconds"),
    }
    row = one["rows"][2]
    assert set(row) == {
        *("framework", "name", "ours", "device", "precision", "versions", "first_step_seconds"),
        *("peak_memory_bytes", "device_memory_bytes", "shares", "shares_missing", "missing"),
        *("died", "measured"),
    }
    (measured,) = row["measured"]
    assert set(measured) == {
        *("batch", "images_per_second", "ratio", "peer", "of_matrix", "of_convolutions"),
    }
    assert measured["ratio"] == {
        "median": 2, "least": 2, "most": 2, "n": 3, "values": [2, 2, 2]
    }  # fmt: skip
    # The docstring is the schema's only text: it names every key.
    from resnets.bench import results

    keys = {*found, *one, *one["limits"][0], *row, *measured}
    assert all(f'"{key}"' in (results.__doc__ or "") for key in keys)


def drawn(part: Part, width: int = 100) -> str:
    console = Console(width=width, highlight=False, markup=False, color_system=None)
    with console.capture() as capture:
        console.print(tables.report(the_report(part)))
    return capture.get()


def test_the_table_says_all(part: Part) -> None:
    text = drawn(part)
    lines = {line[:13]: line.split() for line in text.splitlines()}
    assert {"200", "100-200", "2.00", "2.00-2.00", "50%"} <= set(lines["resnets train"])
    assert {"100", "80%", "1,000", "MB"} <= set(lines["plain loop   "])
    assert "3 rounds; 2 more were disturbed" in text
    assert "1 of the rounds kept are disturbed too" in text
    assert "— torch, timm, plain loop: not installed: pip install timm" in text
    assert "— where torch's step goes: one graph" in text
    assert "25%" in text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_table_fits(part: Part, width: int) -> None:
    assert all(len(line) <= width for line in drawn(part, width).splitlines())


def test_numbers() -> None:
    written = [tables.number(v) for v in (12345.6, 999.6, 97.14, 1.5, 0.0312)]
    assert written == ["12,346", "1000", "97.1", "1.5", "0.0312"]
    assert tables.milliseconds(0.0035) == "3.5 ms"
    assert tables.percent(None) == "—" and tables.percent(1.234) == "123%"


def test_who_is_in_memory_at_once() -> None:
    entries = [
        (row, work())
        for name in ("torch", "jax")
        for row in (*chosen((name,), "training"), limit(name, "training"))
    ]
    bytes_needed = [needed(*entry) for entry in entries]
    assert groups(entries, None) == [entries]
    assert groups(entries, sum(bytes_needed)) == [entries]
    torch, jax = groups(entries, sum(bytes_needed) - 1)
    assert [*torch, *jax] == entries
    assert {row.framework for row, _ in torch} == {"torch"}
    with pytest.raises(RunError, match=r"resnet18 at 96x96, batch 128: the \d processes of torch"):
        groups(entries, 10**9)


def test_memory_grows_with_the_batch_and_training_needs_more() -> None:
    (row, *_), (other, *_) = chosen(("torch",), "training"), chosen(("torch",), "inference")
    small, large = needed(row, work(batch=8)), needed(row, work(batch=256))
    # 10 million activations an image at 96 pixels (resnets show), in fp32.
    assert large - small > 248 * 4 * work().trace().activations
    assert needed(other, work("inference")) < needed(row, work())
