"""A row's process: what it answers, and what is said when it ends."""

import io
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from resnets.bench import worker
from resnets.bench.contenders import CONTENDERS, Contender, chosen, limit
from resnets.bench.processes import Worker, WorkerError, ending
from resnets.bench.work import Work
from resnets.bench.worker import Absent, Prepared, Task
from resnets.errors import Diverged, RunError
from resnets.networks import catalog

WORK = Work(architecture=catalog.get("cifar_resnet20"), size=8, batch=2, purpose="training")


def sleeps(work: Work, *, seconds: float) -> Prepared:
    def take(steps: int) -> dict[str, float]:
        time.sleep(seconds * steps)
        return {"seconds": steps / 4, "3x3": 0.5}

    return Prepared(
        tasks={"batch 2": Task(take, work.batch)},
        device="a bed",
        precision="fp32",
        on_processor=True,
        versions={"bed": "1"},
        unknown_shares="asleep",
    )


def absent(_work: Work) -> Prepared:
    raise Absent("not here: pip install bed")


def fails(_work: Work) -> Prepared:
    raise ValueError("first line\nsecond line")


def diverges(_work: Work) -> Prepared:
    raise Diverged("the loss became nan at step 2, epoch 1")


def stops(work: Work) -> Prepared:
    def take(steps: int) -> None:
        raise RunError("the bed broke")

    def profiled() -> dict[str, float]:
        take(1)
        return {}

    lies = sleeps(work, seconds=0.001)
    return replace(lies, shares=profiled)


def too_large(_work: Work) -> Prepared:
    raise MemoryError


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    module = ModuleType("rows_for_tests")
    for function in (sleeps, absent, fails, diverges, stops, too_large):
        setattr(module, function.__name__, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield module.__name__


def served(*orders: dict[str, Any]) -> list[dict[str, Any]]:
    answers = io.StringIO()
    worker.serve(io.StringIO("".join(json.dumps(order) + "\n" for order in orders)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def prepare(maker: str, **options: Any) -> dict[str, Any]:
    work = WORK.to_json()
    return {"do": "prepare", "maker": maker, "options": options, "work": work, "turn_seconds": 0.01}


def test_a_turn(made: str) -> None:
    turn = {"do": "turn", "task": "batch 2", "steps": 3}
    ready, told, memory, shares = served(
        prepare(f"{made}:sleeps", seconds=0.005), turn, {"do": "memory"}, {"do": "shares"}
    )
    assert 1 <= ready["steps"]["batch 2"] <= 2
    assert ready["device"] == "a bed" and ready["versions"] == {"bed": "1"}
    assert told["rate"] == pytest.approx(2 * 4)  # by its own clock
    assert told["parts"] == {"3x3": 0.5}
    assert told["share"] < 0.9  # it slept
    assert not told["probe"]
    assert memory["peak"] > 1e6 and memory["device_peak"] is None
    assert shares == {"shares": None, "reason": "asleep"}


def test_what_cannot_be_had_says_why(made: str, capsys: pytest.CaptureFixture[str]) -> None:
    turn = {"do": "turn", "task": "batch 2", "steps": 1}
    assert served(prepare(f"{made}:absent"), turn) == [{"absent": "not here: pip install bed"}]
    assert served(prepare(f"{made}:fails"), turn) == [{"failed": "ValueError: first line"}]
    assert "second line" in capsys.readouterr().err
    assert served(prepare(f"{made}:too_large")) == [{"failed": "not enough memory"}]


def test_what_could_be_had_and_did_not_go_on_has_failed(made: str) -> None:
    (told,) = served(prepare(f"{made}:diverges"))
    assert told == {"failed": "the loss became nan at step 2, epoch 1"}
    _, told = served(prepare(f"{made}:stops"), {"do": "shares"}, {"do": "memory"})
    assert told == {"failed": "the bed broke"}


def test_training_on_noise_goes_on() -> None:
    """At the chapter's own rate this network's loss is no number after the fourth step."""
    (row,) = (row for row in chosen(("torch",), "training") if row.ours)
    work = Work(architecture=catalog.get("chapter_resnet18"), size=32, batch=2, purpose="training")
    order = {**prepare(row.maker, **row.options), "work": work.to_json()}
    turn = {"do": "turn", "task": "batch 2", "steps": 8}
    ready, told = served(order, turn)
    assert ready["steps"]["batch 2"] >= 1
    assert told["rate"] > 0


def test_the_work_travels_whole() -> None:
    assert Work.from_json(json.loads(json.dumps(WORK.to_json()))) == WORK
    pixels, labels = WORK.images()
    assert pixels.shape == (16, 8, 8, 3) and labels.shape == (16,)
    large = Work(architecture=catalog.get("resnet50"), size=224, batch=512, purpose="inference")
    assert large.drawn_batches() == 2
    assert large.batches() == (1, 512) and WORK.batches() == (2,)


def test_every_row_has_a_maker() -> None:
    """Without importing a framework: by the text of its module."""
    import importlib.util
    from pathlib import Path

    rows = [*CONTENDERS, limit("torch", "training")]
    for row in rows:
        module, _, function = row.maker.partition(":")
        spec = importlib.util.find_spec(module)
        assert spec is not None and spec.origin is not None, row
        assert f"\ndef {function}(" in Path(spec.origin).read_text(), row
    keys = [(row.framework, row.purpose, row.name) for row in rows]
    assert len(set(keys)) == len(keys)
    for framework in ("torch", "jax", "tensorflow", "mxnet"):
        for purpose in ("training", "inference"):
            own = chosen((framework,), purpose)
            assert not own[0].ours and own[-1].ours  # the peer first


def process(script: str) -> Worker:
    row = Contender("a row", "torch", "training", "nowhere:nothing")
    return Worker(row, [sys.executable, "-c", script])


def test_a_killed_process_is_told_from_one_that_ended() -> None:
    out_of_memory = pytest.raises(WorkerError, match="killed by SIGKILL, as a system out of memory")
    with process("import os; input(); os.kill(os.getpid(), 9)") as killed, out_of_memory:
        killed.ask(do="memory")
    said = pytest.raises(WorkerError, match="ended with status 1: the disk is full")
    with process("import sys; input(); sys.exit('the disk is full')") as ended, said:
        ended.ask(do="memory")
    assert ending(-11, "") == "killed by SIGSEGV"


def test_a_process_that_ended_before_it_was_asked() -> None:
    said = pytest.raises(WorkerError, match="ended with status 3")
    with process("raise SystemExit(3)") as ended, said:
        ended._process.wait()
        ended.ask(do="memory")


def test_what_frameworks_print_is_no_answer() -> None:
    row = Contender("a row", "torch", "training", "resnets.errors:nothing")
    with Worker(row) as one, pytest.raises(WorkerError, match="AttributeError"):
        one.ask(do="prepare", maker="resnets.errors:nothing", options={}, work={})


def test_ending_it_twice_is_ending_it() -> None:
    one = process("input()")
    one.end()
    one.end()
