"""Figures that a model plots in its own steps, such as ``self.plot('loss', l, train=True)``.

Steps may be compiled: what is plotted there has no value yet. So it is collected while a step is
computed or traced, and the trainer draws it when the step's values can be read.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from resnets.chapter.arguments import check_whole
from resnets.errors import ResnetsError

Figures = dict[str, Any]
"""Values, perhaps not computed yet, by the label of their line: ``train_loss``, ``val_acc``."""

PER_EPOCH = (10, 1)
"""Points of a line in an epoch, of training and of validation; the book has 2 and 1."""

_open_collections: list[Figures] = []


class Plots:
    """What a model needs to plot: mixed into each tab's ``Module``.

    Attributes:
        plot_train_per_epoch, plot_valid_per_epoch: points of a line in an epoch, each the mean of
            the batches since the one before.
    """

    plot_train_per_epoch: int = PER_EPOCH[0]
    plot_valid_per_epoch: int = PER_EPOCH[1]

    def set_points(self, train: int, valid: int) -> None:
        """Say how many points of a line are drawn in an epoch.

        Raises:
            InvalidDescription: for what is no number from 1 on.
        """
        self.plot_train_per_epoch = check_whole("Module", "plot_train_per_epoch", value=train)
        self.plot_valid_per_epoch = check_whole("Module", "plot_valid_per_epoch", value=valid)

    def plot(self, key: str, value: Any, train: bool) -> None:
        """Add the batch's ``value`` to the line ``train_KEY`` or ``val_KEY`` of the board.

        Raises:
            ResnetsError: where no trainer is fitting the model.
        """
        if not _open_collections:
            raise ResnetsError("plot draws on a trainer's board, while Trainer.fit trains a model")
        # Later steps need not keep what the value was computed from.
        label = f"{'train' if train else 'val'}_{key}"
        _open_collections[-1][label] = value.detach() if hasattr(value, "detach") else value


@contextmanager
def collect_figures() -> Generator[Figures]:
    """Collect what a model plots inside the block."""
    figures: Figures = {}
    _open_collections.append(figures)
    try:
        yield figures
    finally:
        _open_collections.pop()


def add_figures(figures: Mapping[str, Any]) -> None:
    """Take figures that a compiled step has given as if the model had plotted them now."""
    if _open_collections:
        _open_collections[-1].update(figures)
