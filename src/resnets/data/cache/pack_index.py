"""The index of a pack: what lies where, sealed with a checksum of its own; see ``pack``."""

import hashlib
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from resnets.errors import DataError, InvalidDescription, Problem
from resnets.files import write_text
from resnets.schema import from_json

IMAGES, INDEX, ANSWERS = "images.npy", "index.json", "answers.json"
FORMAT = 1

_BLOCK_BYTES = 1 << 24
_BLOCK_ROWS = 256
_LARGEST_JSON = 1 << 30
"""Bytes of JSON that are read; the index of ten million images has a hundredth of it."""


@dataclass(frozen=True, kw_only=True)
class UnreadableImage:
    """An image that could not be read: its row, which is zeros, and the reason, its name first."""

    row: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class PackContents:
    """What a pack holds.

    Attributes:
        format: 1.
        key: of what the pack was made from; the name of its folder.
        root: the folder of images.
        shape: number, height, width, channels.
        block: rows in a block; the last block may be shorter.
        checksums: CRC-32 of each block's bytes; none while the pack is being made.
        unreadable: the images that could not be read.
        modified: modification time of ``images.npy``, in nanoseconds since 1970.
    """

    format: int = FORMAT
    key: str
    root: str
    shape: tuple[int, ...]
    block: int
    checksums: tuple[int, ...] = ()
    unreadable: tuple[UnreadableImage, ...] = ()
    modified: int = 0

    def __post_init__(self) -> None:
        problems: list[Problem] = []
        if self.format != FORMAT:
            problems.append(Problem("format", f"{self.format} is not {FORMAT}"))
        if len(self.shape) != 4 or min(self.shape) < 1:
            problems.append(Problem("shape", f"{self.shape} is not four numbers from 1"))
        elif self.block < 1 or len(self.checksums) not in (0, -(-self.shape[0] // self.block)):
            problems.append(Problem("block", f"{self.block} rows do not make the blocks there are"))
        elif any(not 0 <= bad.row < self.shape[0] for bad in self.unreadable):
            problems.append(Problem("unreadable", "not rows of the pack"))
        if problems:
            raise InvalidDescription("index of a pack", problems)

    @property
    def images(self) -> int:
        """How many could be read."""
        return self.shape[0] - len(self.unreadable)

    def blocks(self) -> list["PackBlock"]:
        """Give all blocks in order."""
        starts = range(0, self.shape[0], self.block)
        return [
            PackBlock(i, first, min(self.block, self.shape[0] - first))
            for i, first in enumerate(starts)
        ]


@dataclass(frozen=True)
class PackBlock:
    """Rows that are decoded, written and checked together."""

    number: int
    first: int
    rows: int


class DamagedPack(DataError):
    """A pack that is not as it was made; ``contents`` is its index, where that is."""

    def __init__(self, message: str, contents: PackContents | None = None) -> None:
        super().__init__(message)
        self.contents = contents


def rows_in_block(shape: Sequence[int]) -> int:
    """Give the rows of a block: 16 MB of pixels at most, but one image at least."""
    return max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // math.prod(shape[1:])))


def npy_header(shape: Sequence[int]) -> bytes:
    """Give the bytes with which ``images.npy`` begins."""
    buffer = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_2_0(buffer, described)
    return buffer.getvalue()


def images_file_size(shape: Sequence[int]) -> int:
    """Give the bytes of ``images.npy``."""
    return len(npy_header(shape)) + math.prod(shape)


def read_index(folder: Path) -> PackContents:
    """Read a pack's index.

    Raises:
        Damaged: if it is missing or not as it was written; OSError: if it may not be read.
    """
    path = folder / INDEX
    try:
        return from_json(PackContents, load_with_checksum(path), str(path))
    except FileNotFoundError as problem:
        raise DamagedPack(f"{path}: gone") from problem
    except InvalidDescription as problem:
        raise DamagedPack(f"{path}: {problem}") from problem


def write_index(folder: Path, contents: PackContents) -> None:
    """Replace a pack's index; OSError where the disk refuses."""
    write_text(folder / INDEX, dump_with_checksum(asdict(contents)))


def dump_with_checksum(value: Mapping[str, Any]) -> str:
    """Write an object as JSON with the SHA-256 of all of it."""
    return json.dumps({**value, "sha256": _digest(value)}, indent=1) + "\n"


def load_with_checksum(path: Path) -> dict[str, Any]:
    """Read what ``dump_with_checksum`` wrote.

    Raises:
        Damaged: if it is another; OSError: if it may not be read.
    """
    with path.open("rb") as file:
        # Not read up to a bound: that takes the bound's memory, however short the file is.
        large = os.fstat(file.fileno()).st_size > _LARGEST_JSON
        content = b"" if large else file.read()
    try:
        if large:
            raise ValueError("too large")
        value: Any = json.loads(content)
        if not isinstance(value, dict):
            raise ValueError("no object")
        found = cast("dict[str, Any]", value)
        if found.pop("sha256", None) != _digest(found):
            raise ValueError("its checksum is another")
    except (ValueError, RecursionError) as problem:
        raise DamagedPack(f"{path}: not as it was written ({problem})") from problem
    return found


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
