"""The threads that decode: few, for each holds all of an image's pixels meanwhile."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self

from resnets.serve.computer import Busy

THREADS = 2
MAX_WAITING = 256
"""Images that wait to be decoded at most; the next one is refused."""


class Decoders:
    """A few threads that call functions.

    A context manager. Its end waits for nothing: an image may take a while to decode.
    """

    def __init__(self, threads: int = THREADS, max_waiting: int = MAX_WAITING) -> None:
        self._threads = threads
        self._jobs: queue.Queue[tuple[Callable[[], Any], Future[Any]]] = queue.Queue(max_waiting)
        self._started = 0

    def __enter__(self) -> Self:
        while self._started < self._threads:
            self._started += 1
            threading.Thread(target=self._run, name="decoder", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        return  # the threads end with the process

    def submit(self, function: Callable[[], Any]) -> "Future[Any]":
        """Call a function in one of the threads; what it gives comes later.

        Raises:
            Busy: where too many are waiting.
        """
        future: Future[Any] = Future()
        try:
            self._jobs.put_nowait((function, future))
        except queue.Full:
            raise Busy(f"{self._jobs.maxsize} images are waiting: come again later") from None
        return future

    def _run(self) -> None:
        while True:
            function, future = self._jobs.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except BaseException as error:  # who waits for it is told
                future.set_exception(error)
