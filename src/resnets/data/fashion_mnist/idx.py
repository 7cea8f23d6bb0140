"""IDX, the format of MNIST and its successors: a header with the dimensions, then the bytes.

The header is big-endian: two zero bytes, one byte for the type of the values (8 is uint8, the
only one that these data sets use), one for the number of dimensions, four for each dimension.
Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database", section "File formats".
"""

import math
import struct

import numpy as np
import numpy.typing as npt

from resnets.errors import DataError

_UINT8 = 0x08
_MOST_DIMENSIONS = 8
"""More than any data set has; keeps a header of noise from being read as 255 dimensions."""


def shape(content: bytes, where: str) -> tuple[int, ...]:
    """The dimensions that the header states; reads the header alone.

    ``where`` names the file in errors. Raises DataError where the content does not start with
    the header of an IDX file of uint8.
    """
    if len(content) < 4:
        raise DataError(f"{where}: expected an IDX file, found {len(content)} bytes, not a header")
    if content[:2] != b"\0\0":
        raise DataError(
            f"{where}: expected an IDX file, which starts with the bytes 00 00; "
            f"found {content[:4].hex(' ')}"
        )
    kind, dimensions = content[2], content[3]
    if kind != _UINT8:
        raise DataError(f"{where}: expected IDX type 0x08 (unsigned bytes), found 0x{kind:02x}")
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise DataError(
            f"{where}: expected 1 to {_MOST_DIMENSIONS} dimensions in the IDX header, "
            f"found {dimensions}"
        )
    end = header_size(dimensions)
    if len(content) < end:
        raise DataError(
            f"{where}: expected an IDX header of {end} bytes for {dimensions} dimensions, "
            f"found {len(content)} bytes in all"
        )
    return struct.unpack(f">{dimensions}I", content[4:end])


def parse(
    content: bytes, where: str, *, expected: tuple[int, ...] | None = None
) -> npt.NDArray[np.uint8]:
    """The array that an IDX file of uint8 holds: fresh, writable, of the stated dimensions.

    ``where`` names the file in errors; ``expected`` are the dimensions that it must have, where
    they are known. Raises DataError for any other header, dimensions or number of bytes.
    """
    found = shape(content, where)
    if expected is not None:
        check_shape(found, expected, where)
    start = header_size(len(found))
    # Python's integers, so that dimensions made of noise cannot overflow into a count that fits.
    size = start + math.prod(found)
    if len(content) != size:
        raise DataError(
            f"{where}: expected {size} bytes for the dimensions {describe(found)} in its header, "
            f"found {len(content)}"
        )
    # A copy, since frombuffer's view is read-only and frameworks warn about that.
    return np.frombuffer(content, np.uint8, offset=start).reshape(found).copy()


def check_shape(found: tuple[int, ...], expected: tuple[int, ...], where: str) -> None:
    """Raise DataError unless the dimensions are the expected ones."""
    if len(found) != len(expected):
        raise DataError(
            f"{where}: expected {len(expected)} dimensions ({describe(expected)}), "
            f"found {len(found)} ({describe(found)})"
        )
    if found != expected:
        raise DataError(
            f"{where}: expected dimensions {describe(expected)}, found {describe(found)}"
        )


def header_size(dimensions: int) -> int:
    """Bytes before the first value."""
    return 4 + 4 * dimensions


def describe(dimensions: tuple[int, ...]) -> str:
    """``(60000, 28, 28)`` as people write it: 60000×28×28."""
    return "×".join(str(number) for number in dimensions)
