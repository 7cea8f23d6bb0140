"""Files that their publisher has fixed: known by name, dimensions and digest, and checked so."""

import hashlib
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from resnets import files
from resnets.data.fashion_mnist import idx
from resnets.errors import DataError

_CHUNK = 1 << 16


class Readable(Protocol):
    """Anything bytes come out of, a few at a time; no bytes mean the end."""

    def read(self, count: int, /) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """An IDX file of uint8 as its publisher made it.

    ``sha256`` is of the content itself, not of its gzip form, which differs from one mirror
    to the next.
    """

    name: str
    dimensions: tuple[int, ...]
    sha256: str

    @property
    def size(self) -> int:
        """Bytes of content, header included."""
        return idx.header_size(len(self.dimensions)) + math.prod(self.dimensions)

    def names(self) -> tuple[str, str]:
        """The names it goes by: plain, then packed."""
        return self.name, f"{self.name}.gz"


def check(file: PublishedFile, content: bytes, where: str) -> None:
    """Raise DataError, naming ``where``, unless ``content`` is the published one to the last bit.

    The header goes first: "found 10000×28×28" tells a swapped file better than two digests do.
    """
    idx.check_shape(idx.shape(content, where), file.dimensions, where)
    if len(content) != file.size:
        raise DataError(f"{where}: expected {file.size} bytes, found {_count(content, file)}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise DataError(f"{where}: altered: expected SHA-256 {file.sha256}, found {digest}")


def read(file: PublishedFile, path: Path) -> bytes:
    """The content of ``path``, plain or gzip by its name, checked; DataError for anything else."""
    where = str(path)
    with files.explained(f"{where}: cannot be read", DataError), path.open("rb") as stream:
        if path.suffix == ".gz":
            return unpack(file, stream, where)
        return _read_plain(file, stream, where)


def unpack(file: PublishedFile, stream: Readable, where: str) -> bytes:
    """The content of a gzip stream, checked as it comes and as a whole.

    Never unpacks more than the expected size and one byte, and never reads much more than that
    either, so a hostile stream costs no more than an honest one. Raises DataError; an OSError of
    the stream passes through.
    """
    gzip = zlib.decompressobj(wbits=31)
    limit = file.size + 1
    # Data that cannot be compressed grows by 5 bytes in 16 KiB; the rest is for gzip's header.
    budget = file.size + file.size // 1000 + _CHUNK
    pieces: list[bytes] = []
    length = taken = 0
    while not gzip.eof and length < limit:
        chunk = stream.read(_CHUNK)
        taken += len(chunk)
        if not chunk or taken > budget:
            found = "the end of it" if not chunk else "no end to it"
            raise DataError(
                f"{where}: expected a whole gzip file, found {found} after {taken} bytes "
                f"({length} of {file.size} unpacked)"
            )
        try:
            piece = gzip.decompress(chunk, limit - length)
        except zlib.error as problem:
            raise DataError(
                f"{where}: expected a sound gzip file, found damage within "
                f"the first {taken} bytes ({problem})"
            ) from problem
        pieces.append(piece)
        length += len(piece)
    content = b"".join(pieces)
    check(file, content, where)
    if gzip.unused_data or stream.read(1):
        raise DataError(f"{where}: expected nothing after the gzip data, found more bytes")
    return content


def _read_plain(file: PublishedFile, stream: IO[bytes], where: str) -> bytes:
    found = os.fstat(stream.fileno()).st_size
    content = stream.read(file.size + 1)
    if len(content) > file.size and found > file.size:
        idx.check_shape(idx.shape(content, where), file.dimensions, where)
        raise DataError(f"{where}: expected {file.size} bytes, found {found}")
    check(file, content, where)
    return content


def _count(content: bytes, file: PublishedFile) -> str:
    """What to call the length of content that was read no further than one byte too many."""
    return "more" if len(content) > file.size else str(len(content))
