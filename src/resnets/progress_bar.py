"""What a slow source tells people meanwhile: plain lines, and a bar on a terminal."""

import contextlib
import sys
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

Announce = Callable[[str], None]
"""Takes one line for people, without its end of line."""

Advance = Callable[[int], None]
"""Takes how many more of the total are done."""

OpenBar = Callable[[str, int], AbstractContextManager[Advance]]
"""Takes what is being done and how much of it there is."""


def ignore_message(_line: str) -> None:
    """Say nothing: the announce of a caller that did not ask."""


def count_bar(description: str, total: int) -> AbstractContextManager[Advance]:
    """A bar that counts things, shown only where they take more than two seconds."""
    return _show_bar(description, total, column=MofNCompleteColumn(), delay=2.0)


def bytes_bar(description: str, total: int) -> AbstractContextManager[Advance]:
    """A bar that counts bytes, shown only where they take more than two seconds."""
    return _show_bar(description, total, column=DownloadColumn(), delay=2.0)


@contextlib.contextmanager
def _show_bar(
    description: str, total: int, *, column: ProgressColumn, delay: float
) -> Generator[Advance, None, None]:
    """Draw on standard error if it is a terminal, once ``delay`` seconds have passed.

    A pipe or a log file gets nothing: a bar is a hundred lines of noise there.
    """
    if not sys.stderr.isatty():
        yield _draw_nothing
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        column,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(description, total=total)
    began = time.monotonic()

    def advance(count: int) -> None:
        bar.advance(task, count)
        if not bar.live.is_started and time.monotonic() - began >= delay:
            bar.start()

    try:
        yield advance
    finally:
        bar.stop()


def _draw_nothing(_count: int) -> None:
    """The advance of a bar that is not there."""
