"""Title and subtitle above a picture, which makes it a diagram."""

from resnets.report.drawing.diagram import Diagram, Sketch, Text
from resnets.report.drawing.text import clean, measure_width, shorten

TITLE = 20.0
SUBTITLE = 12.5
LEAST = 360.0
"""Pixels that a title has even over a narrow picture."""


def add_heading(sketch: Sketch, title: str, subtitle: str, description: str) -> Diagram:
    """Return a diagram: a sketch under a title and a subtitle, centred if it is narrower."""
    left, top, right, _ = sketch.bounds
    title = clean(title) or "network"
    room = max(right - left, LEAST, measure_width(subtitle, SUBTITLE))
    indent = max(room - (right - left), 0.0) / 2
    whole = Sketch()
    shown = shorten(title, TITLE, True, room)
    whole.add(Text(x=0, y=TITLE * 0.76, text=shown, size=TITLE, bold=True))
    whole.add(Text(x=0, y=42, text=subtitle, size=SUBTITLE, faint=True))
    whole.place(sketch, indent - left, 66 - top)
    return whole.frame(title, description)
