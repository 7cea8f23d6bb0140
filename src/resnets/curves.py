"""Pictures of a training run, drawn from the lines of its metrics.jsonl.

Left the loss with the learning rate beneath, right the accuracy on the validation images.
"""
# matplotlib leaves its **kwargs without types, which taints every method that has them.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from resnets.errors import MissingDependency
from resnets.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by colour-blind eyes, and in grey.
TRAINING = "#0072B2"
VALIDATION = "#D55E00"
INK = "#24292f"
FAINT = "#6e7781"
GRID = "#e5e8eb"

MOST_POINTS = 1200
"""Points that a line is thinned to: more are not seen, and make the file large."""

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

Point = tuple[float, float]


def draw(records: Sequence[Mapping[str, Any]], folder: Path, title: str) -> list[Path]:
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
        figure = _figure(Curves.of(records), title)
        with replacing(paths[0]) as file:
            FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
        figure.set_dpi(160)
        with replacing(paths[1]) as file:
            FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    return paths


@dataclass(frozen=True)
class Curves:
    """The lines of a run: points whose x is in epochs, or in steps before the first epoch ends.

    Attributes:
        unit: of x, ``epoch`` or ``step``.
        steps: loss of each step; many are thinned to means of neighbours.
        training: the mean of each epoch, at its middle; before the first ends, of neighbours.
        best: the point of ``accuracy`` that was kept; None where there is none.
        growths: where the network became deeper, and its blocks from then on, such as ``2-2-2``.
    """

    unit: str
    steps: list[Point]
    rate: list[Point]
    training: list[Point]
    validation: list[Point]
    accuracy: list[Point]
    best: Point | None
    growths: list[tuple[float, str]]

    @staticmethod
    def of(records: Sequence[Mapping[str, Any]]) -> "Curves":
        """Collect the lines; of several records of a step or an epoch, the last counts."""
        steps = {int(r["step"]): r for r in records if r.get("event") == "step"}
        epochs = {int(r["epoch"]): r for r in records if r.get("event") == "epoch"}
        last = epochs[max(epochs)] if epochs else None
        per = int(last["step"]) / int(last["epoch"]) if last else 1.0
        losses = _points(steps, "loss", per)
        accuracy = _points(epochs, "validation_accuracy")
        best = max((epoch for epoch, r in epochs.items() if r.get("best")), default=0)
        return Curves(
            unit="epoch" if epochs else "step",
            steps=thinned(losses, MOST_POINTS),
            rate=thinned(_points(steps, "rate", per) or _points(epochs, "rate"), MOST_POINTS),
            training=[(x - 0.5, y) for x, y in _points(epochs, "training_loss")]
            or thinned(losses, 40),
            validation=_points(epochs, "validation_loss"),
            accuracy=accuracy,
            best=next((point for point in accuracy if point[0] == best), None),
            growths=[
                (float(r["epoch"]), "-".join(map(str, r["depths"])))
                for r in records
                if r.get("event") == "growth"
            ],
        )


def thinned(points: list[Point], most: int) -> list[Point]:
    """Take means of neighbouring points, so that at most ``most`` are left."""
    share = math.ceil(len(points) / most)
    if share <= 1:
        return points
    groups = [points[i : i + share] for i in range(0, len(points), share)]
    return [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]


def _points(records: Mapping[int, Mapping[str, Any]], key: str, per: float = 1.0) -> list[Point]:
    """Give the finite values of ``key`` in order."""
    found = ((at / per, records[at].get(key)) for at in sorted(records))
    return [(x, float(y)) for x, y in found if y is not None and math.isfinite(y)]


def _figure(curves: Curves, title: str) -> "Figure":
    """Lay out the panels, in inches: loss above rate, accuracy beside both."""
    from matplotlib.figure import Figure

    width, height = (10.75 if curves.accuracy else 5.7), 4.4
    figure = Figure(figsize=(width, height), facecolor="white")

    def panel(left: float, bottom: float, wide: float, high: float, heading: str) -> "Axes":
        axes = figure.add_axes((left / width, bottom / height, wide / width, high / height))
        axes.set_title(heading, loc="left", fontsize=10, fontweight="bold", color=INK, pad=7)
        return axes

    figure.text(0.62 / width, 1 - 0.36 / height, title, fontsize=12.5, fontweight="bold")
    loss = panel(0.62, 1.62, 3.7, 1.98, "Loss")
    rate = panel(0.62, 0.55, 3.7, 0.5, "Learning rate")
    _draw_loss(loss, curves)
    _draw_rate(rate, curves)
    below = [rate]
    if curves.accuracy:
        accuracy = panel(6.1, 0.55, 4.1, 3.05, "Accuracy on validation images")
        _draw_accuracy(accuracy, curves)
        below.append(accuracy)
    for axes in figure.axes:
        _tidy(axes, curves)
        _mark_growths(axes, curves.growths, named=axes is loss)
    loss.tick_params(labelbottom=False)
    for axes in below:
        axes.set_xlabel(curves.unit, fontsize=9.5, labelpad=3)
    return figure


def _tidy(axes: "Axes", curves: Curves) -> None:
    """Leave the data: no frame, faint lines across, few ticks; x the same in every panel."""
    from matplotlib.ticker import MaxNLocator

    every = (curves.steps, curves.rate, curves.training, curves.accuracy)
    last = max((points[-1][0] for points in every if points), default=1.0)
    axes.set_xlim(0, last)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
    axes.spines[["left", "top", "right"]].set_visible(False)
    axes.tick_params(length=0, pad=5)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, linewidth=0.8)


def _mark_growths(axes: "Axes", growths: list[tuple[float, str]], *, named: bool) -> None:
    """A dotted line where the network became deeper; its blocks from then on above it."""
    for x, depths in growths:
        axes.axvline(x, color=FAINT, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
        if named:
            above = axes.get_xaxis_transform()
            axes.text(x, 1.015, depths, transform=above, color=FAINT, fontsize=8, ha="center")


def _draw_loss(axes: "Axes", curves: Curves) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.plot(*_xy(curves.steps), color=TRAINING, alpha=0.28, linewidth=0.7)
    lines = (("training", curves.training, TRAINING), ("validation", curves.validation, VALIDATION))
    for _, points, colour in lines:
        _line(axes, points, colour)
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

    _line(axes, curves.accuracy, VALIDATION)
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
    )


def _line(axes: "Axes", points: list[Point], colour: str) -> None:
    """Draw a line; with dots where there are few points, so that a single one is seen."""
    form = "o-" if len(points) <= 25 else "-"
    axes.plot(*_xy(points), form, color=colour, linewidth=1.8, markersize=3.6, clip_on=False)


def _xy(points: list[Point]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
