"""The run: start the processes, let them take turns, turn what they tell into figures."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from resnets.bench import machine
from resnets.bench.contenders import LIMIT, Contender, find_contenders
from resnets.bench.processes import Worker, WorkerFailed
from resnets.bench.progress import show_progress
from resnets.bench.results import Limit, Measured, Part, Report, RowResult, Spread
from resnets.bench.work import Purpose, Work
from resnets.bench.worker import Unavailable
from resnets.errors import RunError
from resnets.networks.architecture import Architecture
from resnets.progress_bar import Announce
from resnets.training.monitor.phrases import format_duration

LARGEST_BATCH = 2**16
FEWEST_ROUNDS = 3
"""A median and a range need so many."""

TURN_SECONDS = 0.15
"""Length of a turn, about; one step where that takes longer."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What to measure.

    Attributes:
        architecture: the network.
        size: height and width of its images in pixels.
        batch: images in a step.
        frameworks: by name.
        purposes: training, inference or both.
        precisions: of our own training: auto, fp32, bf16, fp64.
        device: as the frameworks call it, or auto.
        rounds: of turns, 3 at least.
        extra: contenders beside those of the frameworks.
    """

    architecture: Architecture
    size: int
    batch: int
    frameworks: tuple[str, ...]
    purposes: tuple[Purpose, ...] = ("training", "inference")
    precisions: tuple[str, ...] = ("auto",)
    device: str = "auto"
    rounds: int = 7
    extra: tuple[Contender, ...] = ()

    def __post_init__(self) -> None:
        if self.rounds < FEWEST_ROUNDS:
            raise RunError(
                f"--rounds {self.rounds}: a median and a range need {FEWEST_ROUNDS} at least"
            )
        if not 1 <= self.batch <= LARGEST_BATCH:
            raise RunError(f"--batch {self.batch}: not a number of images from 1 to 65536")
        if not self.frameworks:
            raise RunError(
                'no framework is installed here: pip install "resnets[torch]" '
                "(or jax, tensorflow, mxnet)"
            )

    def work(self, purpose: Purpose) -> Work:
        """Return the work of a purpose."""
        return Work(
            architecture=self.architecture,
            size=self.size,
            batch=self.batch,
            purpose=purpose,
            device=self.device,
        )


@dataclass(frozen=True)
class Turn:
    """What a turn gave: images or multiply-adds a second, and processor time over wall time.

    The latter is None where a device computes.
    """

    rate: float
    processor_share: float | None = None


Round = Mapping[tuple[int, str], Turn]
"""The turns of a round, by the contender's index and the task's name."""

TakeRounds = Callable[[Callable[[int], Round], int], tuple[Sequence[Round], bool]]
"""From what takes the round of a number, and a count: the rounds, and whether Ctrl-C ended them."""


def take_rounds(take: Callable[[int], Round], count: int) -> tuple[Sequence[Round], bool]:
    """Take ``count`` rounds; Ctrl-C leaves those that are complete."""
    rounds: list[Round] = []
    try:
        while len(rounds) < count:
            rounds.append(take(len(rounds)))
    except KeyboardInterrupt:
        return rounds, True
    return rounds, False


def rotate(items: Sequence[T], number: int) -> list[T]:
    """Return the order of round ``number``: nobody always follows the same neighbour."""
    shift = number % len(items) if items else 0
    return [*items[shift:], *items[:shift]]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while measuring; ``report`` has the complete rounds."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


def measure(bench: Bench, announce: Announce, *, take_rounds: TakeRounds = take_rounds) -> Report:
    """Measure, framework by framework; ``announce`` takes lines about the progress.

    Raises:
        RunError: if nothing could be measured.
        InvalidDescription: if the size is no number of pixels.
        Interrupted: after Ctrl-C.
    """
    began, parts = time.monotonic(), list[Part]()
    steps = bench.work("inference").trace()  # rejects a wrong size before anything is started

    def report(*, interrupted: bool) -> Report:
        from resnets import __version__

        a = bench.architecture
        return Report(
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            resnets=__version__,
            machine=machine.describe(),
            network=a.name,
            size=bench.size,
            channels=a.channels,
            classes=a.classes,
            batch=bench.batch,
            parameters=steps.parameters,
            multiply_adds=steps.multiply_adds,
            seconds=time.monotonic() - began,
            interrupted=interrupted,
            parts=tuple(parts),
        )

    try:
        for purpose in bench.purposes:
            for framework in bench.frameworks:
                part, interrupted = _measure_part(bench, purpose, framework, announce, take_rounds)
                parts.append(part)
                if interrupted:
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        raise Interrupted(report(interrupted=True)) from None
    found = report(interrupted=False)
    if not any(row.measured for row in found.rows):
        reasons = dict.fromkeys(f"\n  {row.framework}: {row.missing}" for row in found.rows)
        raise RunError(f"nothing could be measured:{''.join(reasons)}")
    return found


@dataclass
class _Running:
    """A contender and its process.

    Attributes:
        ready: what the process told when it was ready; None if it never was, or failed later.
        missing: why there are no figures.
        died: whether it was available and failed.
        last: what its last turn told.
    """

    contender: Contender
    work: Work
    worker: Worker
    ready: dict[str, Any] | None = None
    missing: str = ""
    died: bool = False
    last: dict[str, Any] = field(default_factory=dict[str, Any])

    def guard(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """Call; if the process fails, take the contender out and keep the reason."""
        try:
            return call()
        except (Unavailable, WorkerFailed) as error:
            self.missing, self.died = str(error), isinstance(error, WorkerFailed)
            self.ready = None
            self.worker.end()
            return None


def _measure_part(
    bench: Bench,
    purpose: Purpose,
    framework: str,
    announce: Announce,
    take_rounds: TakeRounds,
) -> tuple[Part, bool]:
    """Measure a framework's contenders; return the part, and whether Ctrl-C ended it."""
    title = f"{framework} {purpose}"
    with ExitStack() as stack:
        running = _start(bench, purpose, framework, stack, announce)
        ready = [one.ready for one in running if one.ready]
        if ready:
            seconds = sum(told["seconds"] for told in ready) * bench.rounds
            announce(
                f"{title}: {bench.rounds} rounds of {len(ready)} processes in turn, "
                f"about {format_duration(seconds)}"
            )
        turns = bench.rounds * sum(len(told["steps"]) for told in ready)
        with show_progress(f"measuring {title}", turns, announce) as advance:
            rounds, interrupted = take_rounds(
                lambda number: _take_round(running, number, advance), bench.rounds
            )
    if len(rounds) < FEWEST_ROUNDS:
        raise KeyboardInterrupt
    return _build_part(running, rounds, bench.work(purpose)), interrupted


def _start(
    bench: Bench, purpose: Purpose, framework: str, stack: ExitStack, announce: Announce
) -> list[_Running]:
    """Import side by side, then prepare one after the other: preparing is timed."""
    work = bench.work(purpose)
    extra = [one for one in bench.extra if (one.framework, one.purpose) == (framework, purpose)]
    running = [
        _Running(
            contender,
            replace(work, precision=precision),
            stack.enter_context(Worker(contender)),
        )
        for contender in (*find_contenders(framework, purpose), *extra)
        for precision in (
            bench.precisions if contender.ours and purpose == "training" else ("auto",)
        )
    ]
    with show_progress(f"starting {framework}", 2 * len(running), announce) as advance:
        loaded: list[_Running] = []
        for one in running:
            if one.guard(one.worker.receive) is not None:
                loaded.append(one)
            advance(1)
        for one in loaded:
            one.ready = one.guard(lambda one=one: one.worker.prepare(one.work, TURN_SECONDS))
            advance(1)
    return running


def _take_round(running: Sequence[_Running], number: int, advance: Callable[[int], None]) -> Round:
    turns: dict[tuple[int, str], Turn] = {}
    for index in rotate([k for k, one in enumerate(running) if one.ready], number):
        one = running[index]
        steps: dict[str, int] = one.ready["steps"] if one.ready else {}
        for task, count in steps.items():
            told = one.guard(
                lambda one=one, task=task, count=count: one.worker.ask(
                    do="turn", task=task, steps=count
                )
            )
            advance(1)
            if told is None:
                break
            one.last = told
            turns[index, task] = Turn(told["rate"], told["processor_share"])
    return turns


def _build_part(running: Sequence[_Running], rounds: Sequence[Round], work: Work) -> Part:
    def rates(index: int, task: str) -> Spread:
        return Spread(tuple(one[index, task].rate for one in rounds))

    limits = tuple(
        Limit(framework=one.contender.framework, precision=precision, matrix=rates(index, task))
        for index, one in enumerate(running)
        if one.contender.name == LIMIT and one.ready
        for precision in one.ready["precision"].split()
        if (task := f"matrix {precision}")
    )

    def measured(index: int, told: Mapping[str, Any]) -> Iterable[Measured]:
        limit = next((x.matrix for x in limits if x.precision == told["precision"]), None)
        peer = running[0]  # also where it is unavailable
        for batch in work.batches():
            speed = rates(index, f"batch {batch}")
            paired = index > 0 and peer.ready is not None
            needed = work.step_multiply_adds()
            yield Measured(
                batch=batch,
                images_per_second=speed,
                ratio=speed.divide(rates(0, f"batch {batch}")) if paired else None,
                peer=peer.contender.name if paired else "",
                of_matrix=speed.divide(limit).median * needed if limit else None,
            )

    def row(index: int, one: _Running) -> RowResult:
        contender, ready = one.contender, one.ready
        base = RowResult(framework=contender.framework, name=contender.name, ours=contender.ours)
        if ready is None:
            return replace(base, missing=one.missing, died=one.died)
        return replace(
            base,
            device=ready["device"],
            precision=ready["precision"],
            versions=ready["versions"],
            first_step_seconds=ready["first_step_seconds"],
            peak_memory_bytes=one.last["peak_memory_bytes"],
            device_memory_bytes=one.last["device_memory_bytes"],
            measured=tuple(measured(index, ready)),
        )

    rows = [row(k, one) for k, one in enumerate(running) if one.contender.name != LIMIT]
    return Part(purpose=work.purpose, rounds=len(rounds), limits=limits, rows=tuple(rows))
