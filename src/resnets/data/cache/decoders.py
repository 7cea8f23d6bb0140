"""Who decodes blocks: threads of this process, or processes of their own; several at once."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from PIL import Image

from resnets.data.cache.blocks import Begin, DecodedBlock, DecodeRequest, Target, decode_block
from resnets.errors import DataError

MIN_IMAGES_FOR_PROCESSES = 256
"""Images below which processes take longer to start than threads take to decode them."""

_MOST = 64
"""Processes at once."""


class Decoder(Protocol):
    """Decodes one block at a time."""

    def __call__(self, request: DecodeRequest, begin: Begin) -> DecodedBlock:
        """Decode and write a block; errors as ``blocks.decode_block``, and DataError."""
        ...

    def stop(self) -> None:
        """End what is under way, from another thread."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@dataclass(frozen=True)
class InProcessDecoder:
    """Decodes in the calling thread."""

    size: int
    channels: int
    target: Target

    def __call__(self, request: DecodeRequest, begin: Begin) -> DecodedBlock:
        return decode_block(
            request, self.size, channels=self.channels, target=self.target, begin=begin
        )

    def stop(self) -> None:
        pass

    def close(self) -> None:
        self.target.close()


class _ProcessDied(Exception):
    """The process ended in the middle of a row."""

    def __init__(self, row: int | None, status: int) -> None:
        super().__init__(row, status)
        self.row, self.status = row, status


class SubprocessDecoder:
    """Decodes in a process of its own: an image that crashes its decoder ends that, not the run.

    The process is a plain Python that runs ``decoding_worker``: it shares no memory, lock or
    thread with this one, and needs no guard around the main program.
    """

    def __init__(self, path: Path, start: int, size: int, channels: int) -> None:
        limit = Image.MAX_IMAGE_PIXELS
        self._settings = [
            str(path), str(start), str(size), str(channels), str(limit or "none")
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed by close
        self._stopped = False

    def __call__(self, request: DecodeRequest, begin: Begin) -> DecodedBlock:
        begun: set[int] = set()

        def begin_once(row: int) -> None:
            if row not in begun:
                begun.add(row)
                begin(row)

        while True:
            try:
                return self._ask(request, begin_once)
            except _ProcessDied as death:
                request = self._skip_fatal_image(request, death)

    def _ask(self, request: DecodeRequest, begin: Begin) -> DecodedBlock:
        process = self._ensure_running()
        assert process.stdin is not None and process.stdout is not None
        self._said.seek(0)
        self._said.truncate()
        row: int | None = None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request.to_json()) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            if not line.startswith("row "):
                return _parse_answer(json.loads(line))
            row = int(line[4:])
            begin(row)
        raise _ProcessDied(row, process.wait())

    def _ensure_running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            package = str(Path(__file__).parents[3])
            places = [package, *filter(None, sys.path)]
            self._process = subprocess.Popen(
                # -P: a file of the user's called json.py, where they stand, is no module of ours.
                [sys.executable, "-P", "-m", "resnets.data.cache.decoding_worker", *self._settings],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
            )
        return self._process

    def _skip_fatal_image(self, request: DecodeRequest, death: _ProcessDied) -> DecodeRequest:
        """Go on without the image that ended the process, if that is what ended it."""
        if self._stopped or death.row is None or death.status >= 0 or _is_kill(death.status):
            reason = f"signal {-death.status}" if death.status < 0 else f"status {death.status}"
            raise DataError(
                f"a process that decodes images ended with {reason}{self._last_words()}; what was "
                "decoded is kept: run again to go on (with less in memory, if it ran out of it)"
            )
        name = request.names[death.row - request.first]
        reason = f"{name}: not a readable image: it crashes the decoder (signal {-death.status})"
        return replace(request, skipped={**request.skipped, death.row: reason})

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read(1 << 20).decode(errors="replace").split("\n")
        words = [line.strip() for line in lines if line.strip()]
        return f" ({words[-1]})" if words else ""

    def stop(self) -> None:
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            for stream in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):  # a pipe that is broken by now
                    if stream is not None:
                        stream.close()
            self._process.wait()
        self._said.close()


def _is_kill(status: int) -> bool:
    """Whether somebody ended the process, such as a system out of memory, and not the image."""
    return -status in (signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGKILL", signal.SIGTERM))


def _parse_answer(answer: "dict[str, object]") -> DecodedBlock:
    refused, number = answer.get("refused"), answer.get("number")
    if refused is None:
        return DecodedBlock.from_json(answer)
    if isinstance(number, int):
        raise OSError(number, str(refused))
    raise MemoryError(str(refused))


def cpu_count() -> int:
    """Give the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def can_start_processes() -> bool:
    """Whether there is a Python to start: in a program frozen into one file there is none."""
    return bool(sys.executable) and not getattr(sys, "frozen", False)


def decode_blocks(
    requests: Sequence[DecodeRequest],
    make: Callable[[], Decoder],
    *,
    advance: Callable[[int], None],
) -> Iterator[DecodedBlock]:
    """Decode blocks with as many decoders as there are processors; yield them as they end.

    Raises:
        OSError, MemoryError, DataError: the first that a decoder meets; the others stop then.
    """
    left, decoders = iter(requests), list[Decoder]()
    lock, stop = threading.Lock(), threading.Event()
    # Rows that are begun, blocks that are done, errors; None when a thread has ended.
    events: queue.Queue[int | DecodedBlock | BaseException | None] = queue.Queue()

    def work() -> None:
        try:
            decoder = make()
            decoders.append(decoder)
            while not stop.is_set():
                with lock:
                    request = next(left, None)
                if request is None:
                    break
                events.put(decoder(request, events.put))
        except BaseException as problem:
            events.put(problem)
        finally:
            events.put(None)

    count = min(cpu_count(), _MOST, len(requests))
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield from _iter_decoded(events, count, advance=advance)
    finally:
        stop.set()
        for decoder in list(decoders):
            decoder.stop()
        for thread in threads:
            thread.join()
        for decoder in decoders:
            decoder.close()


def _iter_decoded(
    events: "queue.Queue[int | DecodedBlock | BaseException | None]",
    running: int,
    *,
    advance: Callable[[int], None],
) -> Iterator[DecodedBlock]:
    while running:
        event = events.get()
        if event is None:
            running -= 1
        elif isinstance(event, BaseException):
            raise event
        elif isinstance(event, DecodedBlock):
            yield event
        else:
            advance(1)
