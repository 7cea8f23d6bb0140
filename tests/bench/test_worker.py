"""A contender's process: what it answers, and what is reported when it ends."""

import io
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any, get_args

import pytest

from resnets import backends
from resnets.bench import machine, worker
from resnets.bench.contenders import Contender, find_contenders
from resnets.bench.processes import Worker, WorkerFailed, describe_exit
from resnets.bench.work import Purpose, Work
from resnets.bench.worker import Device, Prepared, Task, Unavailable
from resnets.errors import Diverged, RunError
from resnets.networks import catalog
from resnets.networks.tracing import trace

WORK = Work(architecture=catalog.get("cifar_resnet20"), size=8, batch=2, purpose="training")


def sleeps(work: Work, *, seconds: float) -> Prepared:
    def take(steps: int) -> dict[str, float]:
        time.sleep(seconds * steps)
        return {"seconds": steps / 4}

    return Prepared(
        {"batch 2": Task(take, work.batch)}, Device("a bed", True, {"bed": "1"}), "fp32"
    )


def unavailable(_work: Work) -> Prepared:
    raise Unavailable("not here: pip install bed")


def fails(_work: Work) -> Prepared:
    raise ValueError("first line\nsecond line")


def diverges(_work: Work) -> Prepared:
    raise Diverged("the loss became nan at step 2, epoch 1")


def stops(work: Work) -> Prepared:
    taken = 0

    def take(steps: int) -> None:
        nonlocal taken
        taken += 1
        if taken > worker.WARM_STEPS:
            raise RunError("the bed broke")

    return Prepared({"batch 2": Task(take, work.batch)}, Device("a bed", True, {}), "fp32")


def too_large(_work: Work) -> Prepared:
    raise MemoryError


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    module = ModuleType("rows_for_tests")
    for function in (sleeps, unavailable, fails, diverges, stops, too_large):
        setattr(module, function.__name__, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield module.__name__


def served(*orders: dict[str, Any]) -> list[dict[str, Any]]:
    answers = io.StringIO()
    worker.serve(io.StringIO("".join(json.dumps(order) + "\n" for order in orders)), answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def prepare(maker: str, **options: Any) -> dict[str, Any]:
    return {
        "do": "prepare",
        "framework": "torch",
        "maker": maker,
        "options": options,
        "work": WORK.to_json(),
        "turn_seconds": 0.01,
    }


def test_a_turn(made: str) -> None:
    turn = {"do": "turn", "task": "batch 2", "steps": 3}
    ready, told = served(prepare(f"{made}:sleeps", seconds=0.005), turn)
    assert 1 <= ready["steps"]["batch 2"] <= 2
    assert ready["device"] == "a bed" and ready["versions"] == {"bed": "1"}
    assert told["rate"] == pytest.approx(2 * 4)  # by its own clock
    assert told["processor_share"] < 0.9  # it slept
    assert told["peak_memory_bytes"] > 1e6 and told["device_memory_bytes"] is None


def test_what_is_unavailable_says_why(made: str, capsys: pytest.CaptureFixture[str]) -> None:
    turn = {"do": "turn", "task": "batch 2", "steps": 1}
    assert served(prepare(f"{made}:unavailable"), turn) == [
        {"unavailable": "not here: pip install bed"}
    ]
    assert served(prepare(f"{made}:fails"), turn) == [{"failed": "ValueError: first line"}]
    assert "second line" in capsys.readouterr().err
    assert served(prepare(f"{made}:too_large")) == [{"failed": "not enough memory"}]


def test_what_was_available_and_stopped_has_failed(made: str) -> None:
    (told,) = served(prepare(f"{made}:diverges"))
    assert told == {"failed": "the loss became nan at step 2, epoch 1"}
    turn = {"do": "turn", "task": "batch 2", "steps": 1}
    _, told = served(prepare(f"{made}:stops"), turn, turn)
    assert told == {"failed": "the bed broke"}


def test_training_on_noise_goes_on() -> None:
    """At the chapter's own rate this network's loss is no number after the fourth step."""
    (row,) = (row for row in find_contenders("torch", "training") if row.ours)
    work = Work(architecture=catalog.get("chapter_resnet18"), size=32, batch=2, purpose="training")
    order = {**prepare(row.maker, **row.options), "work": work.to_json()}
    turn = {"do": "turn", "task": "batch 2", "steps": 8}
    ready, told = served(order, turn)
    assert ready["steps"]["batch 2"] >= 1
    assert told["rate"] > 0


def test_the_work_travels_whole() -> None:
    assert Work.from_json(json.loads(json.dumps(WORK.to_json()))) == WORK
    pixels, labels = WORK.draw_images()
    assert pixels.shape == (16, 8, 8, 3) and labels.shape == (16,)
    large = Work(architecture=catalog.get("resnet50"), size=224, batch=512, purpose="inference")
    assert large.count_drawn_batches() == 2
    assert large.batches() == (1, 512) and WORK.batches() == (2,)


def test_every_row_has_a_maker() -> None:
    """Without importing a framework: by the text of its module."""
    import importlib.util
    from pathlib import Path

    rows = [
        row
        for framework in backends.NAMES
        for purpose in get_args(Purpose)
        for row in find_contenders(framework, purpose)
    ]
    for row in rows:
        module, _, function = row.maker.partition(":")
        spec = importlib.util.find_spec(module)
        assert spec is not None and spec.origin is not None, row
        assert f"\ndef {function}(" in Path(spec.origin).read_text(), row
    keys = [(row.framework, row.purpose, row.name) for row in rows]
    assert len(set(keys)) == len(keys)
    for framework in backends.NAMES:
        for purpose in get_args(Purpose):
            own = find_contenders(framework, purpose)
            assert not own[0].ours and own[-2].ours  # the peer first
            assert own[-1].name == "limit"


def process(script: str) -> Worker:
    row = Contender("a row", "torch", "training", "nowhere:nothing")
    return Worker(row, [sys.executable, "-c", script])


def test_a_killed_process_is_told_from_one_that_ended() -> None:
    out_of_memory = pytest.raises(WorkerFailed, match="killed by SIGKILL, as a system out")
    with process("import os; input(); os.kill(os.getpid(), 9)") as killed, out_of_memory:
        killed.receive()
    said = pytest.raises(WorkerFailed, match="ended with status 1: the disk is full")
    with process("import sys; input(); sys.exit('the disk is full')") as ended, said:
        ended.receive()
    assert describe_exit(-11, "") == "killed by SIGSEGV"


def test_a_process_that_ended_before_it_was_asked() -> None:
    said = pytest.raises(WorkerFailed, match="ended with status 3")
    with process("raise SystemExit(3)") as ended, said:
        ended._process.wait()
        ended.receive()


NOISY = """
from resnets.bench import worker

def serve(orders, answers):
    print("a banner", flush=True)
    for _ in orders:
        answers.write("{}\\n")
        answers.flush()

worker.serve = serve
worker.main()
"""


def test_what_frameworks_print_is_no_answer() -> None:
    with process(NOISY) as one:
        assert one.receive() == {}
        assert one.ask(do="turn") == {}


def test_ending_it_twice_is_ending_it() -> None:
    one = process("input()")
    one.end()
    one.end()


def test_work_that_does_not_fit_is_unavailable(made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 10**6)
    (told,) = served(prepare(f"{made}:sleeps", seconds=0.001))
    assert "not enough memory" in told["unavailable"] and "--batch" in told["unavailable"]


def test_memory_grows_with_the_batch_and_training_needs_more() -> None:
    def estimate(batch: int, purpose: Purpose = "training", *, on_cpu: bool = True) -> int:
        a = catalog.get("resnet18")
        work = Work(architecture=a, size=96, batch=batch, purpose=purpose)
        return work.estimate_memory(on_cpu=on_cpu)

    activations = trace(catalog.get("resnet18"), 96).activations
    assert estimate(256) - estimate(8) > 248 * 4 * activations
    assert estimate(128, on_cpu=False) < estimate(128, "inference") < estimate(128)


def test_a_step_needs_no_gradient_of_the_images() -> None:
    work = Work(architecture=catalog.get("resnet18"), size=96, batch=1, purpose="training")
    stem = 64 * 48 * 48 * 3 * 49
    assert work.step_multiply_adds() == 3 * work.trace().multiply_adds - stem
    assert replace(work, purpose="inference").step_multiply_adds() == work.trace().multiply_adds
