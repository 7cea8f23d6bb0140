"""Pictures of networks and their blocks, from the description alone, as SVG or PNG.

``part_diagram`` places a picture once, as a value; ``to_svg``, ``to_png`` and ``write`` write it.
Pillow measures the texts. A PNG is the rasterised SVG, which needs the extra ``report``.
"""

from resnets.report.drawing.diagram import Diagram
from resnets.report.drawing.palette import Theme
from resnets.report.drawing.parts import DrawingError, Part, default_path, part_diagram, write
from resnets.report.drawing.png import to_png
from resnets.report.drawing.svg import to_svg

__all__ = [
    "Diagram",
    "DrawingError",
    "Part",
    "Theme",
    "default_path",
    "part_diagram",
    "to_png",
    "to_svg",
    "write",
]
