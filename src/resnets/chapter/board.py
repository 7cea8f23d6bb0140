"""The board of lines that grow while a network is trained; drawn live in a notebook."""
# matplotlib leaves its **kwargs without types, which taints every method that has them.
# pyright: reportUnknownMemberType=false

import importlib
import io
import sys
import time
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from resnets.chapter.hyperparameters import HyperParameters
from resnets.errors import MissingDependency

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFRESH = 0.5
"""Least seconds from one drawing to the next: each takes a twentieth of that."""

MOST_POINTS = 2000
"""Points of a line that are drawn: more are not seen, and slow the notebook down."""


class ProgressBoard(HyperParameters):
    """Lines by label, each point added with ``draw``; the book's name and arguments.

    In a notebook the figure is shown where the cell's output is, and changes in place. Elsewhere
    the points are collected, and ``figure`` gives the drawing.

    Attributes:
        lines: points (x, y) by label.
    """

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        xlim: tuple[float, float] | None = None,
        ylim: tuple[float, float] | None = None,
        xscale: str = "linear",
        yscale: str = "linear",
        ls: Sequence[str] = ("-", "--", "-.", ":"),
        colors: Sequence[str] = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
        figsize: tuple[float, float] = (4.5, 3.0),
        display: bool = True,
    ) -> None:
        self.xlabel, self.ylabel, self.xlim, self.ylim = xlabel, ylabel, xlim, ylim
        self.xscale, self.yscale, self.ls, self.colors = xscale, yscale, ls, colors
        self.figsize, self.display = figsize, display
        self.lines: dict[str, list[tuple[float, float]]] = {}
        self._waiting: dict[str, list[tuple[float, float]]] = {}
        self._handle: Any = None
        self._drawn = -REFRESH

    def draw(self, x: float, y: float, label: str, every_n: int = 1) -> None:
        """Add a point to the line called ``label``; ``every_n`` points become their mean."""
        waiting = self._waiting.setdefault(label, [])
        waiting.append((float(x), float(y)))
        if len(waiting) < every_n:
            return
        point = (fmean(x for x, _ in waiting), fmean(y for _, y in waiting))
        waiting.clear()
        self.lines.setdefault(label, []).append(point)
        if time.monotonic() - self._drawn >= REFRESH:
            self.show()

    def show(self) -> None:
        """Draw what there is now, if this is a notebook and the board is to be displayed."""
        if not (self.display and is_notebook()):
            return
        shown: Any = importlib.import_module("IPython.display")
        self._drawn = time.monotonic()
        picture = shown.Image(data=self.png(), format="png")
        if self._handle is None:
            self._handle = shown.display(picture, display_id=True)
        else:
            self._handle.update(picture)

    def png(self) -> bytes:
        """Give the drawing as the bytes of a PNG file."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure, content = self.figure(), io.BytesIO()
        figure.set_dpi(110)
        FigureCanvasAgg(figure).print_png(content)
        return content.getvalue()

    def figure(self) -> "Figure":
        """Draw the lines.

        Raises:
            MissingDependency: if matplotlib cannot be imported; says how to install it.
        """
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            message = f'curves are drawn by matplotlib: pip install "resnets[report]" ({error})'
            raise MissingDependency(message) from error
        figure = Figure(figsize=self.figsize, layout="tight")
        axes = figure.add_subplot()
        for i, (label, points) in enumerate(self.lines.items()):
            shown = points[:: len(points) // MOST_POINTS + 1]
            axes.plot(
                [x for x, _ in shown],
                [y for _, y in shown],
                label=label,
                linestyle=self.ls[i % len(self.ls)],
                color=self.colors[i % len(self.colors)],
                marker="o" if len(points) == 1 else None,
            )
        axes.set(xlabel=self.xlabel, ylabel=self.ylabel, xscale=self.xscale, yscale=self.yscale)
        if self.xlim:
            axes.set_xlim(*self.xlim)
        if self.ylim:
            axes.set_ylim(*self.ylim)
        axes.grid(visible=True, color="#e5e8eb")
        if self.lines:
            axes.legend(frameon=False)
        return figure


def is_notebook() -> bool:
    """Whether this runs in a notebook's kernel, where pictures can be shown."""
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")
