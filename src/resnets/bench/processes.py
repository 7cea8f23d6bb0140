"""Start the process of a contender, and talk to it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any

from resnets.bench.contenders import Contender
from resnets.bench.work import Work
from resnets.bench.worker import Unavailable
from resnets.errors import ResnetsError

COMMAND = (sys.executable, "-c", "from resnets.bench.worker import main; main()")
ERROR_BYTES = 2000
"""How much of the end of a worker's standard error is read."""


class WorkerFailed(ResnetsError):
    """A worker failed, or ended on its own; the message says why."""


class Worker:
    """A contender's process, which loads its framework; a context manager that ends it."""

    def __init__(self, contender: Contender, command: Sequence[str] = COMMAND) -> None:
        self.contender = contender
        # A pipe that nobody reads would block the worker once it is full.
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (closed by ``end``)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if contender.framework == "tensorflow":
            environment.setdefault("KERAS_BACKEND", "tensorflow")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        self.send(do="load", maker=contender.maker, framework=contender.framework)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def prepare(self, work: Work, turn_seconds: float) -> dict[str, Any]:
        """Make it ready; return what ``worker.prepare`` tells. Raises as ``receive``."""
        return self.ask(
            do="prepare",
            framework=self.contender.framework,
            maker=self.contender.maker,
            options=dict(self.contender.options),
            work=work.to_json(),
            turn_seconds=turn_seconds,
        )

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send an order and return the answer. Raises as ``receive``."""
        self.send(**order)
        return self.receive()

    def send(self, **order: Any) -> None:
        """Send an order; if the process has ended, ``receive`` says so."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """Wait for the answer to the oldest order.

        Raises:
            Unavailable: if the contender cannot run here.
            WorkerFailed: if the process failed or ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(describe_exit(self._process.wait(), self._last_error()))
        answer: dict[str, Any] = json.loads(line)
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        if "failed" in answer:
            raise WorkerFailed(answer["failed"])
        return answer

    def end(self) -> None:
        """End the process at once; it has nothing to save."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # unsent orders of a process that is gone
                    pipe.close()
        self._errors.close()

    def _last_error(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(size - ERROR_BYTES, 0))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else ""


def describe_exit(status: int, last_error: str) -> str:
    """Describe how a process ended."""
    if status < 0:
        names = {number.value: number.name for number in signal.Signals}
        how = f"killed by {names.get(-status, f'signal {-status}')}"
        if names.get(-status) == "SIGKILL":
            how += ", as a system out of memory does"
    else:
        how = f"ended with status {status}"
    return f"{how}: {last_error[:300]}" if last_error else how
