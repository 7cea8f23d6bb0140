"""A diagram as PNG: its SVG, rasterised by resvg in a font that is the same on every machine."""

import io
import math
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from resnets.errors import MissingDependency
from resnets.report.drawing.diagram import Diagram, Picture, Text
from resnets.report.drawing.palette import Theme
from resnets.report.drawing.svg import to_svg

SCALE = 2.0
"""Pixels of the file for one of the diagram."""

MOST_PIXELS = 60_000_000
"""Pixels of a file at most: a larger diagram is drawn at a smaller scale."""

FONT = "DejaVu Sans"
FONT_FILES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")
"""Files of the font, which come with matplotlib."""

_RANGES = (range(0x20, 0x2E5), range(0x300, 0x350), range(0x384, 0x526))
FONT_HAS = {*(chr(code) for codes in _RANGES for code in codes), *"–—‘’“”•…→−\ufffd"}
"""Characters that the font has: Latin, accents, Greek, Cyrillic and some signs."""


def to_png(diagram: Diagram, theme: Theme = "light") -> bytes:
    """Return a diagram as the bytes of a PNG; the theme ``auto`` is light.

    Texts with characters that the font lacks, such as Chinese names, also use the fonts that are
    installed on the machine.

    Raises:
        MissingDependency: if resvg-py or matplotlib is not installed.
    """
    try:
        import resvg_py
    except ImportError as error:
        message = (
            f'PNG files need resvg-py: pip install "resnets[report]", or draw an SVG ({error})'
        )
        raise MissingDependency(message) from error
    texts = "".join(mark.text for mark in diagram.marks if isinstance(mark, Text))
    content = resvg_py.svg_to_bytes(
        svg_string=to_svg(diagram, "dark" if theme == "dark" else "light", fonts=f"'{FONT}'"),
        zoom=min(SCALE, math.sqrt(MOST_PIXELS / (diagram.width * diagram.height))),
        skip_system_fonts=FONT_HAS.issuperset(texts),
        font_files=[str(path) for path in find_font_files()],
        font_family=FONT,
    )
    image = Image.open(io.BytesIO(content)).convert("RGB")
    if not any(isinstance(mark, Picture) for mark in diagram.marks):
        # A few dozen colours and their mixtures: a palette of 256 is a third of the bytes.
        image = image.quantize(256, dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def require_png() -> None:
    """Raise ``MissingDependency`` if something that ``to_png`` needs is not installed."""
    try:
        import resvg_py  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise MissingDependency(
            f'PNG files need resvg-py ({error}): pip install "resnets[report]", or draw an SVG'
        ) from error
    find_font_files()


def find_font_files() -> list[Path]:
    """Return the files of the font that comes with matplotlib, without importing matplotlib.

    Raises:
        MissingDependency: if matplotlib is not installed, or without its fonts.
    """
    package = find_spec("matplotlib")
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
        files = [folder / name for name in FONT_FILES]
        if all(path.is_file() for path in files):
            return files
    raise MissingDependency(
        f"PNG files need the font {FONT} that comes with matplotlib: "
        'pip install "resnets[report]", or draw an SVG'
    )
