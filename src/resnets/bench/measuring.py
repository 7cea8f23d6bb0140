"""The run: start the processes, let them take turns, put the figures together."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from resnets.bench import machine, room, rounds, telling
from resnets.bench.contenders import chosen, limit
from resnets.bench.figures import part_of
from resnets.bench.processes import Worker, WorkerError
from resnets.bench.results import Part, Report, RowResult
from resnets.bench.room import Entry
from resnets.bench.running import TURN_SECONDS, Running
from resnets.bench.work import Purpose, Work
from resnets.bench.worker import Absent
from resnets.errors import RunError
from resnets.networks.architecture import Architecture
from resnets.networks.tracing import trace
from resnets.progress_bar import Announce
from resnets.training.monitor.phrases import duration

LARGEST_BATCH = 2**16

START_SECONDS = {"torch": 3, "jax": 7, "tensorflow": 9, "mxnet": 3}
"""Until a small network's process is ready, about, on two processors."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is to be measured.

    Attributes:
        architecture: the network.
        size: height and width of its images in pixels.
        batch: images in a step.
        frameworks: by name.
        purposes: training, inference or both.
        precisions: of our own rows of training: auto, fp32, bf16, fp64.
        device: as the frameworks call it, or auto.
        rounds: of turns, 3 at least.
    """

    architecture: Architecture
    size: int
    batch: int
    frameworks: tuple[str, ...]
    purposes: tuple[Purpose, ...] = ("training", "inference")
    precisions: tuple[str, ...] = ("auto",)
    device: str = "auto"
    rounds: int = 7

    def __post_init__(self) -> None:
        if self.rounds < rounds.FEWEST:
            raise RunError(
                f"--rounds {self.rounds}: a median and a range need {rounds.FEWEST} at least"
            )
        if not 1 <= self.batch <= LARGEST_BATCH:
            raise RunError(f"--batch {self.batch}: not a number of images from 1 to 65536")
        if not self.frameworks:
            raise RunError(
                'no framework is installed here: pip install "resnets[torch]" '
                "(or jax, tensorflow, mxnet)"
            )


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while it was measured; ``report`` has the rounds that are complete."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


def measure(bench: Bench, announce: Announce) -> Report:
    """Measure; ``announce`` is told what happens.

    Raises:
        RunError: where memory does not suffice, or nothing could be measured.
        InvalidDescription: where the size is no number of pixels.
        Interrupted: after Ctrl-C.
    """
    began = time.monotonic()
    groups = [group for purpose in bench.purposes for group in _groups(bench, purpose)]
    absent = _without_device(bench)
    begun = [[entry for entry in group if entry[0].framework not in absent] for group in groups]
    announce(
        f"{bench.architecture.name} at {bench.size}x{bench.size}, batch {bench.batch}: "
        f"{sum(map(len, begun))} processes, about {duration(_expected(begun, bench.rounds))} "
        "for a small network"
    )
    parts: list[Part] = []
    try:
        for group in groups:
            rows = _Group(group, bench, absent, announce)
            parts.append(rows.measured())
            if rows.interrupted:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise Interrupted(_report(bench, began, parts, interrupted=True)) from None
    report = _report(bench, began, parts)
    if not any(row.measured for row in report.rows):
        reasons = "".join(f"\n  {row.framework}, {row.name}: {row.missing}" for row in report.rows)
        raise RunError(f"nothing could be measured:{reasons}")
    return report


def _report(
    bench: Bench, began: float, parts: Sequence[Part], *, interrupted: bool = False
) -> Report:
    a, steps = bench.architecture, trace(bench.architecture, bench.size)
    return Report(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        resnets=_version(),
        machine=machine.described(),
        network=a.name,
        size=bench.size,
        channels=a.channels,
        classes=a.classes,
        batch=bench.batch,
        parameters=steps.parameters,
        multiply_adds=steps.multiply_adds,
        seconds=time.monotonic() - began,
        parts=tuple(parts),
        interrupted=interrupted,
    )


def _groups(bench: Bench, purpose: Purpose) -> list[list[Entry]]:
    work = Work(
        architecture=bench.architecture,
        size=bench.size,
        batch=bench.batch,
        purpose=purpose,
        device=bench.device,
    )
    work.trace()  # a wrong size is said before anything is started
    entries = [
        (row, replace(work, precision=precision))
        for name in bench.frameworks
        for row in (*chosen((name,), purpose), limit(name, purpose))
        for precision in (bench.precisions if row.ours and purpose == "training" else ("auto",))
    ]
    elsewhere = machine.computes_elsewhere(bench.device)
    return room.groups(entries, None if elsewhere else machine.free_memory())


def _without_device(bench: Bench) -> dict[str, str]:
    """Ask every framework, in a process of its own, for the device before the rows are started.

    Gives why, for those that do not have it.

    Raises:
        RunError: if none has it.
    """
    absent: dict[str, str] = {}
    if bench.device in ("auto", "cpu"):
        return absent
    with ExitStack() as stack:
        asked = [
            stack.enter_context(Worker(limit(name, bench.purposes[0]))) for name in bench.frameworks
        ]
        for worker in asked:
            worker.tell(do="device", framework=worker.contender.framework, device=bench.device)
        for worker in asked:
            try:
                worker.answer()
            except Absent as error:
                absent[worker.contender.framework] = str(error)
            except WorkerError:  # the rows meet it again, and say so
                pass
    if len(absent) == len(bench.frameworks):
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in absent.items())
        raise RunError(f"nothing could be measured:{reasons}")
    return absent


def _expected(groups: Sequence[Sequence[Entry]], count: int) -> float:
    entries = [entry for group in groups for entry in group]
    starting = sum(START_SECONDS[contender.framework] for contender, _ in entries)
    tasks = sum(2 * len(work.batches()) if c.name == "limit" else 1 for c, work in entries)
    return starting + count * tasks * TURN_SECONDS


def _version() -> str:
    from resnets import __version__

    return __version__


class _Group:
    """Rows that take turns with each other."""

    def __init__(
        self,
        entries: Sequence[Entry],
        bench: Bench,
        absent: Mapping[str, str],
        announce: Announce,
    ) -> None:
        self.entries, self.bench, self.absent, self.announce = entries, bench, absent, announce
        self.purpose = entries[0][1].purpose
        self.running: list[Running] = []
        self.interrupted = False

    def measured(self) -> Part:
        """Start, take the rounds, ask for memory and shares, end.

        Interrupted, it is the rounds that are complete, and ``interrupted`` is set.
        """
        with ExitStack() as stack:
            self._start(stack)
            self._say_how_long()
            # One bar for all rounds; those that are repeated come on top.
            turns = self.bench.rounds * sum(len(r.ready["steps"]) for r in self._ready() if r.ready)
            with telling.bar(f"measuring {self.purpose}", turns, self.announce) as advance:
                self.advance = advance
                taken = rounds.gather(self._round, self.bench.rounds)
            try:
                self.interrupted = taken.interrupted
                if not self.interrupted:
                    self._ask_at_the_end()
            except KeyboardInterrupt:
                self.interrupted = True
        return part_of(self.running, taken, self.entries[0][1])

    def _start(self, stack: ExitStack) -> None:
        """Import side by side, then prepare one after the other: preparing is timed."""
        for contender, _ in self.entries:
            if contender.framework in self.absent:
                missing = self.absent[contender.framework]
                self.running.append(Running(contender, None, missing=missing))
                continue
            worker = stack.enter_context(Worker(contender))
            worker.load()
            self.running.append(Running(contender, worker))
        with telling.bar("starting", 2 * len(self.entries), self.announce) as advance:
            loaded: list[bool] = []
            for running in self.running:
                loaded.append(running.loaded())
                advance(1)
            for running, (_, work), here in zip(self.running, self.entries, loaded, strict=True):
                if here:
                    running.prepare(work)
                advance(1)

    def _ready(self) -> list[Running]:
        return [running for running in self.running if running.ready is not None]

    def _say_how_long(self) -> None:
        ready = [running.ready for running in self._ready() if running.ready]
        if not ready:
            return
        seconds = sum(sum(told["seconds"].values()) for told in ready) * self.bench.rounds
        self.announce(
            f"{self.purpose}: {self.bench.rounds} rounds of {len(ready)} processes in turn, "
            f"about {duration(seconds)}"
        )

    def _round(self, number: int) -> rounds.Round:
        found: dict[Any, rounds.Turn] = {}
        for running in rounds.rotated(self._ready(), number):
            steps: dict[str, int] = running.ready["steps"] if running.ready else {}
            for task, count in steps.items():
                told = running.ask(do="turn", task=task, steps=count)
                self.advance(1)
                if told is None:
                    break
                key = (self.running.index(running), task)
                found[key] = rounds.Turn(**told)
        return found

    def _ask_at_the_end(self) -> None:
        for running in self._ready():
            running.memory = running.ask(do="memory") or {}
            if running.contender.name != "limit" and running.ready is not None:
                running.ask_for_shares()


__all__ = ["Bench", "Interrupted", "Report", "RowResult", "Running", "measure"]
