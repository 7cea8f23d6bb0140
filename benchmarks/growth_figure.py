"""The picture of ``growth.py``: every arm's losses and accuracy against the compute spent."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from resnets.files import replace_file
from resnets.training.monitor.curves import FAINT, INK, SETTINGS
from resnets.training.monitor.series import magnitude

# Okabe and Ito's palette, and a dash for each time through it.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))

PANELS = (
    ("training_loss", "Training loss"),
    ("validation_loss", "Loss on validation images"),
    ("validation_accuracy", "Accuracy on validation images"),
)

Epochs = Sequence[Mapping[str, Any]]


def draw(
    found: Mapping[str, Sequence[Epochs]], grown: Mapping[str, Sequence[int]], path: Path
) -> None:
    """Draw means over the seeds; a ring where an arm grew, after the epochs in ``grown``."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    size, name = magnitude(max(runs[0][-1]["multiply_adds"] for runs in found.values() if runs))
    with rc_context(SETTINGS):
        figure = Figure(figsize=(15.5, 4.6), facecolor="white")
        for k, (key, title) in enumerate(PANELS):
            axes = figure.add_axes((0.04 + 0.253 * k, 0.12, 0.22, 0.78))
            axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
            axes.set_xlabel(f"multiply-adds, {name}")
            axes.spines[["top", "right"]].set_visible(False)
            for i, (arm, runs) in enumerate(found.items()):
                x, y = _line(runs, key, size)
                form = {"color": COLOURS[i % len(COLOURS)], "linewidth": 1.5}
                axes.plot(x, y, linestyle=DASHES[i // len(COLOURS)], label=arm, **form)
                at = [epoch - 1 for epoch in grown[arm]]
                rings = {"markerfacecolor": "white", "markersize": 5, "zorder": 3}
                axes.plot([x[k] for k in at], [y[k] for k in at], "o", **form, **rings)
            _focus(axes, found, key)
        figure.axes[-1].legend(
            loc="upper left", bbox_to_anchor=(1.02, 1.02), frameon=False, labelcolor=INK
        )
        figure.text(0.79, 0.05, "rings: the network grows", color=FAINT)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as file:
            FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})


def _line(runs: Sequence[Epochs], key: str, size: float) -> tuple[list[float], list[float]]:
    """Points after each epoch that every seed has."""
    epochs = list(zip(*runs, strict=False))
    x = [mean(epoch["multiply_adds"] for epoch in row) / size for row in epochs]
    return x, [mean(epoch[key] for epoch in row) for row in epochs]


def _focus(axes: Any, found: Mapping[str, Sequence[Epochs]], key: str) -> None:
    """Show the range of all but the first third of the epochs: the end is what is compared."""
    values = [
        epoch[key] for runs in found.values() for run in runs for epoch in run[len(run) // 3 :]
    ]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05
    axes.set_ylim(low - margin, high + margin)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/growth.py")
