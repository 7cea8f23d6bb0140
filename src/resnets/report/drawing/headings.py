"""Title and subtitle above a picture, which makes it a diagram."""

from resnets.report.drawing.diagram import Diagram, Sketch, Text
from resnets.report.drawing.lettering import clean, shortened, width_of

TITLE = 20.0
SUBTITLE = 12.5
LEAST = 360.0
"""Pixels that a title has even over a narrow picture."""


def headed(sketch: Sketch, title: str, subtitle: str, description: str) -> Diagram:
    """Set a title and a subtitle over a sketch, the sketch in the middle if it is narrower."""
    left, top, right, _ = sketch.bounds
    title = clean(title) or "network"
    room = max(right - left, LEAST, width_of(subtitle, SUBTITLE))
    indent = max(room - (right - left), 0.0) / 2
    whole = Sketch()
    shown = shortened(title, TITLE, True, room)
    whole.add(Text(x=0, y=TITLE * 0.76, text=shown, size=TITLE, bold=True))
    whole.add(Text(x=0, y=42, text=subtitle, size=SUBTITLE, faint=True))
    whole.place(sketch, indent - left, 66 - top)
    return whole.framed(title, description)
