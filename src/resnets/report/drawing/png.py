"""A diagram as PNG, by Pillow: twice the pixels, smooth edges, the same diagram the same bytes."""

import io
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby, pairwise

from PIL import Image, ImageDraw, ImageFont

from resnets.report.drawing.diagram import Box, Diagram, Line, Mark, Picture, Point, Sign, Text
from resnets.report.drawing.lettering import own_font
from resnets.report.drawing.palette import DARK, LIGHT, Palette, Theme

SCALE = 2
"""Pixels of the file for one of the diagram."""

FINEST = 60_000_000
"""Pixels drawn at most before they are averaged: larger pictures are drawn less finely."""

FALLBACKS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial Unicode.ttf", "arial.ttf")
"""Fonts looked for on the machine for characters, such as of names, that Pillow's own lacks."""

DRAWN = {"×": 0.66, "→": 0.95, "−": 0.66}
"""Signs that Pillow's own font lacks and that are drawn instead: their width in ems."""


def to_png(diagram: Diagram, theme: Theme = "light") -> bytes:
    """Draw a diagram; ``auto``, which a PNG cannot follow, is light."""
    palette = DARK if theme == "dark" else LIGHT
    area = diagram.width * diagram.height * SCALE**2
    fineness = 2 if area * 4 <= FINEST else 1
    brush = _Brush(diagram, palette, SCALE * fineness)
    for mark in diagram.marks:
        brush.mark(mark)
    image = brush.image.reduce(fineness) if fineness > 1 else brush.image
    file = io.BytesIO()
    if not any(isinstance(mark, Picture) for mark in diagram.marks):
        # A few dozen colours and their mixtures: a palette of 256 is a third of the bytes.
        image = image.quantize(256, dither=Image.Dither.NONE)
    image.save(file, "PNG")
    return file.getvalue()


class _Brush:
    """Draws marks on an image that is ``scale`` times the diagram."""

    def __init__(self, diagram: Diagram, palette: Palette, scale: int) -> None:
        self.palette, self.scale = palette, scale
        size = (round(diagram.width * scale), round(diagram.height * scale))
        self.image = Image.new("RGB", size, palette.ground)
        self.pen = ImageDraw.Draw(self.image)

    def mark(self, mark: Mark) -> None:
        match mark:
            case Box():
                self.box(mark)
            case Text():
                self.text(mark)
            case Line():
                self.stroke(_flattened(mark), 1.4)
                if mark.head:
                    self.pen.polygon(self.points(mark.head), fill=self.palette.line)
            case Sign():
                self.sign(mark)
            case Picture():
                self.picture(mark)

    def box(self, box: Box) -> None:
        p = self.palette
        fill, edge = {
            "tint": (p.tints[box.hue], p.strong[box.hue]),
            "solid": (p.strong[box.hue], None),
            "panel": (p.panel, p.edge),
            "frame": (None, None),
            "track": (p.track, None),
            "bar": (p.bar, None),
        }[box.look]
        if box.look == "frame":
            for piece in _dashes(_outline(box), 4, 3):
                self.stroke(piece, 1.2)
            return
        # An edge lies half outside of its box, as in SVG.
        grown = 0.5 if edge else 0.0
        left, top, right, bottom = box.bounds
        corners = ((left - grown, top - grown), (right + grown, bottom + grown))
        (x0, y0), (x1, y1) = self.points(corners)
        self.pen.rounded_rectangle(
            (x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)),
            radius=min(box.radius + grown, box.width / 2, box.height / 2) * self.scale,
            fill=fill,
            outline=edge,
            width=self.scale if edge else 0,
        )

    def sign(self, sign: Sign) -> None:
        p, grown = self.palette, 0.0 if sign.kind == "dot" else 0.7
        left, top, right, bottom = sign.bounds
        corners = ((left - grown, top - grown), (right + grown, bottom + grown))
        (x0, y0), (x1, y1) = self.points(corners)
        place = (x0, y0, x1 - 1, y1 - 1)
        if sign.kind == "dot":
            self.pen.ellipse(place, fill=p.line)
            return
        width = round(1.4 * self.scale)
        fill, edge = p.tints[sign.hue], p.strong[sign.hue]
        self.pen.ellipse(place, fill=fill, outline=edge, width=width)
        for stroke in sign.strokes:
            self.stroke(stroke, 1.4)

    def picture(self, picture: Picture) -> None:
        left, top, right, bottom = picture.bounds
        (x0, y0), (x1, y1) = self.points(((left, top), (right, bottom)))
        size = (max(round(x1 - x0), 1), max(round(y1 - y0), 1))
        how = Image.Resampling.LANCZOS if picture.smooth else Image.Resampling.NEAREST
        with Image.open(io.BytesIO(picture.png)) as image:
            self.image.paste(image.convert("RGB").resize(size, how), (round(x0), round(y0)))

    def stroke(self, points: list[Point] | tuple[Point, ...], width: float) -> None:
        scaled = self.points(points)
        self.pen.line(scaled, self.palette.line, width=round(width * self.scale), joint="curve")

    def text(self, text: Text) -> None:
        pixels = text.size * self.scale
        runs = list(_runs(text.text, pixels))
        whole = sum(width for _, _, width in runs)
        x = text.x * self.scale
        x -= {"start": 0.0, "middle": whole / 2, "end": whole}[text.anchor]
        y = text.y * self.scale
        ink = self.palette.faint if text.faint else self.palette.ink
        # Pillow's font has one weight; a thin rim makes it bold.
        rim = max(round(0.017 * pixels), 1) if text.bold else 0
        for run, font, width in runs:
            if font is None:
                self.drawn(run, x, y, pixels, ink, text.bold)
            else:
                self.pen.text((x, y), run, fill=ink, font=font, anchor="ls", stroke_width=rim)
            x += width

    def drawn(self, sign: str, x: float, y: float, em: float, ink: str, bold: bool) -> None:
        """Draw a sign that the font lacks, at pixels of the image."""
        width = round((0.115 if bold else 0.085) * em)
        middle, centre = y - 0.33 * em, x + DRAWN[sign] * em / 2
        reach = {"×": 0.2, "→": 0.36, "−": 0.24}[sign] * em
        if sign == "×":
            for slope in (1, -1):
                ends = (centre - reach, middle - slope * reach, centre + reach)
                self.pen.line((*ends, middle + slope * reach), ink, width=width)
            return
        self.pen.line((centre - reach, middle, centre + reach, middle), ink, width=width)
        if sign == "→":
            tip, back = centre + reach + width / 2, 0.19 * em
            for slope in (1, -1):
                self.pen.line((tip, middle, tip - back, middle + slope * back), ink, width=width)

    def points(self, points: tuple[Point, ...] | list[Point]) -> list[Point]:
        return [(round(x * self.scale), round(y * self.scale)) for x, y in points]


def _runs(text: str, pixels: float) -> Iterator[tuple[str, ImageFont.FreeTypeFont | None, float]]:
    """Part a text by the fonts that have its characters, each run with its width."""
    for font, run in groupby(text, lambda character: _font_of(character, pixels)):
        characters = "".join(run)
        if font is not None:
            yield characters, font, font.getlength(characters)
            continue
        for character in characters:
            yield character, None, DRAWN[character] * pixels


@lru_cache(maxsize=4096)
def _font_of(character: str, pixels: float) -> ImageFont.FreeTypeFont | None:
    """Give the first font that has a character; None for those that are drawn."""
    if character in DRAWN:
        return None
    own = _own(pixels)
    for font in (own, *_fallbacks(pixels)):
        if unicodedata.combining(character) or _has(font, character):
            return font
    return own


@lru_cache(maxsize=64)
def _own(pixels: float) -> ImageFont.FreeTypeFont:
    return own_font(pixels)


@lru_cache(maxsize=64)
def _fallbacks(pixels: float) -> tuple[ImageFont.FreeTypeFont, ...]:
    found: list[ImageFont.FreeTypeFont] = []
    for name in FALLBACKS:
        try:
            found.append(ImageFont.truetype(name, pixels))
        except OSError:
            continue
    return tuple(found)


def _has(font: ImageFont.FreeTypeFont, character: str) -> bool:
    """Say whether a font draws a character otherwise than one that no font has."""
    if character == " ":
        return True
    return _pixels(font, character) != _pixels(font, "\uffff")


def _pixels(font: ImageFont.FreeTypeFont, character: str) -> bytes:
    side = round(font.size)
    image = Image.new("L", (2 * side, 2 * side))
    ImageDraw.Draw(image).text((0, 0), character, fill=255, font=font)
    return image.tobytes()


def _flattened(line: Line) -> list[Point]:
    """Turn round corners into short straight pieces."""
    points: list[Point] = [line.points[0]]
    for (bx, by), (cx, cy), (ex, ey) in line.corners:
        for i in range(9):
            t = i / 8
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
            points.append((a * bx + b * cx + c * ex, a * by + b * cy + c * ey))
    return [*points, line.end]


def _outline(box: Box) -> list[Point]:
    """Walk around a box, round its corners."""
    left, top, right, bottom = box.bounds
    middle = (left + right) / 2
    corners = ((right, top), (right, bottom), (left, bottom), (left, top))
    around = Line(points=((middle, top), *corners, (middle, top)), radius=box.radius)
    return _flattened(around)


def _dashes(points: list[Point], on: float, off: float) -> Iterator[list[Point]]:
    """Cut a line into dashes."""
    dash: list[Point] = [points[0]]
    left, drawing = on, True
    for before, after in pairwise(points):
        (x, y), (ex, ey) = before, after
        while (rest := ((ex - x) ** 2 + (ey - y) ** 2) ** 0.5) > left:
            x, y = x + left / rest * (ex - x), y + left / rest * (ey - y)
            if drawing:
                yield [*dash, (x, y)]
            drawing, left, dash = not drawing, off if drawing else on, [(x, y)]
        left -= rest
        dash.append((ex, ey))
    if drawing and len(dash) > 1:
        yield dash
