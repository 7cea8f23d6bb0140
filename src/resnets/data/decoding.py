"""From an image file, whatever its format, to the square of bytes that a network takes."""

import io
import os
import stat
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from resnets.errors import DataError

_REFUSED = frozenset({"EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow lists but hands to other programs, or recognises without reading."""

_ORIENTATION = 0x0112
"""EXIF's tag for how the camera was held: 1 is upright."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image of each EXIF orientation upright."""


COMMON = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF", "JPEG2000")
"""Formats that photos have: those whose decoders are fast, whatever a file says of itself."""


def open_image(
    file: Path | bytes,
    *,
    size: int,
    channels: int,
    name: str | None = None,
    formats: Sequence[str] | None = None,
    pixels: int | None = None,
) -> npt.NDArray[np.uint8]:
    """One image as uint8 [size, size, channels], 0 to 255; channels 1 is grey and 3 is RGB.

    Turned upright, transparency laid on white, the shorter side resized to ``size`` (bilinear,
    antialiased), the middle cut out. Of an animation, the first image. ``file`` is a path or the
    content itself, which ``name`` then calls by name in errors. Raises DataError for whatever
    cannot be read as an image, and for one larger than Pillow's limit on pixels or than the memory
    that is left. ``formats`` and ``pixels`` bound it further: formats by Pillow's names, and the
    most pixels.
    """
    if size < 1 or channels not in (1, 3):
        raise DataError(
            f"an image is opened at a size of at least 1 with 1 channel (grey) or 3 (RGB), "
            f"not at size {size} with {channels} channels"
        )
    where = name or (str(file) if isinstance(file, Path) else "image")
    if isinstance(file, Path) and _is_device(file):
        raise DataError(f"{where}: a pipe, a socket or a device; an image is read from a file")
    try:
        known = (
            _supported_formats()
            if formats is None
            else [f for f in _supported_formats() if f in formats]
        )
        with Image.open(_open_source(file), formats=known) as image:
            _refuse_bomb(image, where, most=pixels)
            square = _decode(image, size, channels=channels, where=where)
    except DataError:
        raise
    except MemoryError as problem:  # a damaged header may ask for any amount
        raise DataError(f"{where}: it takes more than the memory that is left") from problem
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        # Pillow itself refuses what is twice as large, and what is not where warnings are errors.
        limit = Image.MAX_IMAGE_PIXELS
        raise DataError(f"{where}: too many pixels; at most {limit} are opened") from problem
    except Exception as problem:
        # Decoders meet damage with nearly any exception: OSError, SyntaxError, struct.error ...
        raise DataError(f"{where}: not a readable image: {_describe_error(problem)}") from problem
    return square.reshape(size, size, channels).copy()


def _decode(image: Image.Image, size: int, *, channels: int, where: str) -> npt.NDArray[np.uint8]:
    width, height = image.size
    try:
        image.load()
        flat = _flatten(image, "L" if channels == 1 else "RGB")
        return np.asarray(_resize_and_crop(_rotate_upright(flat, _orientation(image)), size))
    except MemoryError as problem:
        raise DataError(
            f"{where}: {width}×{height} pixels are more than the memory that is left; "
            "make it smaller"
        ) from problem


def looks_like_image(path: Path) -> bool:
    """Whether the file has an image's suffix or, failing that, an image's first bytes."""
    if _is_device(path):
        return False
    suffix = path.suffix.lower()
    if Image.registered_extensions().get(suffix) in _supported_formats():
        return True
    try:
        with Image.open(path, formats=_supported_formats()):
            return True
    except Exception:
        return False


def silence_decoders() -> "warnings.catch_warnings[None]":
    """Silence the decoders: of odd metadata, and of sizes that ``open_image`` refuses itself.

    For who opens images, around all of them: Python's warnings belong to no thread.
    """
    return warnings.catch_warnings(action="ignore")


def _is_device(path: Path) -> bool:
    """Whether it is there and neither file nor folder: who opens a pipe waits for a writer."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  a million of them
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@cache
def _supported_formats() -> tuple[str, ...]:
    """The formats that this Pillow reads by itself."""
    Image.init()
    return tuple(name for name in Image.ID if name not in _REFUSED)


def _open_source(file: Path | bytes) -> Path | io.BytesIO:
    return io.BytesIO(file) if isinstance(file, bytes) else file


def _refuse_bomb(image: Image.Image, where: str, *, most: int | None) -> None:
    """Raise DataError above Pillow's limit, at which Pillow itself would only warn."""
    limit = Image.MAX_IMAGE_PIXELS if most is None else most
    if limit is not None and image.width * image.height > limit:
        raise DataError(f"{where}: {image.width}×{image.height} pixels; at most {limit} are opened")


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation; damaged EXIF beside sound pixels counts as none."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return found if isinstance(found, int) else 1


def _rotate_upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _flatten(image: Image.Image, mode: str) -> Image.Image:
    """The image in mode L or RGB, whatever it was: transparency on white, deep greys to 8 bits."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    if mode == "L" and image.mode not in ("1", "L"):
        image = image.convert("RGB")  # CMYK and others know no direct way to grey
    return image.convert(mode)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Deep grey values in 0 to 255.

    Integers are 16 bits wide, as cameras and scanners write them. Floats are 0 to 1 if none is
    above 1, else 0 to 255. Both are clipped.
    """
    values = np.asarray(image)
    if image.mode != "F":
        # (v + 128) // 257 is v / 257 to the nearest: 257 is odd, there are no ties.
        return Image.fromarray(((values.clip(0, 65535) + np.int32(128)) // 257).astype(np.uint8))
    values = np.nan_to_num(values.astype(np.float64))
    if values.max(initial=0) <= 1:
        values *= 255
    return Image.fromarray(np.rint(values, out=values).clip(0, 255).astype(np.uint8))


def _resize_and_crop(image: Image.Image, size: int) -> Image.Image:
    """The shorter side resized to ``size`` and the middle cut out, in one step.

    The box is where the cut lies in the original, so the result is that of resizing the whole and
    cutting then, without the memory that the whole takes when the image is a long strip.
    """
    shorter = min(image.size)
    scaled = [max(size, size * side // shorter) for side in image.size]
    box: list[float] = []
    for side, new in zip(image.size, scaled, strict=True):
        start = round((new - size) / 2)
        box += [start * side / new, min((start + size) * side / new, side)]
    left, right, top, bottom = box
    return image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, right, bottom))


def _describe_error(problem: Exception) -> str:
    if isinstance(problem, Image.UnidentifiedImageError):
        return "its format is not known"
    if isinstance(problem, OSError) and problem.strerror:
        return problem.strerror
    return str(problem) or type(problem).__name__
