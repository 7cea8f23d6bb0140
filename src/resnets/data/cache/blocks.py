"""A block of a pack: its images decoded, and written to where they belong."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from resnets.data.decoding import open_image
from resnets.data.images import Pixels
from resnets.errors import DataError

Begin = Callable[[int], None]
"""Takes the row of each image before it is decoded."""


@dataclass(frozen=True)
class DecodeRequest:
    """Decode a block.

    Attributes:
        block: its number.
        first: its first row.
        paths, names: of its images; a name is what errors call the image.
        skipped: rows that are not to be tried, and why.
    """

    block: int
    first: int
    paths: Sequence[str]
    names: Sequence[str]
    skipped: Mapping[int, str] = field(default_factory=dict[int, str])

    def to_json(self) -> list[Any]:
        """Give JSON values."""
        pairs = list(self.skipped.items())
        return [self.block, self.first, list(self.paths), list(self.names), pairs]

    @staticmethod
    def from_json(value: list[Any]) -> "DecodeRequest":
        """Read what ``to_json`` gave."""
        block, first, paths, names, given_up = value
        return DecodeRequest(block, first, paths, names, dict(given_up))


@dataclass(frozen=True)
class DecodedBlock:
    """A block that is decoded and written: its CRC-32, and what was wrong with which rows."""

    block: int
    checksum: int
    unreadable: Mapping[int, str]

    def to_json(self) -> dict[str, Any]:
        """Give JSON values."""
        pairs = list(self.unreadable.items())
        return {"block": self.block, "checksum": self.checksum, "unreadable": pairs}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> "DecodedBlock":
        """Read what ``to_json`` gave; ValueError, TypeError or KeyError if it is another."""
        unreadable = {int(row): str(reason) for row, reason in value["unreadable"]}
        return DecodedBlock(int(value["block"]), int(value["checksum"]), unreadable)


class Target(Protocol):
    """Where decoded rows go."""

    def write(self, first: int, pixels: Pixels) -> None:
        """Write rows from ``first`` on; OSError where the disk refuses."""
        ...

    def close(self) -> None:
        """Be done with it."""
        ...


@dataclass(frozen=True)
class ArrayTarget:
    """Rows of an array."""

    pixels: Pixels

    def write(self, first: int, pixels: Pixels) -> None:
        self.pixels[first : first + len(pixels)] = pixels

    def close(self) -> None:
        pass


class FileTarget:
    """Rows of a file, the first of which lies at ``start``."""

    def __init__(self, path: Path, start: int) -> None:
        # Never a map: writing where the disk is full would kill the process.
        self._file = path.open("r+b", buffering=0)
        self._start = start

    def close(self) -> None:
        self._file.close()

    def write(self, first: int, pixels: Pixels) -> None:
        self._file.seek(self._start + first * pixels[0].nbytes)
        rest = pixels.reshape(-1).data
        while rest:
            rest = rest[self._file.write(rest) :]


def decode_block(
    request: DecodeRequest, size: int, *, channels: int, target: Target, begin: Begin
) -> DecodedBlock:
    """Decode a block and write it; images that cannot be read become zeros, and are named.

    Raises:
        OSError: where the target refuses. MemoryError: where the block itself is too much.
    """
    pixels = np.zeros((len(request.paths), size, size, channels), np.uint8)
    unreadable: dict[int, str] = {}
    for place, (path, name) in enumerate(zip(request.paths, request.names, strict=True)):
        row = request.first + place
        begin(row)
        if row in request.skipped:
            unreadable[row] = request.skipped[row]
            continue
        try:
            pixels[place] = open_image(Path(path), size=size, channels=channels, name=name)
        except DataError as problem:
            unreadable[row] = str(problem)
    target.write(request.first, pixels)
    return DecodedBlock(request.block, zlib.crc32(pixels.data), unreadable)
