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
    width, height = format_number(diagram.width), format_number(diagram.height)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" role="img" class="resnets-{theme}">',
            f"<title>{escape(diagram.title)}</title>",
            f"<desc>{escape(diagram.description)}</desc>",
            f"<style>\n{_write_style(diagram, theme, fonts)}\n</style>",
            f'<rect class="ground" width="{width}" height="{height}"/>',
            *(_write_mark(mark) for mark in diagram.marks),
            "</svg>\n",
        ]
    )


def format_number(value: float) -> str:
    """Return a coordinate, rounded to a tenth of a pixel."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _write_style(diagram: Diagram, theme: Theme, fonts: str) -> str:
    """Return the style sheet; its rules begin with the theme, for pages that hold two pictures."""
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
    rules = [*shared, *_write_colours(diagram, at, DARK if theme == "dark" else LIGHT)]
    if theme == "auto":
        dark = _write_colours(diagram, at, DARK)
        rules += ["@media (prefers-color-scheme:dark){", *dark, "}"]
    return "\n".join(rules)


def _write_colours(diagram: Diagram, at: str, palette: Palette) -> Iterator[str]:
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


def _write_mark(mark: Mark) -> str:
    match mark:
        case Box():
            return _write_box(mark)
        case Text():
            return _write_text(mark)
        case Line():
            return _write_line(mark)
        case Sign():
            return _write_sign(mark)
        case Picture():
            return _write_picture(mark)


def _write_box(box: Box) -> str:
    names = {"tint": box.hue, "solid": f"{box.hue}-solid"}
    place = f'x="{format_number(box.x)}" y="{format_number(box.y)}"'
    size = f'width="{format_number(box.width)}" height="{format_number(box.height)}"'
    radius = f'rx="{format_number(box.radius)}"'
    return f'<rect class="{names.get(box.look, box.look)}" {place} {size} {radius}/>'


def _write_text(text: Text) -> str:
    classes = [
        *(["bold"] if text.bold else []),
        *(["faint"] if text.faint else []),
        *([text.anchor] if text.anchor != "start" else []),
    ]
    named = f' class="{" ".join(classes)}"' if classes else ""
    # A style and not an attribute: the style sheet's size would outdo the attribute.
    size = f' style="font-size:{format_number(text.size)}px"' if text.size != 12 else ""
    place = f'x="{format_number(text.x)}" y="{format_number(text.y)}"'
    return f"<text{named}{size} {place}>{escape(text.text)}</text>"


def _write_line(line: Line) -> str:
    steps = [f"M{_format_point(line.points[0])}"]
    for begin, corner, end in line.corners:
        steps.append(f"L{_format_point(begin)}Q{_format_point(corner)} {_format_point(end)}")
    steps.append(f"L{_format_point(line.end)}")
    drawn = f'<path class="line" d="{"".join(steps)}"/>'
    if line.head:
        drawn += f'<path class="head" d="M{"L".join(map(_format_point, line.head))}Z"/>'
    return drawn


def _write_sign(sign: Sign) -> str:
    centre = f'cx="{format_number(sign.x)}" cy="{format_number(sign.y)}"'
    place = f'{centre} r="{format_number(sign.radius)}"'
    if sign.kind == "dot":
        return f'<circle class="dot" {place}/>'
    cross = "".join(f"M{_format_point(a)}L{_format_point(b)}" for a, b in sign.strokes)
    return f'<circle class="sign {sign.hue}" {place}/><path class="line cross" d="{cross}"/>'


def _write_picture(picture: Picture) -> str:
    place = f'x="{format_number(picture.x)}" y="{format_number(picture.y)}"'
    size = f'width="{format_number(picture.width)}" height="{format_number(picture.height)}"'
    squares = "" if picture.smooth else ' style="image-rendering:pixelated"'
    data = f"data:image/png;base64,{b64encode(picture.png).decode()}"
    shown = f"<title>{escape(picture.text)}</title>"
    return (
        f'<image {place} {size} preserveAspectRatio="none"{squares} href="{data}">{shown}</image>'
    )


def _format_point(point: Point) -> str:
    return f"{format_number(point[0])} {format_number(point[1])}"
