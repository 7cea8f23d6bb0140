"""What a run starts, reports and rejects, with processes that are made up."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from resnets.bench import measurement
from resnets.bench.contenders import Contender
from resnets.bench.measurement import Bench, Turn, measure, rotate, take_rounds
from resnets.bench.processes import WorkerFailed
from resnets.bench.work import Work
from resnets.bench.worker import Unavailable
from resnets.cli.bench import bench
from resnets.cli.show import show
from resnets.errors import RunError
from resnets.networks import catalog
from resnets.networks.folder import save
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network, Preprocessing

WHY = "no device is called 'cuda' here; torch finds cpu"


class Process:
    """Answers at once; torch has no device but the processor."""

    started: list[tuple[str, str]] = []  # noqa: RUF012  (emptied by the fixture)

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.started.append((contender.framework, contender.name))

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def receive(self) -> dict[str, Any]:
        return {}

    def prepare(self, work: Work, turn_seconds: float) -> dict[str, Any]:
        if self.contender.framework == "torch" and work.device != "cpu":
            raise Unavailable(WHY)
        limit = self.contender.name == "limit"
        tasks = ["matrix fp32"] if limit else [f"batch {n}" for n in work.batches()]
        return {
            "steps": dict.fromkeys(tasks, 1),
            "seconds": 0.1,
            "device": "a bed",
            "precision": "fp32",
            "versions": {},
            "first_step_seconds": 0.1,
        }

    def ask(self, **order: Any) -> dict[str, Any]:
        assert order["do"] == "turn"
        return {
            "rate": 1.0,
            "processor_share": 1.0,
            "peak_memory_bytes": 10**9,
            "device_memory_bytes": None,
        }

    def end(self) -> None:
        pass


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    monkeypatch.setattr(measurement, "Worker", Process)
    monkeypatch.setattr(Process, "started", [])
    return Process.started


def make_bench(*frameworks: str, device: str, **changes: Any) -> Bench:
    return Bench(
        architecture=catalog.get("cifar_resnet20"),
        size=8,
        batch=2,
        frameworks=frameworks,
        purposes=("training",),
        device=device,
        rounds=3,
        **changes,
    )


def test_without_the_device_nothing_can_be_measured(started: list[tuple[str, str]]) -> None:
    with pytest.raises(RunError) as caught:
        measure(make_bench("torch", device="cuda"), [].append)
    assert str(caught.value).count(WHY) == 1
    assert started


def test_rows_of_a_framework_without_the_device_say_so(started: list[tuple[str, str]]) -> None:
    said: list[str] = []
    report = measure(make_bench("torch", "mxnet", device="cuda"), said.append)
    assert started[-3:] == [("mxnet", n) for n in ("Gluon Trainer", "resnets train", "limit")]
    assert len(said) == 1 and "3 processes" in said[0]
    rows = {(row.framework, row.name): row for row in report.rows}
    assert rows["torch", "plain loop"].missing == WHY and not rows["torch", "plain loop"].died
    assert rows["torch", "resnets train"].missing == WHY
    assert rows["mxnet", "resnets train"].measured
    assert [limit.framework for part in report.parts for limit in part.limits] == ["mxnet"]


def test_further_contenders_and_another_way_to_take_rounds(
    started: list[tuple[str, str]],
) -> None:
    extra = Contender("beside them", "torch", "training", "nowhere:nothing")
    counts: list[int] = []

    def take_more(take: Any, count: int) -> Any:
        counts.append(count)
        return take_rounds(take, count + 1)

    bench = make_bench("torch", device="cpu", extra=(extra,))
    (part,) = measure(bench, [].append, take_rounds=take_more).parts
    assert counts == [3] and part.rounds == 4
    assert part.rows[-1].name == "beside them"
    assert part.rows[-1].measured[0].ratio is not None
    assert ("torch", "beside them") in started


def test_everyone_follows_everyone() -> None:
    names = ["a", "b", "c", "d"]
    orders = [rotate(names, number) for number in range(8)]
    assert all(sorted(order) == names for order in orders)
    assert {order[0] for order in orders[:4]} == set(names)
    assert orders[:4] == orders[4:]
    assert rotate([], 3) == []


def test_an_interrupt_leaves_the_complete_rounds() -> None:
    def take(number: int) -> dict[tuple[int, str], Turn]:
        if number == 2:
            raise KeyboardInterrupt
        return {(0, "batch 2"): Turn(number)}

    rounds, interrupted = take_rounds(take, 5)
    assert interrupted and [one[0, "batch 2"].rate for one in rounds] == [0, 1]
    assert take_rounds(lambda _: {}, 5) == ([{}] * 5, False)


TINY: dict[str, Any] = {
    "framework": ("torch",),
    "size": 8,
    "batch": 2,
    "rounds": 3,
    "device": "cpu",
}


@pytest.mark.parametrize(("failing", "status"), [("resnets train", 1), ("", None)])
def test_a_row_of_ours_that_fails_shows_in_the_exit_status(
    failing: str,
    status: int | None,
    started: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def ask(self: Process, **order: Any) -> dict[str, Any]:
        if order["do"] == "turn" and self.contender.name == failing:
            raise WorkerFailed("the loss became nan at step 5, epoch 1")
        return Process.ask(self, **order)

    monkeypatch.setattr(measurement, "Worker", type("Failing", (Process,), {"ask": ask}))
    code = None
    try:
        bench("cifar_resnet20", training=True, **TINY)
    except SystemExit as ended:
        code = ended.code
    table = capsys.readouterr().out
    assert code == status
    assert "plain loop" in table
    assert ("resnets train: the loss became nan at step 5" in table) == bool(failing)
    assert started


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_prints_the_parts_that_are_complete(
    number: int,
    started: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def ask(self: Process, **order: Any) -> dict[str, Any]:
        if self.contender.purpose == "inference" and order["do"] == "turn":
            # No real signal: whoever runs the tests in processes of its own may have another use
            # for those.
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            handler = signal.getsignal(number)
            assert callable(handler)
            handler(number, None)
        return Process.ask(self, **order)

    monkeypatch.setattr(measurement, "Worker", type("Interrupting", (Process,), {"ask": ask}))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        bench("cifar_resnet20", json=True, **TINY)
    assert signal.getsignal(signal.SIGTERM) == before
    found = json.loads(capsys.readouterr().out)
    assert found["interrupted"] is True
    (part,) = found["parts"]
    assert part["purpose"] == "training" and part["rows"][0]["measured"]
    assert started
    with pytest.raises(KeyboardInterrupt):
        bench("cifar_resnet20", **TINY)
    table = capsys.readouterr().out
    assert "interrupted: " in table and "training, batch" in table and "inference" not in table


@pytest.mark.parametrize(("complete", "kept"), [(2, False), (4, True)])
def test_interrupted_in_a_round_it_keeps_those_before(
    complete: int,
    kept: bool,
    started: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    turns, interrupted = 0, False

    def ask(self: Process, **order: Any) -> dict[str, Any]:
        nonlocal turns
        nonlocal interrupted
        assert not interrupted  # nothing more is asked
        turns += order["do"] == "turn"
        if turns > complete * len(started):
            interrupted = True
            raise KeyboardInterrupt
        return Process.ask(self, **order)

    monkeypatch.setattr(measurement, "Worker", type("Interrupting", (Process,), {"ask": ask}))
    with pytest.raises(KeyboardInterrupt):
        bench("cifar_resnet20", training=True, json=True, **{**TINY, "rounds": 7})
    found = json.loads(capsys.readouterr().out)
    assert found["interrupted"] is True
    assert [part["rounds"] for part in found["parts"]] == [complete] * kept


@pytest.mark.parametrize("asked", ["run", "run/config.json"])
def test_a_network_is_also_a_folder_and_its_config(
    asked: str,
    started: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    a = catalog.get("cifar_resnet20", channels=1, classes=7)
    shape = Preprocessing(size=12, mean=(0.0,), std=(1.0,))
    names = tuple("abcdefg")
    save(Network(a, initial_weights(a, seed=0), shape, names), tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    bench(asked, json=True, **{**TINY, "size": None})
    found = json.loads(capsys.readouterr().out)
    told = ("network", "channels", "classes", "size", "interrupted")
    assert [found[key] for key in told] == ["cifar_resnet20", 1, 7, 12, False]
    assert started
    show(asked)
    assert "cifar_resnet20 for 1 × 12 × 12, 7 classes" in capsys.readouterr().out


def test_a_description_called_config_is_a_description(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(catalog.get("resnet8_slim", classes=3).to_json()))
    show(str(path))
    assert "resnet8_slim" in capsys.readouterr().out
