"""Progress on standard error: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager

from resnets.progress_bar import Advance, Announce, count_bar
from resnets.training.monitor.progress import SILENCE


def show_progress(doing: str, total: int, announce: Announce) -> AbstractContextManager[Advance]:
    """Count to ``total`` on standard error."""
    if sys.stderr.isatty():
        return count_bar(doing, total)
    return announce_progress(doing, total, announce)


@contextmanager
def announce_progress(doing: str, total: int, announce: Announce) -> Generator[Advance]:
    """Announce the count after each silence of ``SILENCE`` seconds."""
    last, done = time.monotonic(), 0

    def advance(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= SILENCE and done < total:
            last = now
            announce(f"{doing}: {done} of {total}")

    yield advance
