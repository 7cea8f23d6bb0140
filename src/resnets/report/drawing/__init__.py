"""Pictures of networks and their blocks, from the description alone, as SVG or PNG.

``draw_part`` returns a picture as a value; ``to_svg``, ``to_png`` and ``write_diagram`` write it.
Pillow measures the texts. A PNG is the rasterised SVG, which needs the extra ``report``.
"""

from resnets.report.drawing.diagram import Diagram
from resnets.report.drawing.palette import Theme
from resnets.report.drawing.parts import DrawingError, Part, choose_path, draw_part, write_diagram
from resnets.report.drawing.png import to_png
from resnets.report.drawing.svg import to_svg

__all__ = [
    "Diagram",
    "DrawingError",
    "Part",
    "Theme",
    "choose_path",
    "draw_part",
    "to_png",
    "to_svg",
    "write_diagram",
]
