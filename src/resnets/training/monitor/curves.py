"""Pictures of a training run, drawn from the lines of its metrics.jsonl.

Left the loss with the learning rate beneath, right the accuracy on the validation images. Of a run
that grew, both once more below: against the compute that was spent.
"""
# matplotlib leaves its **kwargs without types, which taints every method that has them.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnets.errors import MissingDependency, RunError
from resnets.files import explain_os_errors, replace_file
from resnets.training import logs
from resnets.training.events import Event, Trained
from resnets.training.monitor.series import Curves, Point
from resnets.training.monitor.series import thin_points as thin_points
from resnets.training.run_folder import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by colour-blind eyes, and in grey.
TRAINING = "#0072B2"
VALIDATION = "#D55E00"
INK = "#24292f"
FAINT = "#6e7781"
GRID = "#e5e8eb"

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "resnets",
    "path.simplify": True,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": FAINT,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
}


def draw_curves(records: Sequence[Mapping[str, Any]], folder: Path, *, title: str) -> list[Path]:
    """Draw ``curves.svg`` and ``curves.png`` into ``folder``; give their paths.

    The same records give the same bytes. What a run lacks (validation, a finished epoch) is
    left out of its picture.

    Raises:
        MissingDependency: if matplotlib cannot be imported; says how to install it.
    """
    try:
        from matplotlib import rc_context  # pyright: ignore[reportUnknownVariableType]
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_svg import FigureCanvasSVG
    except ImportError as error:
        message = f'curves are drawn by matplotlib: pip install "resnets[report]" ({error})'
        raise MissingDependency(message) from error
    paths = [folder / "curves.svg", folder / "curves.png"]
    # The settings are read while the figure is built and again while it is written.
    with rc_context(SETTINGS):
        figure = _draw_figure(Curves.from_records(records), title)
        with replace_file(paths[0]) as file:
            FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
        figure.set_dpi(160)
        with replace_file(paths[1]) as file:
            FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    return paths


COMPUTE_ROW_HEIGHT = 3.2
"""Inches of the lower row, where there is one."""


def _draw_figure(curves: Curves, title: str) -> "Figure":
    """Lay out the panels, in inches: loss above rate, accuracy beside both; below, by compute."""
    from matplotlib.figure import Figure

    spent = curves.by_compute() if curves.growths else None
    lift = COMPUTE_ROW_HEIGHT if spent else 0.0
    width, height = (10.75 if curves.accuracy else 5.7), 4.4 + lift
    figure = Figure(figsize=(width, height), facecolor="white")
    figure.text(0.62 / width, 1 - 0.36 / height, title, fontsize=12.5, fontweight="bold")
    pad = 19 if curves.growths else 7  # above the panel, growths are named
    row = [_add_panel(figure, (0.62, 1.62 + lift, 3.7, 1.98), heading="Loss", pad=pad)]
    _draw_loss(row[0], curves)
    row.append(_add_panel(figure, (0.62, 0.55 + lift, 3.7, 0.5), heading="Learning rate"))
    _draw_rate(row[1], curves)
    if curves.accuracy:
        at = (6.1, 0.55 + lift, 4.1, 3.05)
        row.append(_add_panel(figure, at, heading="Accuracy on validation images", pad=pad))
        _draw_accuracy(row[2], curves)
    _finish_row(row, curves)
    row[0].tick_params(labelbottom=False)
    row[0].set_xlabel("")
    if spent:
        row = [_add_panel(figure, (0.62, 0.55, 3.7, 1.98), heading="Loss against compute", pad=pad)]
        _draw_loss(row[0], spent)
        if spent.accuracy:
            row.append(
                _add_panel(
                    figure, (6.1, 0.55, 4.1, 1.98), heading="Accuracy against compute", pad=pad
                )
            )
            _draw_accuracy(row[1], spent)
        _finish_row(row, spent)
    return figure


def _add_panel(
    figure: "Figure", at: tuple[float, float, float, float], *, heading: str, pad: float = 7
) -> "Axes":
    """Add a panel; ``at``: left, bottom, width and height in inches; ``pad``: in points."""
    width, height = figure.get_size_inches()
    left, bottom, wide, high = at
    axes = figure.add_axes((left / width, bottom / height, wide / width, high / height))
    axes.set_title(heading, loc="left", fontsize=10, fontweight="bold", color=INK, pad=pad)
    return axes


def _finish_row(row: list["Axes"], curves: Curves) -> None:
    """Give the panels of a row the same x, and mark the growths; the first panel names them."""
    for axes in row:
        _tidy(axes, curves)
        _mark_growths(axes, curves.growths, named=axes is row[0])
        axes.set_xlabel(curves.unit, fontsize=9.5, labelpad=3)


def _tidy(axes: "Axes", curves: Curves) -> None:
    """Leave the data: no frame, faint lines across, few ticks; x the same in every panel."""
    from matplotlib.ticker import MaxNLocator

    every = (curves.steps, curves.rate, curves.training, curves.accuracy)
    last = max((points[-1][0] for points in every if points), default=1.0)
    axes.set_xlim(0, last)
    counted = curves.unit in ("epoch", "step")
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=counted, min_n_ticks=1))
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.tick_params(length=0, pad=5)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, linewidth=0.8)


def _mark_growths(axes: "Axes", growths: list[tuple[float, str]], *, named: bool) -> None:
    """A dotted line where the network became deeper; its blocks from then on above it."""
    for x, _ in growths:
        axes.axvline(x, color=FAINT, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    if not named:
        return
    figure = axes.get_figure(root=True)
    assert figure is not None
    inches = axes.get_position().width * figure.get_figwidth()
    places = [(x / axes.get_xlim()[1], depths) for x, depths in growths]
    for across, depths in space_labels(places, 72 * inches / LETTER_WIDTH):
        above = axes.transAxes
        axes.text(across, 1.015, depths, transform=above, color=FAINT, fontsize=8, ha="center")


LETTER_WIDTH = 5.2
"""Points that a digit of a growth's label takes at most, in the fonts it may be shown in."""


def space_labels(labels: Sequence[tuple[float, str]], letters: float) -> list[tuple[float, str]]:
    """Place labels above a panel that is ``letters`` wide: within it, two letters apart.

    Places are shares of the panel's width. Of labels that would touch the last is shown: what the
    network became.
    """
    shown: list[tuple[float, str]] = []
    end = math.inf
    for across, label in sorted(labels, key=lambda label: label[0], reverse=True):
        half = len(label) / 2
        middle = max(min(across * letters, letters - half), half)
        if middle + half + 2 <= end:
            shown.append((middle / letters, label))
            end = middle - half
    return shown


def _draw_loss(axes: "Axes", curves: Curves) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.plot(*_xy(curves.steps), color=TRAINING, alpha=0.28, linewidth=0.7)
    lines = (("training", curves.training, TRAINING), ("validation", curves.validation, VALIDATION))
    for _, points, colour in lines:
        _draw_line(axes, points, colour=colour)
    # The first steps' losses would press everything else to the ground.
    ordered = sorted(y for _, y in curves.steps)
    usual = ordered[int(0.98 * (len(ordered) - 1))] if ordered else 0.0
    top = max((usual, *(y for _, points, _ in lines for _, y in points)))
    axes.set_ylim(0, 1.06 * top if top > 0 else 1.0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    _label_ends(axes, [(name, points[-1], colour) for name, points, colour in lines if points])


def _label_ends(axes: "Axes", ends: list[tuple[str, Point, str]]) -> None:
    """Name lines where they end, right of the panel, and keep the names from touching."""
    bottom, top = axes.get_ylim()
    apart = 0.19
    placed = -apart / 2
    for name, (_, y), colour in sorted(ends, key=lambda end: end[1][1]):
        placed = max((y - bottom) / (top - bottom), placed + apart)
        axes.text(
            1.03,
            placed,
            f"{name}\n{y:.3f}",
            transform=axes.transAxes,
            color=colour,
            va="center",
            linespacing=1.15,
        )


def _draw_rate(axes: "Axes", curves: Curves) -> None:
    axes.plot(*_xy(curves.rate), color=FAINT, linewidth=1.4)
    highest = max((y for _, y in curves.rate), default=0.0)
    axes.set_ylim(0, 1.12 * highest if highest > 0 else 1.0)
    ticks = [0.0, highest] if highest > 0 else [0.0]
    axes.set_yticks(ticks, [f"{tick:.3g}" for tick in ticks])


def _draw_accuracy(axes: "Axes", curves: Curves) -> None:
    from matplotlib.ticker import MaxNLocator

    _draw_line(axes, curves.accuracy, colour=VALIDATION)
    values = [y for _, y in curves.accuracy]
    spread = max(values) - min(values)
    lowest = max(0.0, min(values) - max(0.1 * spread, 0.01))
    highest = max(values) + max(0.16 * spread, 0.01)
    axes.set_ylim(lowest, highest)
    ticks = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(lowest, highest)
    shown = [float(tick) for tick in ticks if lowest <= tick <= min(highest, 1.0)]
    axes.set_yticks(shown, [f"{round(100 * tick, 6):g}%" for tick in shown])
    if curves.best is None:
        return
    x, y = curves.best
    axes.plot([x], [y], "o", markersize=8, color=VALIDATION, clip_on=False, zorder=4)
    # The best is the highest: above it there is room; at the edges the text leans inwards.
    across = x / curves.accuracy[-1][0]
    axes.annotate(
        f"{y:.2%} after epoch {x:.0f}",
        (x, y),
        xytext=(0, 9),
        textcoords="offset points",
        ha="left" if across < 0.3 else "right" if across > 0.7 else "center",
        color=VALIDATION,
        fontweight="bold",
        # The dotted line of a growth passes behind it.
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )


def _draw_line(axes: "Axes", points: list[Point], *, colour: str) -> None:
    """Draw a line; with dots where there are few points, so that a single one is seen."""
    form = "o-" if len(points) <= 25 else "-"
    axes.plot(*_xy(points), form, color=colour, linewidth=1.8, markersize=3.6, clip_on=False)


def _xy(points: list[Point]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


class CurveDrawer:
    """A consumer of events that draws a run's curves once all epochs have ended.

    Args:
        announce: told if matplotlib is missing; the run itself does not need it.
    """

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce

    def __call__(self, event: Event) -> None:
        """Draw after ``Trained``.

        Raises:
            RunError: if the pictures cannot be written.
        """
        if not isinstance(event, Trained):
            return
        folder = Path(event.folder)
        records = logs.read_log(folder / METRICS)
        try:
            with explain_os_errors(f"cannot draw the curves in {folder}", RunError):
                draw_curves(records, folder, title=_title(event.network, records))
        except MissingDependency as error:
            self._announce(f"no curves drawn: {error}")


def _title(network: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Name the network that was trained, and what it grew to."""
    grown = [record["depths"] for record in records if record["event"] == "growth"]
    return f"{network}, grown to {'-'.join(map(str, grown[-1]))}" if grown else network
