"""What people see while it goes on: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager

from resnets.progress_bar import Advance, Announce, count_bar
from resnets.training.monitor.progress import SILENCE


def bar(doing: str, total: int, announce: Announce) -> AbstractContextManager[Advance]:
    """Count ``total`` things on standard error."""
    return count_bar(doing, total) if sys.stderr.isatty() else lines(doing, total, announce)


@contextmanager
def lines(doing: str, total: int, announce: Announce) -> Generator[Advance]:
    """Say how far it is wherever it was silent for too long."""
    spoke, done = time.monotonic(), 0

    def advance(count: int) -> None:
        nonlocal done, spoke
        done += count
        now = time.monotonic()
        if now - spoke >= SILENCE and done < total:
            spoke = now
            announce(f"{doing}: {done} of {total}")

    yield advance
