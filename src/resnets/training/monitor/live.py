"""The live view of a training run on a terminal: a table that grows, and a bar below it.

There is no thread: a frame is drawn when an event comes, eight times a second at most. A frame
fits the terminal's height; the last one, which stays, shows every epoch.
"""

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Self

import rich.live
from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.text import Text

from resnets.tables import ASCII_REPLACEMENTS, Column, Row, Table
from resnets.training.events import Epoch, Event, Grown, Started, Step
from resnets.training.monitor.pace import Clock, Pace
from resnets.training.monitor.phrases import (
    describe_moment,
    describe_run,
    format_duration,
    format_growth,
    format_loss,
)

REFRESH = 1 / 8
"""Least seconds from frame to frame."""

WIDEST = 96
"""Columns beyond which a longer bar tells no more."""


class LiveView:
    """Draws a run on the terminal behind ``console``."""

    def __init__(self, console: Console, clock: Clock = time.perf_counter) -> None:
        self.console = console
        self._clock = clock
        self._frame: Frame | None = None
        self._drawn = 0.0
        # What others print goes above the table; but a stdout that is piped is left alone.
        self._live = rich.live.Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=sys.stdout.isatty(),
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._frame is not None:
            self._frame.ended = True
        self._live.stop()

    def show(self, event: Event) -> None:
        match event:
            case Started():
                self._frame = Frame(Pace(event, self._clock))
                self._live.start()
                self._draw(self._clock())
            case Grown():
                self.note(format_growth(event))
            case Epoch() if self._frame is not None:
                self._frame.pace.record_epoch(event)
                self._frame.epochs.append(event)
                self._draw(self._clock())
            case Step() if self._frame is not None:
                now = self._frame.pace.record_step(event)
                due = now is not None and now - self._drawn >= REFRESH
                if now is not None and (due or self._frame.pace.validating):
                    self._draw(now)
            case _:
                return

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)

    def _draw(self, now: float) -> None:
        self._drawn = now
        self._live.update(self._frame or "", refresh=True)


class Frame:
    """What is on screen: the facts, a line for each epoch, the bar, the moment.

    Attributes:
        ended: whether the run is over; all epochs are shown then, fit or not.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.epochs = list(pace.run.history)
        self.ended = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, WIDEST)
        plan = self.pace.run
        head = [
            Text(plan.title, "bold"),
            *_wrap_phrases(describe_run(plan), width, style="dim"),
            Text(),
        ]
        foot = _wrap_phrases([self._moment()], width)
        # Besides the rows: the table's titles, an empty line, the bar, and one to spare.
        room = options.size.height - len(head) - len(foot) - 4
        if room < 3 and not self.ended:
            room += len(head)
            head = []
        if options.ascii_only:
            for text in (*head, *foot):
                text.plain = text.plain.translate(ASCII_REPLACEMENTS)
        yield from head
        yield Table(self._columns(), self._rows(len(self.epochs) if self.ended else max(room, 0)))
        yield Text()
        yield self._bar(width - 5)
        yield Text(f"{100 * self.pace.step // plan.steps:4}%")
        yield from foot

    def _columns(self) -> tuple[Column, ...]:
        validation = (
            Column("val. loss", align_right=True),
            Column("val. accuracy", align_right=True),
        )
        return (
            Column("epoch", align_right=True),
            Column("loss", align_right=True),
            *(validation if self.pace.run.validation_images else ()),
            Column("rate", align_right=True, drop_priority=2),
            Column("images/s", align_right=True, drop_priority=1),
            Column("time", align_right=True),
            Column("    "),
        )

    def _rows(self, room: int) -> Sequence[Row]:
        """Give the rows that fit: the last epochs, and always the best."""
        chosen = self.epochs[-room:] if room else []
        hidden = len(self.epochs) - len(chosen)
        best = max((epoch.epoch for epoch in self.epochs if epoch.best), default=0)
        rows = [self._row(epoch, epoch.epoch == best) for epoch in chosen]
        if not hidden or room < 3:
            return rows
        gap = Row(("⋮", *[""] * (len(self._columns()) - 1)), "dim")
        # The gap takes the place of a row, and so does the best epoch if it is not among the last.
        early = [epoch for epoch in self.epochs[: hidden + 2] if epoch.epoch == best]
        return [*(self._row(epoch, True) for epoch in early), gap, *rows[1 + len(early) :]]

    def _row(self, epoch: Epoch, best: bool) -> Row:
        validation: tuple[str, ...] = ()
        if self.pace.run.validation_images:
            validation = (
                "" if epoch.validation_loss is None else format_loss(epoch.validation_loss),
                "" if epoch.validation_accuracy is None else f"{epoch.validation_accuracy:.2%}",
            )
        marked = best and bool(validation)
        cells = (
            f"{epoch.epoch:,}",
            format_loss(epoch.training_loss),
            *validation,
            f"{epoch.rate:.3g}",
            f"{epoch.images_per_second:,.0f}",
            format_duration(epoch.seconds),
            "best" if marked else "",
        )
        return Row(cells, "bold green" if marked else "")

    def _bar(self, width: int) -> ProgressBar:
        plan = self.pace.run
        return ProgressBar(
            plan.steps, self.pace.step, width, complete_style="cyan", finished_style="green"
        )

    def _moment(self) -> list[str]:
        """Say where the run stands: phrases."""
        pace, plan = self.pace, self.pace.run
        if self.ended:
            whole = pace.step >= plan.steps and not pace.validating
            where = "done" if whole else f"ended after step {pace.step:,} of {plan.steps:,}"
            return [where, format_duration(pace.seconds)]
        where = [
            f"epoch {pace.epoch:,} of {plan.epochs:,}",
            f"step {pace.step:,} of {plan.steps:,}",
        ]
        if pace.loss is None:
            return [*where, "waiting for the first step"]
        return [*where, *describe_moment(pace)]


def _wrap_phrases(groups: Iterable[list[str]], width: int, *, style: str = "") -> list[Text]:
    """Write each group of phrases on a line, or on as many as it needs."""
    lines: list[str] = []
    for group in groups:
        line = ""
        for phrase in group:
            cut = phrase if len(phrase) <= width else f"…{phrase[1 - width :]}"
            joined = f"{line} · {cut}" if line else cut
            if len(joined) > width:
                lines.append(line)
                joined = cut
            line = joined
        lines.append(line)
    return [Text(line, style, no_wrap=True, overflow="crop") for line in lines]
