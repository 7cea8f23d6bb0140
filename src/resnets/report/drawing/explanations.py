"""Images beside where in them the evidence for classes is: a sheet of explanations."""

import io
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from resnets.data.images import Pixels
from resnets.inference.explain import Explanation
from resnets.report.drawing.diagram import Diagram, Picture, Sketch, Text
from resnets.report.drawing.headings import add_heading
from resnets.report.drawing.text import clean, keep_end, shorten

SIDE = 132.0
"""Pixels of the diagram that an image takes."""

GAP, LINE, BETWEEN = 8.0, 15.0, 26.0
"""Pixels between an image and its maps, of a line of text, between explanations."""

FOR, AGAINST = (213, 94, 0), (0, 114, 178)
"""Okabe and Ito's vermilion and blue, which every eye tells apart."""

STRONGEST = 0.8
"""How much of a place's colour is that of the strongest evidence."""

FEW = 48
"""Pixels of an image's side below which each of them is shown as a square."""

FINEST = 512
"""Pixels of an image's side that are kept at most."""

Colours = npt.NDArray[np.uint8]


def draw_explanations(found: Sequence[Explanation], title: str, subtitle: str) -> Diagram:
    """Return a sheet of images, each with its maps to its right; ``found`` is not empty."""
    sketches = [_sketch_explanation(one) for one in found]
    width = max(right - left for left, _, right, _ in (s.bounds for s in sketches))
    height = max(bottom - top for _, top, _, bottom in (s.bounds for s in sketches))
    columns = max(1, round(math.sqrt(len(found) * height / width * 1.4)))
    sheet = Sketch()
    for k, sketch in enumerate(sketches):
        row, column = divmod(k, columns)
        sheet.place(sketch, column * (width + BETWEEN), row * (height + BETWEEN))
    sheet.place(_sketch_key(), 0, -(-len(found) // columns) * (height + BETWEEN))
    described = "; ".join(_describe(one) for one in found)
    return add_heading(sheet, title, subtitle, described)


def _sketch_explanation(one: Explanation) -> Sketch:
    """Return a sketch from (0, 0) down: two lines of text, then an image and its maps."""
    sketch = Sketch()
    room = SIDE + len(one.classes) * (SIDE + GAP)
    name = keep_end(clean(one.image), 12, room)
    sketch.add(Text(x=0, y=LINE - 3, text=name, faint=True))
    top = 2 * LINE + 4
    said = "" if one.label is None else f"labelled {one.label}"
    pictures = [(said, _to_rgb(one.pixels)), *_overlay_maps(one)]
    smooth = max(one.pixels.shape[:2]) >= FEW
    for k, (text, colours) in enumerate(pictures):
        x = k * (SIDE + GAP)
        shown = shorten(clean(text), 12, k == 1, SIDE)
        sketch.add(Text(x=x, y=2 * LINE - 2, text=shown, bold=k == 1))
        place = {"x": x, "y": top, "width": SIDE, "height": SIDE}
        told = clean(text) or "the image"
        sketch.add(Picture(**place, png=_encode_png(colours), text=told, smooth=smooth or k > 0))
    return sketch


def _overlay_maps(one: Explanation) -> list[tuple[str, Colours]]:
    """Return the caption of each class and the image in grey under the colours of its evidence.

    One scale for all maps of an image: they can be compared.
    """
    strongest = float(np.abs(one.class_activation_map).max()) or 1.0
    grey = _to_rgb(one.pixels).mean(axis=2, keepdims=True)
    height, width = one.pixels.shape[:2]
    enlarged = max(1, math.ceil(2 * SIDE / max(height, width)))  # of few pixels a smooth map
    grey = grey.repeat(enlarged, axis=0).repeat(enlarged, axis=1)
    ground = 0.35 * 255 + 0.65 * grey
    found: list[tuple[str, Colours]] = []
    for (name, share), evidence in zip(one.classes, one.class_activation_map, strict=True):
        image = Image.fromarray((evidence / strongest).astype(np.float32))
        size = (width * enlarged, height * enlarged)
        level = np.asarray(image.resize(size, Image.Resampling.BILINEAR))[:, :, None]
        colour = np.where(level > 0, np.array(FOR), np.array(AGAINST))
        amount = STRONGEST * np.abs(level)
        mixed = (1 - amount) * ground + amount * colour
        found.append((f"{name} {share:.1%}", np.rint(mixed).clip(0, 255).astype(np.uint8)))
    return found


def _to_rgb(pixels: Pixels) -> Colours:
    return pixels if pixels.shape[2] == 3 else pixels.repeat(3, axis=2)


def _encode_png(colours: Colours) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(colours))
    if max(image.size) > FINEST:
        image.thumbnail((FINEST, FINEST), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _sketch_key() -> Sketch:
    """Return a key to the colours."""
    sketch = Sketch()
    blocks = (("for the class", FOR), ("against it", AGAINST))
    x = 0.0
    for text, colour in blocks:
        solid = _encode_png(np.full((2, 2, 3), colour, np.uint8))
        sketch.add(Picture(x=x, y=0, width=12, height=12, png=solid, text=text))
        sketch.add(Text(x=x + 18, y=10, text=text, faint=True))
        x += 118
    return sketch


def _describe(one: Explanation) -> str:
    classes = ", ".join(f"{name} {share:.1%}" for name, share in one.classes)
    said = "" if one.label is None else f", labelled {one.label}"
    return clean(f"{one.image}{said}: {classes}")
