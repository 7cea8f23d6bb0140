"""A pack that is being made, and can be gone on with after a kill.

It is a folder ``KEY.part`` beside its place: ``images.npy`` in full size, ``index.json`` without
checksums, which says whose images they are, and ``done.jsonl``, a line for each block that is
decoded. After a kill, blocks are believed whose checksum fits what the
file holds, so nothing but the last step needs the disk to be in step. That is to rename the folder.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from resnets.data.cache.blocks import DecodedBlock
from resnets.data.cache.pack import compare_checksums
from resnets.data.cache.pack_index import (
    IMAGES,
    PackBlock,
    PackContents,
    UnreadableImage,
    images_file_size,
    npy_header,
    write_index,
)
from resnets.files import write_text

JOURNAL = "done.jsonl"

DISK_FULL_ERRORS = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
"""Numbers of the errors that say that a disk is full, or one's share of it."""

_LEFT_FREE = 1_000_000_000
"""Bytes that a pack leaves free on its disk: the run has to save its state there, too."""


class UnfinishedPack:
    """Owns the folder; a context within which blocks that are done can be noted."""

    def __init__(self, folder: Path, contents: PackContents, damaged: PackContents | None) -> None:
        """Take over what is whole there, and make room for the rest.

        ``damaged`` is the index of the pack that lay there; None where a killed process left it.

        Raises:
            OSError: where there is no room, or the disk refuses.
        """
        self.folder, self._contents = folder, contents
        self._done = _find_whole_blocks(folder, contents, damaged=damaged)
        _allocate_images(folder, contents)
        self._journal: IO[bytes] | None = None

    def remaining_blocks(self) -> list[PackBlock]:
        """Give the blocks that are to be decoded."""
        return [block for block in self._contents.blocks() if block.number not in self._done]

    def __enter__(self) -> Self:
        path = self.folder / JOURNAL
        write_text(path, "".join(_journal_line(block) for block in self._done.values()))
        self._journal = path.open("ab")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._journal is not None
        self._journal.close()

    def record(self, block: DecodedBlock) -> None:
        """Note that a block is decoded and written."""
        assert self._journal is not None
        self._done[block.block] = block
        self._journal.write(_journal_line(block).encode())
        self._journal.flush()

    def finish(self) -> None:
        """Put everything on the disk, the index last; all blocks must be done."""
        with (self.folder / IMAGES).open("r+b") as file:
            os.fsync(file.fileno())
            modified = os.fstat(file.fileno()).st_mtime_ns
        done = [self._done[block.number] for block in self._contents.blocks()]
        bad = [(row, reason) for block in done for row, reason in block.unreadable.items()]
        contents = replace(
            self._contents,
            checksums=tuple(block.checksum for block in done),
            unreadable=tuple(
                UnreadableImage(row=row, reason=reason) for row, reason in sorted(bad)
            ),
            modified=modified,
        )
        write_index(self.folder, contents)
        (self.folder / JOURNAL).unlink()


def _journal_line(block: DecodedBlock) -> str:
    return json.dumps(block.to_json()) + "\n"


def _find_whole_blocks(
    folder: Path, contents: PackContents, *, damaged: PackContents | None
) -> dict[int, DecodedBlock]:
    """The blocks that a killed process, or a damaged pack, left whole."""
    if not (folder / IMAGES).is_file():
        return {}
    noted = _read_journal(folder) if damaged is None else _undamaged_blocks(damaged, contents)
    blocks = contents.blocks()
    known = {done.block: done for done in noted if 0 <= done.block < len(blocks)}
    pairs = ((blocks[number], done.checksum) for number, done in known.items())
    same = [
        block.number for block, same in compare_checksums(folder, contents, known=pairs) if same
    ]
    return {number: known[number] for number in same}


def _read_journal(folder: Path) -> Iterator[DecodedBlock]:
    """The journal's whole lines."""
    with contextlib.suppress(FileNotFoundError), (folder / JOURNAL).open("rb") as file:
        for line in file:
            with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
                yield DecodedBlock.from_json(json.loads(line))


def _undamaged_blocks(damaged: PackContents, contents: PackContents) -> Iterator[DecodedBlock]:
    if (damaged.shape, damaged.block) != (contents.shape, contents.block):
        return
    reasons = {bad.row: bad.reason for bad in damaged.unreadable}
    for block, checksum in zip(damaged.blocks(), damaged.checksums, strict=True):
        rows = range(block.first, block.first + block.rows)
        yield DecodedBlock(
            block.number, checksum, {row: reasons[row] for row in rows if row in reasons}
        )


def _allocate_images(folder: Path, contents: PackContents) -> None:
    """Give ``images.npy`` its size and its space on the disk: what is full is full now."""
    path, size = folder / IMAGES, images_file_size(contents.shape)
    path.open("ab").close()
    with path.open("r+b") as file:
        held = getattr(os.fstat(file.fileno()), "st_blocks", 0) * 512
        missing = max(0, size - held)
        if shutil.disk_usage(folder).free < missing + min(missing, _LEFT_FREE):
            shutil.rmtree(folder, ignore_errors=True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_index(folder, contents)  # in time for whoever asks whose it is, after a kill
        file.truncate(size)
        if hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as problem:
                if problem.errno in DISK_FULL_ERRORS:
                    raise
        file.write(npy_header(contents.shape))
