"""A row while it is measured: its process, and what that has told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from resnets.bench.contenders import Contender
from resnets.bench.processes import Worker, WorkerError
from resnets.bench.work import Work
from resnets.bench.worker import Absent

TURN_SECONDS = 0.15
"""Of a turn, about; one step where that takes longer."""


@dataclass
class Running:
    """A row's process, and what it has told.

    Attributes:
        contender: the row.
        worker: its process; None where its framework has not the device.
        ready: what it told when it was ready; None where it never was.
        missing: why it has no figures.
        died: whether it failed: its process ended by itself, or said so.
        memory, shares: what it told at the end.
    """

    contender: Contender
    worker: Worker | None
    ready: dict[str, Any] | None = None
    missing: str = ""
    died: bool = False
    memory: dict[str, Any] = field(default_factory=dict[str, Any])
    shares: dict[str, Any] = field(default_factory=dict[str, Any])

    def ask(self, **order: Any) -> dict[str, Any] | None:
        """Ask its process; where that fails it is out, and says why."""
        return self._guarded(lambda worker: worker.ask(**order))

    def _guarded(self, call: Callable[[Worker], dict[str, Any]]) -> dict[str, Any] | None:
        if self.worker is None:
            return None
        try:
            return call(self.worker)
        except (Absent, WorkerError) as error:
            self.missing, self.died = str(error), isinstance(error, WorkerError)
            self.ready = None
            self.worker.end()
            return None

    def loaded(self) -> bool:
        """Wait until its framework is imported."""
        return self._guarded(lambda worker: worker.answer()) is not None

    def prepare(self, work: Work) -> None:
        """Get it ready."""
        self.ready = self._guarded(lambda worker: worker.prepare(work, TURN_SECONDS))

    def ask_for_shares(self) -> None:
        """Ask where its time goes; a profiler that fails must not cost the figures."""
        assert self.worker is not None
        try:
            self.shares = self.worker.ask(do="shares")
        except (Absent, WorkerError) as error:
            self.shares = {"shares": None, "reason": str(error)}
