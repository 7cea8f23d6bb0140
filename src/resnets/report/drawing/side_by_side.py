"""Two blocks side by side, as *Dive into Deep Learning*, Figures 8.6.2 and 8.6.3."""

from resnets.networks.layers import Trace
from resnets.report.drawing import labels
from resnets.report.drawing.anatomy import Anatomy
from resnets.report.drawing.block import Style, describe_block, sketch_block
from resnets.report.drawing.diagram import Diagram, Sketch, Text
from resnets.report.drawing.headings import add_heading

APART = 72.0
"""Space between the two."""


def draw_plain_and_residual(trace: Trace, block: Anatomy) -> Diagram:
    """Return a diagram of a block without and with its shortcut: Figure 8.6.2.

    What is in the frame must learn f(x) on the left, and on the right what f(x) lacks of the
    shortcut, g(x) = f(x) - x where that is the identity.
    """
    rest = "x" if not block.shortcut.layers else "shortcut"
    learnt = "g(x)" if block.gate else f"g(x) = f(x) − {rest}"
    plain = Style(summed=False, begins="x", frame="f(x)")
    residual = Style(begins="x", frame=learnt)
    sides = (
        ("plain block", sketch_block(trace, block, plain)),
        ("residual block", sketch_block(trace, block, residual)),
    )
    name = trace.architecture.name or "network"
    told = f"Left the block without its shortcut, right with it. {describe_block(trace, block)}"
    return add_heading(
        _place_side_by_side(*sides), f"{name} · {block.name}", "plain and residual block", told
    )


def draw_pair(trace: Trace, identity: Anatomy, changing: Anatomy) -> Diagram:
    """Return a diagram of a block with an identity shortcut and one with another: 8.6.3."""
    sides = [(block.name, sketch_block(trace, block, Style())) for block in (identity, changing)]
    name = trace.architecture.name or "network"
    said = f"{labels.describe_kind(trace, identity)}; {labels.describe_kind(trace, changing)}"
    told = f"Left: {describe_block(trace, identity)} Right: {describe_block(trace, changing)}"
    return add_heading(_place_side_by_side(*sides), name, said, told)


def _place_side_by_side(*sides: tuple[str, Sketch]) -> Sketch:
    """Return sketches placed from left to right, each under its title."""
    whole, x = Sketch(), 0.0
    for title, sketch in sides:
        left, top, right, _ = sketch.bounds
        whole.add(Text(x=x - left, y=0, text=title, size=14, bold=True, anchor="middle"))
        whole.place(sketch, x - left, 12 - top)
        x += right - left + APART
    return whole
