"""The one thread that computes: what waits together is computed together.

A network on one image leaves most of a machine idle, and two frameworks' thread pools at once slow
each other down. So all images go through one thread, which takes whatever is waiting when it is
free. Nothing waits for a batch to fill: an image that comes alone is computed alone, at once.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any, Self

import numpy as np

from resnets.data.images import Pixels
from resnets.errors import ResnetsError

BATCH_SIZES = (32, 16, 8, 4, 2, 1)
"""How many images are computed together: few sizes, for some frameworks compile for each."""

MAX_WAITING = 256
"""Images that wait at most; the next one is refused."""

Work = Callable[[Pixels], Sequence[Any]]
"""From images [n, height, width, channels] of one size to a result for each.

What is equal is the same work: a method of an object is, each time it is taken from it.
"""


class Busy(ResnetsError):
    """More images are waiting than may."""


@dataclass(frozen=True)
class _Job:
    """An image, what is to be done with it, and who waits for it."""

    work: Work
    pixels: Pixels
    future: "Future[Any]"


class Computer:
    """A thread that gives images to functions, many at once.

    Args:
        max_waiting: how many images wait at most.

    A context manager: at its end what still waits is computed, and the thread ends.
    """

    def __init__(self, *, max_waiting: int = MAX_WAITING) -> None:
        self._waiting = max_waiting
        self._jobs: deque[_Job] = deque()
        self._ended = True
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="computer", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def submit(self, work: Work, pixels: Pixels) -> "Future[Any]":
        """Give one image [height, width, channels] to ``work``; what it gives comes later.

        Of one ``work`` all images have one size. Where it raises an error each image is given to
        it alone, so that one image does not fail another.

        Raises:
            Busy: where too many are waiting; RuntimeError: outside of ``with``.
        """
        job = _Job(work, pixels, Future())
        with self._changed:
            if self._ended:
                raise RuntimeError("nothing computes: a computer works inside of with")
            if len(self._jobs) >= self._waiting:
                raise Busy(f"{self._waiting} images are waiting: come again later")
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def _run(self) -> None:
        while jobs := self._next():
            _compute(jobs)

    def _next(self) -> list[_Job]:
        """Wait for jobs; give the first and others behind it of the same work. No job: the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._ended)
            alike = takewhile(lambda job: job.work == self._jobs[0].work, self._jobs)
            waiting = len(list(islice(alike, BATCH_SIZES[0])))
            size = next((size for size in BATCH_SIZES if size <= waiting), 0)
            return [self._jobs.popleft() for _ in range(size)]


def _compute(jobs: Sequence[_Job]) -> None:
    _deliver([job for job in jobs if job.future.set_running_or_notify_cancel()])


def _deliver(jobs: Sequence[_Job]) -> None:
    """Compute, and give each its result; where that fails, each alone."""
    if not jobs:
        return
    try:
        found = jobs[0].work(np.stack([job.pixels for job in jobs]))
        results = [found[k] for k in range(len(jobs))]
    except BaseException as error:  # who waits for it is told; this thread goes on
        if len(jobs) == 1:
            jobs[0].future.set_exception(error)
            return
        for job in jobs:
            _deliver([job])
        return
    for job, result in zip(jobs, results, strict=True):
        job.future.set_result(result)
