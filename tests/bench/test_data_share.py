"""What of a step is data being made ready: not what the session still computes."""

from types import SimpleNamespace

import pytest

from resnets.bench.workers import ours


class Clock:
    """Time that goes on when it is told to."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now


def test_gradients_that_come_after_the_loss_are_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(ours, "time", clock)
    pending = 0.0

    class Session:
        def train_step(self, batch: object, rate: float) -> SimpleNamespace:
            nonlocal pending
            clock.now += 1.0  # the loss is there, three seconds of gradients are to come
            pending = 3.0
            return SimpleNamespace(loss=0.5)

    def wait() -> None:
        nonlocal pending
        clock.now, pending = clock.now + pending, 0.0

    session = Session()
    batch = SimpleNamespace(images=SimpleNamespace(pixels=None), draws=None)

    def take(steps: int) -> None:
        for _ in range(steps):
            clock.now += 0.5  # a batch is drawn and gathered
            session.train_step(batch, 0.1)
            wait()

    def prepare(pixels: object, draws: object) -> None:
        clock.now += 0.4

    found = ours.data_share(take, session, prepare, steps=4, wait=wait)
    assert found["data"] == pytest.approx((0.5 + 0.4) / 4.5)
    assert "train_step" not in vars(session)
