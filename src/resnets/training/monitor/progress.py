"""Views of a training run: what people see while it goes on.

A view takes the events of ``training.train``. On a terminal it is a live table (``live``),
elsewhere plain lines that never fall silent for long. All of it goes to standard error.
"""

import os
import time
from typing import TYPE_CHECKING, Protocol, Self

from resnets.training.events import Epoch, Event, Grown
from resnets.training.monitor.pace import Clock, Pace, Plan

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Plan", "View", "view"]

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

    def start(self, plan: Plan) -> None:
        """Show what is about to happen. The clock for the time left starts here."""
        ...

    def show(self, event: Event) -> None:
        """Show what has happened."""
        ...

    def note(self, text: str) -> None:
        """Say something between the lines."""
        ...


def view(*, quiet: bool, console: "Console | None" = None) -> View:
    """Choose the view: silent if ``quiet``, live on a terminal, plain lines elsewhere.

    Without ``console``, standard error is written to. FORCE_COLOR asks for colours; it does not
    make a terminal of a file or a pipe.
    """
    if quiet:
        return _Silent()
    from rich.console import Console

    console = Console(stderr=True) if console is None else console
    forced = bool(os.environ.get("FORCE_COLOR")) and not console.file.isatty()
    if console.is_interactive and not forced:
        from resnets.training.monitor.live import Live

        return Live(console)
    return Plain(console)


class _Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def start(self, plan: Plan) -> None:
        return

    def show(self, event: Event) -> None:
        return

    def note(self, text: str) -> None:
        return


class Plain:
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

    def start(self, plan: Plan) -> None:
        self._pace = Pace(plan, self.clock)
        self.note(plan.title)
        for line in facts(plan):
            self.note("  " + ", ".join(line))

    def show(self, event: Event) -> None:
        if self._pace is None:
            raise RuntimeError("show before start")
        if isinstance(event, Epoch):
            self._pace.take_epoch(event)
            self.note(self._epoch_line(event, self._pace))
        elif isinstance(event, Grown):
            self.note(growth_line(event))
        else:
            now = self._pace.take_step(event)
            if now is not None and now - self._spoke >= SILENCE:
                self.note(self._step_line(self._pace))
            if self._pace.validating and (self._pace.pause or 0) >= SILENCE:
                self.note(f"epoch {event.epoch}/{self._pace.plan.epochs}  validating")

    def note(self, text: str) -> None:
        self._spoke = self.clock()
        self.console.out(text, highlight=False)

    def _step_line(self, pace: Pace) -> str:
        plan = pace.plan
        parts = [f"epoch {pace.epoch}/{plan.epochs}", f"step {pace.step:,}/{plan.steps:,}"]
        return "  ".join(parts + moment(pace))

    def _epoch_line(self, event: Epoch, pace: Pace) -> str:
        parts = [
            f"epoch {event.epoch}/{pace.plan.epochs}",
            f"loss {loss_text(event.training_loss)}",
        ]
        if event.validation_loss is not None:
            parts.append(f"val. loss {loss_text(event.validation_loss)}")
        if event.validation_accuracy is not None:
            parts.append(f"val. accuracy {event.validation_accuracy:.2%}")
        parts += [
            f"rate {event.rate:.3g}",
            f"{event.images_per_second:,.0f} images/s",
            duration(event.seconds),
        ]
        return "  ".join(parts + ["best"] * (event.best and event.validation_loss is not None))


def growth_line(event: Grown) -> str:
    """Say what the network has become: ``grown to resnet14_slim: 2-2-2 blocks``."""
    return f"grown to {event.network}: {'-'.join(map(str, event.depths))} blocks"


def facts(plan: Plan) -> list[list[str]]:
    """Say what is trained, on what and where: groups of phrases."""
    network = [] if plan.network in plan.title else [plan.network]
    images = [f"{plan.training_images:,} training images"]
    if plan.epoch_images < plan.training_images:
        images.append(f"{plan.epoch_images:,} of them an epoch")
    if plan.validation_images:
        images.append(f"{plan.validation_images:,} validation images")
    steps = [f"{_count(plan.epochs, 'epoch')} of {_count(plan.steps_per_epoch, 'step')}"]
    if plan.done_steps:
        steps.append(f"resumed after step {plan.done_steps:,}")
    return [
        [*network, f"{plan.parameters:,} parameters", f"{plan.multiply_adds:,} multiply-adds"],
        [*images, *steps],
        [plan.framework, plan.precision, plan.device, plan.folder],
    ]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def moment(pace: Pace) -> list[str]:
    """Say how it goes right now: phrases."""
    phrases: list[str] = []
    if pace.validating:
        phrases.append("validating")
    elif pace.loss is not None:
        phrases.append(f"loss {loss_text(pace.loss)}")
    if pace.images_per_second is not None:
        phrases.append(f"{pace.images_per_second:,.0f} images/s")
    left = pace.seconds_left
    return phrases if left is None else [*phrases, f"{duration(left)} left"]


def loss_text(loss: float) -> str:
    """Write a loss so that it stays narrow: ``0.4321``, ``123.5``."""
    return f"{loss:.4f}" if abs(loss) < 100 else f"{loss:.4g}"


def duration(seconds: float) -> str:
    """Write seconds as people do, in two units at most: ``3.4 s``, ``1 m 23 s``, ``2 h 5 m``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} m"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"
