"""How wide texts are, whichever font shows them; texts that fit; what XML can hold.

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


def own_font(size: float) -> "FreeTypeFont":
    """Give Pillow's own font at a size in pixels.

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


def width_of(text: str, size: float, bold: bool = False) -> float:
    """Give the pixels across that a text needs in the widest of the usual fonts."""
    factor = WIDEST_BOLD if bold else WIDEST
    return factor * size * sum(map(_advance, text))


def clean(text: str) -> str:
    """Make a name one line of characters that XML can hold."""
    spaced = "".join(" " if character.isspace() else character for character in text)
    return "".join("\ufffd" if _forbidden(character) else character for character in spaced).strip()


def shortened(text: str, size: float, bold: bool, room: float) -> str:
    """Cut a text to the pixels it has; dots say that something is left out."""
    if width_of(text, size, bold) <= room:
        return text
    while text and width_of(text + "…", size, bold) > room:
        text = text[:-1]
    return text.rstrip() + "…"


def ending(text: str, size: float, room: float) -> str:
    """Cut the beginning of a text, such as a path's, to the pixels that there are."""
    if width_of(text, size) <= room:
        return text
    while text and width_of("…" + text, size) > room:
        text = text[1:]
    return "…" + text.lstrip()


def wrapped(phrases: list[str], size: float, room: float) -> list[str]:
    """Set phrases, commas between them, in lines of at most ``room`` pixels where they allow."""
    lines: list[str] = []
    for phrase in phrases:
        if lines and width_of(f"{lines[-1]}, {phrase}", size) <= room:
            lines[-1] += f", {phrase}"
        else:
            lines.append(phrase)
    return lines


def _forbidden(character: str) -> bool:
    """Control characters, halves of pairs, and what turns the direction of text around."""
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Cf", "Cn", "Co")


@lru_cache(maxsize=4096)
def _advance(character: str) -> float:
    """Give a character's width in ems; wide ones that Pillow's font may lack are taken as such."""
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return 1.2
    if character in LACKING:
        return LACKING[character]
    if ord(character) > 0x7F and character not in "…·":
        return 0.9 if ord(character) < 0x250 else 1.2
    return own_font(100).getlength(character) / 100
