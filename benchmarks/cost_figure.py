"""The picture of ``cost.py``: time and memory, a panel for each thing that was changed."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resnets.files import replace_file
from resnets.training.monitor.curves import FAINT, INK, SETTINGS

ROWS = (("seconds", "seconds", 1.0, "#0072B2"), ("bytes", "memory, MB", 1e-6, "#D55E00"))


def draw(
    found: Mapping[str, Mapping[int, Mapping[str, Any]]],
    fits: Mapping[str, Mapping[str, Mapping[str, float]]],
    units: Mapping[str, str],
    path: Path,
) -> None:
    """Draw the points, and the line fitted through them."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(3 * len(found) + 0.6, 5), facecolor="white", layout="constrained")
        grid = figure.subplots(2, len(found), sharex="col", squeeze=False)
        for (key, title, scale, colour), row in zip(ROWS, grid, strict=True):
            for (axis, points), axes in zip(found.items(), row, strict=True):
                x = [point["amount"] for point in points.values()]
                fit = fits[axis][key]
                ends = [0.0, max(x)]
                line = [(fit["at_zero"] + fit["each"] * end) * scale for end in ends]
                axes.plot(ends, line, color=FAINT, linewidth=1)
                y = [point[key] * scale for point in points.values()]
                axes.plot(x, y, "o", color=colour, markersize=5)
                axes.set_ylim(bottom=0)
                axes.set_xlim(left=0)
                axes.spines[["top", "right"]].set_visible(False)
                axes.text(
                    0.04, 0.93, f"R² {fit['explained']:.3f}", color=FAINT, transform=axes.transAxes
                )
                if key == ROWS[0][0]:
                    axes.set_title(axis, loc="left", fontweight="bold", color=INK)
                else:
                    axes.set_xlabel(units[axis])
            row[0].set_ylabel(title)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as file:
            FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    parser.error("not run by itself, but by python benchmarks/cost.py")
