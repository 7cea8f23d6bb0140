"""Starting workers and speaking with them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

from resnets.bench.contenders import Contender
from resnets.bench.work import Work
from resnets.bench.worker import Absent
from resnets.errors import ResnetsError

LAST_WORDS = 2000
"""Bytes of what a worker wrote at last that are read."""


class WorkerError(ResnetsError):
    """A worker ended before it was asked to; says why."""


class Worker:
    """One row's process, which waits unless it is spoken to; a context manager that ends it."""

    def __init__(self, contender: Contender, command: list[str] | None = None) -> None:
        self.contender = contender
        # A pipe that nobody reads would block the worker once it is full.
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by ``end``)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if contender.framework == "tensorflow":
            environment.setdefault("KERAS_BACKEND", "tensorflow")
        self._process = subprocess.Popen(
            command or [sys.executable, "-m", "resnets.bench.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def ask(self, **order: Any) -> dict[str, Any]:
        """Give an order and wait for the answer: ``worker`` says which there are.

        Raises:
            Absent: if the row cannot be had here.
            WorkerError: if the process failed or ended.
        """
        self.tell(**order)
        return self.answer()

    def load(self) -> None:
        """Let it import its framework; the answer is still to be taken."""
        self.tell(do="load", maker=self.contender.maker, framework=self.contender.framework)

    def prepare(self, work: Work, turn_seconds: float) -> dict[str, Any]:
        """Make it ready; gives what ``worker.prepare`` tells, raises as ``ask``."""
        return self.ask(
            do="prepare",
            maker=self.contender.maker,
            options=dict(self.contender.options),
            work=work.to_json(),
            turn_seconds=turn_seconds,
        )

    def tell(self, **order: Any) -> None:
        """Give an order; where the process has ended, ``answer`` says so."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the oldest order; raises as ``ask``."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(ending(self._process.wait(), self._last_words()))
        found: dict[str, Any] = json.loads(line)
        if "absent" in found:
            raise Absent(found["absent"])
        if "failed" in found:
            raise WorkerError(found["failed"])
        return found

    def end(self) -> None:
        """End it at once; it has nothing to save."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not yet written to a process that is gone
                    pipe.close()
        self._errors.close()

    def _last_words(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(size - LAST_WORDS, 0))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def ending(status: int, last_words: str) -> str:
    """Say how a process ended."""
    if status < 0:
        names: Mapping[int, str] = {number.value: number.name for number in signal.Signals}
        how = f"killed by {names.get(-status, f'signal {-status}')}"
        if names.get(-status) == "SIGKILL":
            how += ", as a system out of memory does"
    else:
        how = f"ended with status {status}"
    return f"{how}: {last_words[:300]}" if last_words else how
