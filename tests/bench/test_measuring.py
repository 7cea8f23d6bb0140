"""Who is started, and what is said of who is not: with processes that are made up."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from resnets.bench import measuring
from resnets.bench.contenders import Contender
from resnets.bench.measuring import Bench, measure
from resnets.bench.processes import WorkerError
from resnets.bench.worker import Absent
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
        self.orders: list[dict[str, Any]] = []

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def tell(self, **order: Any) -> None:
        self.orders.append(order)

    def answer(self) -> dict[str, Any]:
        order = self.orders.pop(0)
        if order["do"] == "device" and order["framework"] == "torch" and order["device"] != "cpu":
            raise Absent(WHY)
        return {}

    def load(self) -> None:
        self.started.append((self.contender.framework, self.contender.name))
        self.tell(do="load")

    def prepare(self, work: Any, turn_seconds: float) -> dict[str, Any]:
        if self.contender.name == "limit":
            raise Absent("not measured here")
        return {
            "steps": {f"batch {n}": 1 for n in work.batches()},
            "seconds": {f"batch {n}": 0.1 for n in work.batches()},
            "device": "a bed",
            "precision": "fp32",
            "versions": {},
            "first_step_seconds": 0.1,
        }

    def ask(self, **order: Any) -> dict[str, Any]:
        return {"rate": 1.0} if order["do"] == "turn" else {}

    def end(self) -> None:
        pass


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    monkeypatch.setattr(measuring, "Worker", Process)
    monkeypatch.setattr(Process, "started", [])
    return Process.started


def _bench(*frameworks: str, device: str) -> Bench:
    return Bench(
        architecture=catalog.get("cifar_resnet20"),
        size=8,
        batch=2,
        frameworks=frameworks,
        purposes=("training",),
        device=device,
        rounds=3,
    )


def test_without_the_device_no_row_is_started(started: list[tuple[str, str]]) -> None:
    said: list[str] = []
    with pytest.raises(RunError, match=f"nothing could be measured:\n  torch: {WHY}"):
        measure(_bench("torch", device="cuda"), said.append)
    assert (started, said) == ([], [])


def test_rows_of_a_framework_without_the_device_say_so(started: list[tuple[str, str]]) -> None:
    said: list[str] = []
    report = measure(_bench("torch", "mxnet", device="cuda"), said.append)
    assert started == [("mxnet", n) for n in ("Gluon Trainer", "resnets train", "limit")]
    assert "3 processes" in said[0] and "2 processes" in said[1]
    rows = {(row.framework, row.name): row for row in report.rows}
    assert rows["torch", "plain loop"].missing == WHY and not rows["torch", "plain loop"].died
    assert rows["torch", "resnets train"].missing == WHY
    assert rows["mxnet", "resnets train"].measured
    assert measure(_bench("torch", device="cpu"), said.append).parts[0].rows[0].measured


TINY: dict[str, Any] = {"framework": ("torch",), "size": 8, "batch": 2, "rounds": 3}


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
            raise WorkerError("the loss became nan at step 5, epoch 1")
        return Process.ask(self, **order)

    monkeypatch.setattr(measuring, "Worker", type("Failing", (Process,), {"ask": ask}))
    code = None
    try:
        bench("cifar_resnet20", training=True, **TINY)
    except SystemExit as ended:
        code = ended.code
    table = capsys.readouterr().out
    assert code == status
    assert "plain loop" in table
    # The limit's process is not measured here, and that is no failure.
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

    monkeypatch.setattr(measuring, "Worker", type("Interrupting", (Process,), {"ask": ask}))
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


@pytest.mark.parametrize(("complete", "kept"), [(2, False), (4, True), (7, True)])
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
        of_all = complete * (len(started) - 1)  # all but the limit's take turns here
        if turns > of_all or order["do"] != "turn":
            interrupted = True
            raise KeyboardInterrupt
        return Process.ask(self, **order)

    monkeypatch.setattr(measuring, "Worker", type("Interrupting", (Process,), {"ask": ask}))
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
