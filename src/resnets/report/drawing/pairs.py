"""Two blocks side by side, as *Dive into Deep Learning*, Figures 8.6.2 and 8.6.3."""

from resnets.networks.layers import Trace
from resnets.report.drawing import wording
from resnets.report.drawing.anatomy import Anatomy
from resnets.report.drawing.block import Style, block_sketch, description
from resnets.report.drawing.diagram import Diagram, Sketch, Text
from resnets.report.drawing.headings import headed

APART = 72.0
"""Space between the two."""


def plain_diagram(trace: Trace, block: Anatomy) -> Diagram:
    """Draw a block without and with its shortcut: Figure 8.6.2.

    What is in the frame must learn f(x) on the left, and on the right what f(x) lacks of the
    shortcut, g(x) = f(x) - x where that is the identity.
    """
    rest = "x" if not block.shortcut.layers else "shortcut"
    learnt = "g(x)" if block.gate else f"g(x) = f(x) − {rest}"
    plain = Style(summed=False, begins="x", frame="f(x)")
    residual = Style(begins="x", frame=learnt)
    sides = (
        ("plain block", block_sketch(trace, block, plain)),
        ("residual block", block_sketch(trace, block, residual)),
    )
    name = trace.architecture.name or "network"
    told = f"Left the block without its shortcut, right with it. {description(trace, block)}"
    return headed(_beside(*sides), f"{name} · {block.name}", "plain and residual block", told)


def pair_diagram(trace: Trace, identity: Anatomy, changing: Anatomy) -> Diagram:
    """Draw a block whose shortcut is the identity and one that changes the shape: 8.6.3."""
    sides = [(block.name, block_sketch(trace, block, Style())) for block in (identity, changing)]
    name = trace.architecture.name or "network"
    said = f"{wording.kind(trace, identity)}; {wording.kind(trace, changing)}"
    told = f"Left: {description(trace, identity)} Right: {description(trace, changing)}"
    return headed(_beside(*sides), name, said, told)


def _beside(*sides: tuple[str, Sketch]) -> Sketch:
    """Place sketches from left to right, each under its title."""
    whole, x = Sketch(), 0.0
    for title, sketch in sides:
        left, top, right, _ = sketch.bounds
        whole.add(Text(x=x - left, y=0, text=title, size=14, bold=True, anchor="middle"))
        whole.place(sketch, x - left, 12 - top)
        x += right - left + APART
    return whole
