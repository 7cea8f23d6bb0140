"""What people see of the chapter's training: a table on a terminal, the board in a notebook."""

import importlib.util
import time
from collections.abc import Set
from dataclasses import dataclass
from typing import Protocol

import rich.live
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from resnets.chapter.board import ProgressBoard, is_notebook
from resnets.chapter.plotting import PER_EPOCH
from resnets.tables import Column, Row, Table
from resnets.training.events import Epoch, Step
from resnets.training.monitor.phrases import format_duration, format_loss

REFRESH = 1 / 8
"""Least seconds from frame to frame on a terminal."""

SILENCE = 10.0
"""Seconds after which a log that is no terminal hears of the epoch under way."""


@dataclass(frozen=True, kw_only=True)
class FitInfo:
    """What is known before the first step.

    Attributes:
        title: what is trained, on what and with what.
        epochs, steps: epochs in all, steps in each.
        points: of the training loss that are drawn in an epoch.
    """

    title: str
    epochs: int
    steps: int
    points: int = PER_EPOCH[0]


class FitView(Protocol):
    """What takes the events of a training run."""

    def start(self, info: FitInfo) -> None:
        """Show what is about to happen."""
        ...

    def step(self, event: Step) -> None:
        """Show that a step was taken."""
        ...

    def epoch(self, event: Epoch) -> None:
        """Show that an epoch has ended."""
        ...

    def stop(self) -> None:
        """Leave the last state on screen and give the terminal back."""
        ...


def choose_fit_view(board: ProgressBoard, plotted: Set[str] = frozenset()) -> FitView:
    """Choose: the board in a notebook, a table that grows on a terminal, lines elsewhere.

    Without matplotlib a notebook has lines too. ``plotted`` are labels of lines that the model
    draws itself.
    """
    if is_notebook() and importlib.util.find_spec("matplotlib") is not None:
        return NotebookView(board, plotted)
    return TerminalView(Console(stderr=True))


class NotebookView:
    """Draws on the board: loss of the steps, loss and accuracy of the validation images."""

    def __init__(self, board: ProgressBoard, plotted: Set[str] = frozenset()) -> None:
        self.board, self.plotted = board, plotted
        self.plan = FitInfo(title="", epochs=1, steps=1)

    def start(self, info: FitInfo) -> None:
        self.plan = info
        print(info.title)
        self.board.xlabel = "epoch"
        self.board.xlim = self.board.xlim or (0, info.epochs)

    def step(self, event: Step) -> None:
        every = max(self.plan.steps // self.plan.points, 1)
        if "train_loss" not in self.plotted:
            self.board.draw(event.step / self.plan.steps, event.loss, "train_loss", every)

    def epoch(self, event: Epoch) -> None:
        for label, value in (
            ("val_loss", event.validation_loss),
            ("val_acc", event.validation_accuracy),
        ):
            if value is not None and label not in self.plotted:
                self.board.draw(event.epoch, value, label)
        self.board.show()

    def stop(self) -> None:
        self.board.show()


class TerminalView:
    """A table of the epochs; on a terminal with the step under way beneath it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.plan = FitInfo(title="", epochs=1, steps=1)
        self.epochs: list[Epoch] = []
        self.last: Step | None = None
        self._drawn = time.monotonic()
        self._live: rich.live.Live | None = None

    def start(self, info: FitInfo) -> None:
        self.plan = info
        self.console.print(Text(info.title, "bold" if self.console.is_terminal else ""))
        if self.console.is_terminal:
            self._live = rich.live.Live(console=self.console, auto_refresh=False)
            self._live.start()

    def step(self, event: Step) -> None:
        self.last = event
        now = time.monotonic()
        if now - self._drawn < (REFRESH if self._live else SILENCE):
            return
        self._drawn = now
        if self._live:
            self._live.update(self, refresh=True)
        else:
            self.console.out(self._moment(event), highlight=False)

    def epoch(self, event: Epoch) -> None:
        self.epochs.append(event)
        self.last = None
        self._drawn = time.monotonic()
        if self._live:
            self._live.update(self, refresh=True)
        else:
            header = len(self.epochs) == 1
            text = self._text()
            self.console.out(text if header else text.splitlines()[-1], highlight=False)

    def stop(self) -> None:
        self.last = None
        if self._live:
            self._live.update(self, refresh=True)
            self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(options.size.height - 4, 1)
        yield Table(_COLUMNS, [_row(e) for e in self.epochs[-room:]])
        if self.last is not None:
            yield Text(self._moment(self.last), "dim")

    def _text(self) -> str:
        """Write the table as a log has it, whose rows come one by one."""
        cells = [[c.title for c in _COLUMNS], *(_row(e).cells for e in self.epochs)]
        widths = [max(len(c.title), 8) for c in _COLUMNS]
        lines = (
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in cells
        )
        return "\n".join(lines)

    def _moment(self, event: Step) -> str:
        done = event.step - (event.epoch - 1) * self.plan.steps
        return (
            f"epoch {event.epoch}/{self.plan.epochs}  step {done}/{self.plan.steps}  "
            f"loss {format_loss(event.loss)}"
        )


_COLUMNS = (
    Column("epoch", align_right=True),
    Column("train loss", align_right=True),
    Column("val. loss", align_right=True),
    Column("val. accuracy", align_right=True),
    Column("images/s", align_right=True, drop_priority=1),
    Column("time", align_right=True),
)


def _row(epoch: Epoch) -> Row:
    loss, accuracy = epoch.validation_loss, epoch.validation_accuracy
    return Row(
        (
            f"{epoch.epoch:,}",
            format_loss(epoch.training_loss),
            "" if loss is None else format_loss(loss),
            "" if accuracy is None else f"{accuracy:.2%}",
            f"{epoch.images_per_second:,.0f}",
            format_duration(epoch.seconds),
        )
    )
