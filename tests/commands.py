"""Run commands of ``resnets``: inside this process, or in a process of their own."""

import contextlib
import io
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

from resnets.cli import app as command_line

DEADLINE = 120.0
"""Seconds after which a condition that never holds is a failure; hundreds of times the usual."""


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit status and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def resnets(*arguments: object, cwd: Path | None = None, **environment: str) -> Done:
    """Run a command inside this process: no interpreter starts and no framework is imported anew.

    It sees the working directory, the environment and the arguments as its own process would.
    An exception that the command line does not turn into a message fails the test.
    """
    out, err = _stream(), _stream()
    code: object = 0
    with (
        contextlib.chdir(cwd or Path.cwd()),
        mock.patch.dict(os.environ, environment),
        mock.patch.object(command_line, "app", partial(command_line.app, [*map(str, arguments)])),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            command_line.main()
        except SystemExit as stop:
            code = stop.code or 0
    assert isinstance(code, int), code
    return Done(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def _stream() -> "_Captured":
    return _Captured(io.BytesIO(), encoding="utf-8", newline="", write_through=True)


class _Captured(io.TextIOWrapper):
    """A text stream whose bytes are kept, of which the command line changes the error handler."""

    buffer: io.BytesIO


def resnets_process(
    *arguments: object, cwd: Path | None = None, stdin: bytes = b"", **environment: str
) -> Done:
    """Run a command in a process of its own, as a shell does."""
    done = subprocess.run(
        [sys.executable, "-m", "resnets", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **environment},
        timeout=300,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def started(*arguments: object, cwd: Path, log: Path) -> BaseProcess:
    """Start a command in a process that is forked from one that has imported PyTorch already.

    It is a process to kill like any other, without the seconds that an import takes. What it
    writes goes to the file ``log``.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["resnets.cli.app", "resnets.training.job", "torch"])
    process = context.Process(target=_command, args=([*map(str, arguments)], cwd, log))
    process.start()
    return process


def _command(arguments: list[str], cwd: Path, log: Path) -> None:
    with log.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.chdir(cwd)
    sys.argv = ["resnets", *arguments]
    command_line.main()


def wait_until(condition: Callable[[], object], deadline: float = DEADLINE) -> None:
    """Return as soon as the condition holds; raise TimeoutError if it never does."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{condition} did not hold within {deadline} s")
        time.sleep(0.002)
