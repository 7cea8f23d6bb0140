"""A pack: the images of a folder, decoded once, in one file that is read by rows.

A pack is a folder of three files.

| file | content |
|---|---|
| ``images.npy`` | uint8 [n, height, width, channels], NumPy's own format: ``np.load`` maps it |
| ``index.json`` | what lies there, checksums of its blocks, the images that could not be read |
| ``answers.json`` | figures that take a pass over all images: fingerprints, means |

Both JSON files are objects with a field ``sha256``: that of the other fields, as JSON with sorted
keys and no spaces. Those of ``index.json`` are ``pack_index.PackContents``. Rows lie in blocks,
each with its CRC-32. A row that could not be read is zeros. A pack is as it was made while
``images.npy`` has the size and the modification time that the index says; where only the time
differs, as it does after copying, the checksums decide.

Rows are read by positioned reads, each batch announced to the system first, and not through a
map of the file. Of a set larger than memory that is 20 times as fast (images of 224 px a second,
page cache a third of the file: 2,071; through a map, 96), of one in memory as fast, and what was
read does not count as the process's memory.
"""

import contextlib
import math
import os
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from resnets.data.cache.pack_index import (
    ANSWERS,
    IMAGES,
    INDEX,
    DamagedPack,
    PackBlock,
    PackContents,
    dump_with_checksum,
    images_file_size,
    load_with_checksum,
    npy_header,
    read_index,
    write_index,
)
from resnets.data.images import Index, Pixels
from resnets.errors import DataError
from resnets.files import write_text


class Pack:
    """A pack that was found as it was made, open for reading; a ``Storage``."""

    def __init__(self, folder: Path, contents: PackContents) -> None:
        self.folder, self.contents = folder, contents
        n, height, width, channels = contents.shape
        self._shape = (n, height, width, channels)
        self._start, self._size = len(npy_header(self._shape)), height * width * channels
        # Kept open: whoever clears the cache meanwhile does not end the run.
        self._file = os.open(folder / IMAGES, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._file)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self._shape

    def read(self, rows: Index) -> Pixels:
        """Copy the images of ``rows``, in their order.

        Raises:
            DataError: where the disk refuses, or the file was cut meanwhile.
        """
        path = self.folder / IMAGES
        if not hasattr(os, "preadv"):  # Windows
            return np.take(np.load(path, mmap_mode="r"), rows, axis=0)
        pixels = np.empty((len(rows), *self._shape[1:]), np.uint8)
        try:
            self._fill(pixels, rows.tolist())
        except OSError as problem:
            raise DataError(f"{path}: cannot be read: {problem.strerror or problem}") from problem
        return pixels

    def _fill(self, pixels: Pixels, rows: list[int]) -> None:
        file, size = self._file, self._size
        if hasattr(os, "posix_fadvise"):
            # All of them are on their way before the first is waited for.
            for row in rows:
                os.posix_fadvise(file, self._start + row * size, size, os.POSIX_FADV_WILLNEED)
        view = pixels.reshape(-1).data
        for place, row in enumerate(rows):
            done = 0
            while done < size:
                wanted = view[place * size + done : (place + 1) * size]
                got = os.preadv(file, [wanted], self._start + row * size + done)
                if got == 0:
                    raise OSError(f"it ends before image {row}; run again to decode it anew")
                done += got

    def cached(self, key: str, compute: Callable[[], Any]) -> Any:
        answers = self._answers()
        if key not in answers:
            given = compute()
            answers = {**self._answers(), key: given}
            with contextlib.suppress(OSError):  # a cache that others own
                write_text(self.folder / ANSWERS, dump_with_checksum(answers))
        return answers[key]

    def _answers(self) -> dict[str, Any]:
        try:
            return load_with_checksum(self.folder / ANSWERS)
        except (OSError, DamagedPack):
            return {}


def open_pack(folder: Path, key: str) -> Pack:
    """Open a pack and check it.

    Raises:
        Damaged: if it is not as it was made; says what is wrong.
        OSError: if it may not be read.
    """
    contents = read_index(folder)
    if contents.key != key or not contents.checksums:
        raise DamagedPack(f"{folder / INDEX}: that of another pack")
    path = folder / IMAGES
    if not path.is_file():
        raise DamagedPack(f"{path}: gone", contents)
    found, wanted = path.stat(), images_file_size(contents.shape)
    if found.st_size != wanted:
        raise DamagedPack(f"{path}: {found.st_size:,} bytes, not {wanted:,}", contents)
    if found.st_mtime_ns != contents.modified:
        contents = _recheck(folder, contents, modified=found.st_mtime_ns)
    with contextlib.suppress(OSError):
        os.utime(folder / INDEX)  # when it was last used
    return Pack(folder, contents)


def _recheck(folder: Path, contents: PackContents, *, modified: int) -> PackContents:
    """Compare all blocks with their checksums, and remember that they were."""
    known = zip(contents.blocks(), contents.checksums, strict=True)
    wrong = sum(not same for _, same in compare_checksums(folder, contents, known=known))
    if wrong:
        blocks = f"{wrong} of {len(contents.checksums)} blocks"
        raise DamagedPack(f"{folder / IMAGES}: altered in {blocks}", contents)
    contents = replace(contents, modified=modified)
    with contextlib.suppress(OSError):
        write_index(folder, contents)
    return contents


def compare_checksums(
    folder: Path, contents: PackContents, *, known: Iterable[tuple[PackBlock, int]]
) -> Iterator[tuple[PackBlock, bool]]:
    """Say of blocks, each with the checksum it should have, whether the file still has them."""
    start, size = len(npy_header(contents.shape)), math.prod(contents.shape[1:])
    with (folder / IMAGES).open("rb", buffering=0) as file:
        intact = file.read(start) == npy_header(contents.shape)
        for block, checksum in known:
            file.seek(start + block.first * size)
            yield block, intact and zlib.crc32(file.read(block.rows * size)) == checksum
