"""Measure texts, shorten them to fit, and clean them for XML.

An SVG is set in the font that its reader has. Texts are measured in Pillow's own font and given
the room that the widest of the usual ones (DejaVu Sans, Verdana) needs.
"""

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from resnets.errors import MissingDependency

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

WIDEST = 1.21
"""Width in the widest usual font for one in Pillow's own."""

LACKING = {"×": 0.72, "−": 0.72, "→": 0.72}
"""Width in ems, before that factor, of signs that Pillow's own font lacks."""

WIDEST_BOLD = 1.32
"""The same of bold text, for Pillow's own in its one weight."""


def load_pillow_font(size: float) -> "FreeTypeFont":
    """Return the font that comes with Pillow, at a size in pixels.

    Raises:
        MissingDependency: if this Pillow was built without FreeType.
    """
    from PIL import ImageFont

    try:
        font = ImageFont.load_default(size)
    except ImportError as error:
        message = (
            f"this Pillow cannot draw text, for want of FreeType: pip install pillow ({error})"
        )
        raise MissingDependency(message) from error
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def measure_width(text: str, size: float, bold: bool = False) -> float:
    """Return the width of a text in pixels in the widest of the usual fonts."""
    factor = WIDEST_BOLD if bold else WIDEST
    return factor * size * sum(map(_measure_character, text))


def clean(text: str) -> str:
    """Return a name as one line of characters that XML can hold."""
    spaced = "".join(" " if character.isspace() else character for character in text)
    return "".join(
        "\ufffd" if _is_forbidden(character) else character for character in spaced
    ).strip()


def shorten(text: str, size: float, bold: bool, room: float) -> str:
    """Return a text cut at its end to ``room`` pixels, with dots for what is left out."""
    if measure_width(text, size, bold) <= room:
        return text
    while text and measure_width(text + "…", size, bold) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def keep_end(text: str, size: float, room: float) -> str:
    """Return a text, such as a path, cut at its beginning to ``room`` pixels."""
    if measure_width(text, size) <= room:
        return text
    while text and measure_width("…" + text, size) > room:
        text = text[1:]
    return "…" + text.lstrip()


def wrap_phrases(phrases: list[str], size: float, room: float) -> list[str]:
    """Return phrases, separated by commas, in lines of at most ``room`` pixels if they allow."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and measure_width(f"{lines[-1]}, {phrase}", size) <= room:
            lines[-1] += f", {phrase}"
        else:
            lines.append(phrase)
    return lines


def _is_forbidden(character: str) -> bool:
    """Return whether a character controls, is half of a pair, or turns the direction of text."""
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Cf", "Cn", "Co")


@lru_cache(maxsize=4096)
def _measure_character(character: str) -> float:
    """Return the width of a character in ems, estimated for those that Pillow's font may lack."""
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return 1.2
    if character in LACKING:
        return LACKING[character]
    if ord(character) > 0x7F and character not in "…·":
        return 0.9 if ord(character) < 0x250 else 1.2
    return load_pillow_font(100).getlength(character) / 100
