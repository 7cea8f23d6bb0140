"""Who is started, and what is said of who is not: with processes that are made up."""

from typing import Any

import pytest

from resnets import catalog
from resnets.benchmarking import measuring
from resnets.benchmarking.contenders import Contender
from resnets.benchmarking.measuring import Bench, measure
from resnets.benchmarking.worker import Absent
from resnets.errors import RunError

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
            "steps": {"batch 2": 1},
            "seconds": {"batch 2": 0.1},
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
