"""MXNet's file of named arrays (``.params``): a parser and a writer in NumPy, nothing executed.

A list of arrays, then a list of names, all numbers little-endian. An array has one of four
headers, which MXNet's versions wrote in turn: the number of dimensions itself and 32-bit
dimensions (before 0.11); and three that begin with a magic number and have 64-bit dimensions,
the later two with a storage type (1.0), or written under NumPy's semantics (1.6).

MXNet's own ``mx.nd.load`` is not used. It allocates whatever a header claims (3.7 GB for a file of
24 bytes), and it reads damaged files: bytes after the end, a name that stands twice, dimensions
that overflow to 0.

Source: Apache MXNet 1.9, src/ndarray/ndarray.cc, ``NDArray::Save`` and ``NDArray::Load``.
"""

import math
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.errors import WeightsError
from resnets.files import explain_os_errors, replace_file

Array = npt.NDArray[Any]

LIST_MAGIC = 0x112
V1_MAGIC, V2_MAGIC, V3_MAGIC = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
MOST_DIMENSIONS = 32
DENSE = 0
CPU = 1

TYPES = {
    0: np.dtype("<f4"),
    1: np.dtype("<f8"),
    2: np.dtype("<f2"),
    3: np.dtype("u1"),
    4: np.dtype("<i4"),
    5: np.dtype("i1"),
    6: np.dtype("<i8"),
    7: np.dtype("?"),
}
"""mshadow's type flags."""


def read_arrays(path: Path) -> dict[str, Array]:
    """Read the arrays of a file by name, in the file's order.

    Raises:
        WeightsError: if the file is missing, truncated, claims more than it holds, is no such
            file, or has an array that is not dense and whole.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    with explain_os_errors(f"cannot read {path}", WeightsError):
        content = path.read_bytes()
    return parse(content, str(path))


def parse(content: bytes, where: str) -> dict[str, Array]:
    """Read the arrays of a file's content; ``where`` names it in errors. Raises WeightsError."""
    reader = _Reader(content, where)
    if reader.number("Q", "a magic number") != LIST_MAGIC:
        raise WeightsError(
            f"{where}: no MXNet parameters: they begin with the number 0x112, "
            f"this with the bytes {content[:8].hex(' ')}"
        )
    reader.number("Q", "a reserved number")
    arrays = [_read_array(reader, k) for k in range(reader.count("arrays"))]
    names = [_read_name(reader, k) for k in range(reader.count("names"))]
    if reader.left:
        raise reader.make_error(f"{reader.left} bytes follow the last name")
    if len(names) != len(arrays):
        raise reader.make_error(f"{len(names)} names for {len(arrays)} arrays")
    found = dict(zip(names, arrays, strict=True))
    if len(found) != len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise reader.make_error(f"the name {twice!r} stands twice")
    return found


def write_arrays(arrays: Mapping[str, Array], path: Path) -> None:
    """Write arrays under their names as MXNet 1.0 to 1.9 writes them, whole or not at all.

    Raises:
        WeightsError: if an array has no dimension or no element (that header cannot say so) or a
            type that MXNet has not, or if the file cannot be written.
    """
    with explain_os_errors(f"cannot write {path}", WeightsError), replace_file(path) as file:
        file.writelines(compose(arrays))


def compose(arrays: Mapping[str, Array]) -> Iterator[bytes]:
    """Yield the content of a file in pieces. Raises WeightsError as ``write_arrays``."""
    yield struct.pack("<QQQ", LIST_MAGIC, 0, len(arrays))
    for name, array in arrays.items():
        flag = next((f for f, kind in TYPES.items() if kind == array.dtype.newbyteorder("<")), None)
        if flag is None or not array.size or not 1 <= array.ndim <= MOST_DIMENSIONS:
            raise WeightsError(
                f"{name}: MXNet's file has no place for shape {array.shape} of {array.dtype}"
            )
        yield struct.pack(f"<IiI{array.ndim}q", V2_MAGIC, DENSE, array.ndim, *array.shape)
        yield struct.pack("<iii", CPU, 0, flag)
        yield np.ascontiguousarray(array, TYPES[flag]).tobytes()
    yield struct.pack("<Q", len(arrays))
    for name in arrays:
        text = name.encode()
        yield struct.pack("<Q", len(text)) + text


class _Reader:
    """Takes numbers and bytes off the front; never more than there are."""

    def __init__(self, content: bytes, where: str) -> None:
        self.content, self.where, self.at = content, where, 0

    @property
    def left(self) -> int:
        return len(self.content) - self.at

    def make_error(self, why: str) -> WeightsError:
        return WeightsError(f"{self.where}: no whole MXNet parameters: {why}")

    def take(self, size: int, what: str) -> memoryview:
        if size > self.left:
            message = f"{what} of {size} bytes begins at byte {self.at} of {len(self.content)}"
            raise self.make_error(message)
        self.at += size
        return memoryview(self.content)[self.at - size : self.at]

    def numbers(self, form: str, what: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}"), what))

    def number(self, form: str, what: str) -> int:
        return self.numbers(form, what)[0]

    def count(self, what: str) -> int:
        """How many follow; each takes at least four bytes, so that a claim has an end."""
        count = self.number("Q", f"the number of {what}")
        if 4 * count > self.left:
            raise self.make_error(f"{count} {what} claimed, {self.left} bytes left")
        return count


def _read_array(reader: _Reader, k: int) -> Array:
    what = f"array {k}"
    magic = reader.number("I", what)
    if magic in (V2_MAGIC, V3_MAGIC):
        storage = reader.number("i", what)
        if storage != DENSE:
            raise reader.make_error(f"{what} is sparse (storage type {storage}); weights are dense")
    if magic in (V1_MAGIC, V2_MAGIC, V3_MAGIC):
        dimensions, form = reader.number("I", what), "q"
    else:
        dimensions, form = magic, "I"
    if not (magic == V3_MAGIC or dimensions) or dimensions > MOST_DIMENSIONS:
        raise reader.make_error(f"{what} has {dimensions} dimensions, not 1 to {MOST_DIMENSIONS}")
    shape = reader.numbers(f"{dimensions}{form}", what)
    if any(size < 1 for size in shape):
        raise reader.make_error(f"{what} has shape {shape}, not of whole numbers above 0")
    reader.numbers("ii", what)  # the device it was on
    flag = reader.number("i", what)
    if flag not in TYPES:
        raise reader.make_error(f"{what} has the unknown type {flag}")
    # Python's integers: dimensions made of noise cannot overflow into a size that fits.
    size = math.prod(shape) * TYPES[flag].itemsize
    content = reader.take(size, f"{what}, shape {shape},")
    # A copy: in the file an array may begin at any byte.
    return np.frombuffer(content, TYPES[flag]).reshape(shape).copy()


def _read_name(reader: _Reader, k: int) -> str:
    what = f"name {k}"
    text = bytes(reader.take(reader.number("Q", what), what))
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise reader.make_error(f"{what} is no text: {text[:20]!r}") from error
