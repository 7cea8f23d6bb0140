"""A diagram as SVG: text stays text, classes bear the colours, the same diagram the same bytes.

The style sheet has plain values only, which Inkscape, librsvg and slide programs understand too.
"""

from base64 import b64encode
from collections.abc import Iterator
from html import escape

from resnets.report.drawing.diagram import Box, Diagram, Line, Mark, Picture, Point, Sign, Text
from resnets.report.drawing.palette import DARK, LIGHT, Palette, Theme

FONTS = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


def to_svg(diagram: Diagram, theme: Theme = "auto", *, fonts: str = FONTS) -> str:
    """Return a diagram as an SVG document.

    Args:
        diagram: what is drawn.
        theme: ``auto`` follows its reader's colour scheme.
        fonts: families of the texts in CSS, the preferred one first.
    """
    width, height = number(diagram.width), number(diagram.height)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" role="img" class="resnets-{theme}">',
            f"<title>{escape(diagram.title)}</title>",
            f"<desc>{escape(diagram.description)}</desc>",
            f"<style>\n{_style(diagram, theme, fonts)}\n</style>",
            f'<rect class="ground" width="{width}" height="{height}"/>',
            *(_element(mark) for mark in diagram.marks),
            "</svg>\n",
        ]
    )


def number(value: float) -> str:
    """Write a coordinate, to a tenth of a pixel."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _style(diagram: Diagram, theme: Theme, fonts: str) -> str:
    """Write the style sheet; its rules begin with the theme, for pages that hold two pictures."""
    at = f".resnets-{theme}"
    shared = [
        f"{at} text{{font-family:{fonts};font-size:12px}}",
        f"{at} .bold{{font-weight:600}}",
        f"{at} .middle{{text-anchor:middle}}",
        f"{at} .end{{text-anchor:end}}",
        f"{at} .line{{fill:none;stroke-width:1.4}}",
        f"{at} .frame{{fill:none;stroke-width:1.2;stroke-dasharray:4 3}}",
        f"{at} .sign{{stroke-width:1.4}}",
    ]
    rules = [*shared, *_colours(diagram, at, DARK if theme == "dark" else LIGHT)]
    if theme == "auto":
        dark = _colours(diagram, at, DARK)
        rules += ["@media (prefers-color-scheme:dark){", *dark, "}"]
    return "\n".join(rules)


def _colours(diagram: Diagram, at: str, palette: Palette) -> Iterator[str]:
    p = palette
    yield f"{at} .ground{{fill:{p.ground}}}"
    yield f"{at} text{{fill:{p.ink}}}"
    yield f"{at} .faint{{fill:{p.faint}}}"
    yield f"{at} .line,{at} .frame,{at} .cross{{stroke:{p.line}}}"
    yield f"{at} .head,{at} .dot{{fill:{p.line}}}"
    yield f"{at} .panel{{fill:{p.panel};stroke:{p.edge}}}"
    yield f"{at} .track{{fill:{p.track}}}"
    yield f"{at} .bar{{fill:{p.bar}}}"
    used = {mark.hue for mark in diagram.marks if isinstance(mark, Box | Sign)}
    for hue, tint in p.tints.items():
        if hue in used:
            yield f"{at} .{hue}{{fill:{tint};stroke:{p.strong[hue]}}}"
            yield f"{at} .{hue}-solid{{fill:{p.strong[hue]}}}"


def _element(mark: Mark) -> str:
    match mark:
        case Box():
            return _box(mark)
        case Text():
            return _text(mark)
        case Line():
            return _line(mark)
        case Sign():
            return _sign(mark)
        case Picture():
            return _picture(mark)


def _box(box: Box) -> str:
    names = {"tint": box.hue, "solid": f"{box.hue}-solid"}
    return (
        f'<rect class="{names.get(box.look, box.look)}" x="{number(box.x)}" y="{number(box.y)}"'
        f' width="{number(box.width)}" height="{number(box.height)}" rx="{number(box.radius)}"/>'
    )


def _text(text: Text) -> str:
    classes = [
        *(["bold"] if text.bold else []),
        *(["faint"] if text.faint else []),
        *([text.anchor] if text.anchor != "start" else []),
    ]
    named = f' class="{" ".join(classes)}"' if classes else ""
    # A style and not an attribute: the style sheet's size would outdo the attribute.
    size = f' style="font-size:{number(text.size)}px"' if text.size != 12 else ""
    place = f'x="{number(text.x)}" y="{number(text.y)}"'
    return f"<text{named}{size} {place}>{escape(text.text)}</text>"


def _line(line: Line) -> str:
    steps = [f"M{_at(line.points[0])}"]
    for begin, corner, end in line.corners:
        steps.append(f"L{_at(begin)}Q{_at(corner)} {_at(end)}")
    steps.append(f"L{_at(line.end)}")
    drawn = f'<path class="line" d="{"".join(steps)}"/>'
    if line.head:
        drawn += f'<path class="head" d="M{"L".join(map(_at, line.head))}Z"/>'
    return drawn


def _sign(sign: Sign) -> str:
    place = f'cx="{number(sign.x)}" cy="{number(sign.y)}" r="{number(sign.radius)}"'
    if sign.kind == "dot":
        return f'<circle class="dot" {place}/>'
    cross = "".join(f"M{_at(a)}L{_at(b)}" for a, b in sign.strokes)
    return f'<circle class="sign {sign.hue}" {place}/><path class="line cross" d="{cross}"/>'


def _picture(picture: Picture) -> str:
    place = f'x="{number(picture.x)}" y="{number(picture.y)}"'
    size = f'width="{number(picture.width)}" height="{number(picture.height)}"'
    squares = "" if picture.smooth else ' style="image-rendering:pixelated"'
    data = f"data:image/png;base64,{b64encode(picture.png).decode()}"
    shown = f"<title>{escape(picture.text)}</title>"
    return (
        f'<image {place} {size} preserveAspectRatio="none"{squares} href="{data}">{shown}</image>'
    )


def _at(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"
