"""Views of a training run: what people see while it goes on.

A view takes the events of ``training.train``. On a terminal it is a live table (``live``),
elsewhere plain lines that never fall silent for long. All of it goes to standard error.
"""

import os
import time
from typing import TYPE_CHECKING, Protocol, Self

from resnets.training.events import Epoch, Event, Grown, Started, Step
from resnets.training.monitor.pace import Clock, Pace
from resnets.training.monitor.phrases import (
    describe_moment,
    describe_run,
    format_duration,
    format_growth,
    format_loss,
)

if TYPE_CHECKING:
    from rich.console import Console

SILENCE = 10.0
"""Seconds after which plain lines speak up inside an epoch."""


class View(Protocol):
    """What people see of a run; a context manager, so that the terminal is left as it was."""

    def __enter__(self) -> Self:
        """Get ready; shows nothing yet."""
        ...

    def __exit__(self, *error: object) -> None:
        """Leave the last state on screen and give the terminal back."""
        ...

    def show(self, event: Event) -> None:
        """Show an event of the run; the clock for the time left starts with ``Started``."""
        ...

    def note(self, text: str) -> None:
        """Say something between the lines."""
        ...


def choose_view(*, quiet: bool, console: "Console | None" = None) -> View:
    """Choose the view: silent if ``quiet``, live on a terminal, plain lines elsewhere.

    Without ``console``, standard error is written to. FORCE_COLOR asks for colours; it does not
    make a terminal of a file or a pipe.
    """
    if quiet:
        return _SilentView()
    from rich.console import Console

    console = Console(stderr=True) if console is None else console
    forced = bool(os.environ.get("FORCE_COLOR")) and not console.file.isatty()
    if console.is_interactive and not forced:
        from resnets.training.monitor.live import LiveView

        return LiveView(console)
    return PlainView(console)


class _SilentView:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def show(self, event: Event) -> None:
        return

    def note(self, text: str) -> None:
        return


class PlainView:
    """A line for each epoch, and one every ten seconds within: for logs and pipes."""

    def __init__(self, console: "Console", clock: Clock = time.perf_counter) -> None:
        self.console = console
        self.clock = clock
        self._pace: Pace | None = None
        self._spoke = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def show(self, event: Event) -> None:
        match event:
            case Started():
                self._pace = Pace(event, self.clock)
                self.note(event.title)
                for line in describe_run(event):
                    self.note("  " + ", ".join(line))
            case Grown():
                self.note(format_growth(event))
            case Epoch() if self._pace is not None:
                self._pace.record_epoch(event)
                self.note(self._epoch_line(event, self._pace))
            case Step() if self._pace is not None:
                self._show_step(event, self._pace)
            case _:
                return

    def _show_step(self, event: Step, pace: Pace) -> None:
        now = pace.record_step(event)
        if now is not None and now - self._spoke >= SILENCE:
            self.note(self._step_line(pace))
        if pace.validating and (pace.pause or 0) >= SILENCE:
            self.note(f"epoch {event.epoch}/{pace.run.epochs}  validating")

    def note(self, text: str) -> None:
        self._spoke = self.clock()
        self.console.out(text, highlight=False)

    def _step_line(self, pace: Pace) -> str:
        plan = pace.run
        parts = [f"epoch {pace.epoch}/{plan.epochs}", f"step {pace.step:,}/{plan.steps:,}"]
        return "  ".join(parts + describe_moment(pace))

    def _epoch_line(self, event: Epoch, pace: Pace) -> str:
        parts = [
            f"epoch {event.epoch}/{pace.run.epochs}",
            f"loss {format_loss(event.training_loss)}",
        ]
        if event.validation_loss is not None:
            parts.append(f"val. loss {format_loss(event.validation_loss)}")
        if event.validation_accuracy is not None:
            parts.append(f"val. accuracy {event.validation_accuracy:.2%}")
        parts += [
            f"rate {event.rate:.3g}",
            f"{event.images_per_second:,.0f} images/s",
            format_duration(event.seconds),
        ]
        return "  ".join(parts + ["best"] * (event.best and event.validation_loss is not None))
