"""Downloading files of known content from the first of several mirrors that has them."""

import importlib
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from resnets.errors import DataError
from resnets.progress_bar import Advance, Announce, bytes_bar

_CONNECTING, _WAITING = 3.0, 10.0
"""Seconds to wait for a connection, and for the next bytes of one."""

_CHUNK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file whose content its publisher has fixed.

    ``size`` and ``sha256`` are of the content itself, not of its gzip form, which differs from
    one mirror to the next.
    """

    name: str
    size: int
    sha256: str


def download(
    wanted: Sequence[PublishedFile], *, mirrors: Sequence[str], announce: Announce
) -> Iterator[tuple[PublishedFile, bytes]]:
    """Yield each file with its content, which has the published SHA-256.

    A mirror is the address of a folder that has the files in gzip form, ending with a slash. The
    mirrors are asked in their order. One that does not answer, or refuses, is not asked again; one
    that sends something wrong gets a second chance after the others.

    Raises:
        DataError: if no mirror has a file; the message gives each mirror's reason.
    """
    alive, reasons = list(mirrors), dict[str, str]()
    for file in wanted:
        for mirror in (*alive, *alive):
            if mirror not in alive:
                continue
            url = f"{mirror}{file.name}.gz"
            announce(f"downloading {url}")
            with bytes_bar(file.name, file.size) as advance:
                unpacker = _Unpacker(file.size, advance)
                try:
                    content = _retrieve(file, url, unpacker)
                    break
                except (OSError, ValueError, zlib.error) as error:
                    reasons[mirror] = _explain(error)
                    if _is_final(error):
                        alive.remove(mirror)
            announce(f"{url}: {reasons[mirror]}")
        else:
            tried = "".join(f"\n  {mirror}: {reason}" for mirror, reason in reasons.items())
            raise DataError(f"cannot download {file.name}:{tried}")
        yield file, content


def _retrieve(file: PublishedFile, url: str, unpacker: "_Unpacker") -> bytes:
    # Imported here as it takes 0.2 s and mostly the files are there; it has no type stubs.
    pooch: Any = importlib.import_module("pooch")

    def fetch(url: str, output_file: str, _pooch: object) -> None:
        http = pooch.HTTPDownloader(timeout=(_CONNECTING, _WAITING), chunk_size=_CHUNK)
        with Path(output_file).open("wb") as unpacker.file:
            http(url, unpacker, None)

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # it would repeat what is announced
    try:
        # In a folder of its own: pooch leaves a half file behind when it is killed.
        with tempfile.TemporaryDirectory(prefix="resnets-") as folder:
            path = pooch.retrieve(
                url, f"sha256:{file.sha256}", fname=file.name, path=folder, downloader=fetch
            )
            return Path(path).read_bytes()
    finally:
        logger.setLevel(level)


class _Unpacker:
    """The file that a downloader writes to; unpacks gzip into ``file`` on the way.

    Raises ValueError as soon as more arrives than the content can take, so that a hostile server
    fills no disk.
    """

    file: IO[bytes]

    def __init__(self, size: int, advance: Advance) -> None:
        self.received = self.written = 0
        self._size = size
        self._advance = advance
        self._gzip = zlib.decompressobj(wbits=31)

    def write(self, chunk: bytes) -> None:
        self.received += len(chunk)
        piece = self._gzip.decompress(chunk, self._size - self.written + 1)
        self.written += len(piece)
        # Data that cannot be compressed grows by 5 bytes in 16 KiB; the rest is for the header.
        if self.written > self._size or self.received > self._size * 1.001 + _CHUNK:
            raise ValueError(f"sends more than the {self._size} bytes of the file")
        self.file.write(piece)
        self._advance(len(piece))

    def flush(self) -> None:
        """Do nothing: the file is flushed when it is closed."""


def _is_final(error: Exception) -> bool:
    """Return whether a mirror is out of reach or lacks a file, rather than sent it wrong."""
    import requests  # comes with pooch

    return isinstance(error, requests.ConnectionError | requests.Timeout | requests.HTTPError)


def _explain(error: BaseException) -> str:
    """Return why a download failed: the first cause, without the layers of requests around it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
