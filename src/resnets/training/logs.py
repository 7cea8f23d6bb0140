"""The logs of a run: a JSON object a line, appended to, and cut where a run goes on.

Every line has ``event``, ``step`` and ``epoch``. A kill may leave the last line half written; it
is not read, and removed when the run goes on.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from resnets.errors import RunError
from resnets.files import explain_os_errors, write_text
from resnets.training.events import Progress

EVENTS = ("step", "epoch", "growth", "start")
"""What lines tell."""


def append_record(path: Path, record: Mapping[str, Any], *, sync: bool = False) -> None:
    """Append a line; with ``sync`` it is on the disk before this returns.

    Raises:
        RunError: if the file cannot be written.
        ValueError: for numbers that JSON lacks: infinite ones, or none.
    """
    line = json.dumps(record, allow_nan=False) + "\n"
    with explain_os_errors(f"cannot write {path}", RunError), path.open("ab") as file:
        file.write(line.encode())
        if sync:
            file.flush()
            os.fsync(file.fileno())


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a log's whole lines; none where there is no such file.

    Raises:
        RunError: if the file cannot be read.
    """
    if not path.is_file():
        return []
    with explain_os_errors(f"cannot read {path}", RunError):
        return [record for _, record in _lines(path.read_bytes())]


def truncate_log(path: Path, progress: Progress) -> None:
    """Remove the lines of what comes after ``progress``, and a line half written.

    A state saved after an epoch's last step, but before its end, sees that end again.
    """
    if not path.is_file():
        return
    content = path.read_bytes()
    kept = [
        line
        for line, record in _lines(content)
        if record["step"] < progress.step
        or (record["step"] == progress.step and _happened_by(record, progress))
    ]
    if b"".join(kept) != content:
        write_text(path, b"".join(kept).decode())


def _happened_by(record: Mapping[str, Any], progress: Progress) -> bool:
    """Whether what a line of the state's own step says had happened when the state was saved."""
    if record["event"] == "growth":
        return record.get("number", 0) <= progress.grown
    return not progress.images or record["event"] != "epoch"


def _is_record(record: Any) -> bool:
    """Whether a line has what every line has."""
    if not isinstance(record, dict):
        return False
    found = cast("dict[str, Any]", record)
    numbers = (found.get("step"), found.get("epoch"))
    return found.get("event") in EVENTS and all(isinstance(n, int) for n in numbers)


def _lines(content: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield whole lines, each with its record; stop at the first that is not whole."""
    for line in content.splitlines(keepends=True):
        try:
            record = json.loads(line)
        except ValueError:
            return
        if not line.endswith(b"\n") or not _is_record(record):
            return
        yield line, record
