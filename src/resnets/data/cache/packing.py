"""From a folder of images to its pack: found in the cache, or made there, once.

One process makes a pack, whoever else wants it waits. Where the cache cannot take it, images are
decoded into memory.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import PIL
from PIL import Image

from resnets.data import decoding
from resnets.data.cache import decoders, pack_cache, pack_key
from resnets.data.cache.blocks import ArrayTarget, DecodeRequest, FileTarget
from resnets.data.cache.pack import Pack, open_pack
from resnets.data.cache.pack_index import (
    FORMAT,
    IMAGES,
    DamagedPack,
    PackBlock,
    PackContents,
    npy_header,
    rows_in_block,
)
from resnets.data.cache.pack_unfinished import DISK_FULL_ERRORS, UnfinishedPack
from resnets.data.fashion_mnist.loading import VARIABLE
from resnets.data.images import ArrayStorage, Pixels, Storage
from resnets.errors import DataError
from resnets.progress_bar import Announce, OpenBar

DECODER_VERSION = 1
"""To be raised when ``decoding.open_image`` gives other pixels than before."""

_WORTH_SAYING = 100_000_000
"""Bytes of a pack that takes so long to make that people are told what is going on."""


@dataclass(frozen=True)
class ImageSources:
    """Image files under a folder, and what they become.

    Attributes:
        root: the folder.
        paths: of the files.
        size, channels: of the pixels, as in ``decoding.open_image``.
    """

    root: Path
    paths: Sequence[Path]
    size: int
    channels: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of all images together."""
        return len(self.paths), self.size, self.size, self.channels

    @property
    def bytes(self) -> int:
        """Of all pixels."""
        return int(np.prod(self.shape, dtype=object))

    def names(self) -> list[str]:
        """Give the paths under the root, the same wherever that is moved to."""
        start = "" if self.root == Path() else str(self.root) + os.sep
        return [str(path).removeprefix(start) for path in self.paths]

    def key(self) -> str:
        """Give the name of all that the pixels depend on; ``pack_key`` says of the files what.

        It is the same after the folder was moved on its disk, and another for a copy of it.
        Another Pillow may decode to other pixels.
        """
        limit = Image.MAX_IMAGE_PIXELS
        made_by = [FORMAT, DECODER_VERSION, PIL.__version__, limit, self.size, self.channels]
        return pack_key.compute_key(made_by, self.paths, names=self.names())


@dataclass(frozen=True)
class PackedImages:
    """Decoded images, and what was wrong with the rows that are none."""

    storage: Storage
    unreadable: dict[int, str]


def open_or_create_pack(
    sources: ImageSources, announce: Announce, *, progress: OpenBar
) -> PackedImages:
    """Give the images of ``sources`` from their pack, which is made if there is none.

    Where the cache cannot take it they are decoded into memory, which is said.

    Raises:
        DataError: where neither the disk nor the memory has room for them.
    """
    folder, key = pack_cache.packs_folder(), sources.key()
    try:
        pack = _open_existing(folder / key, key, announce=announce) or _create_pack(
            folder, key, sources=sources, announce=announce, progress=progress
        )
    except OSError as problem:
        return _decode_in_memory(
            sources,
            _explain_failure(problem, folder, sources=sources),
            announce=announce,
            progress=progress,
        )
    return PackedImages(pack, {bad.row: bad.reason for bad in pack.contents.unreadable})


def _format_size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{max(count / 1e6, 0.1):.1f} MB"


def _explain_failure(problem: OSError, folder: Path, *, sources: ImageSources) -> str:
    reason = problem.strerror or str(problem)
    if problem.errno in DISK_FULL_ERRORS:
        reason = f"the disk has no room for {_format_size(sources.bytes)}"
    return (
        f"{folder}: cannot keep the decoded images: {reason}; set {VARIABLE} to a folder "
        "on another disk, or remove packs (resnets data --clear)"
    )


def _open_existing(place: Path, key: str, *, announce: Announce) -> Pack | None:
    if not place.is_dir():
        return None
    try:
        return open_pack(place, key)
    except DamagedPack as problem:
        announce(f"{problem}; what is damaged is decoded anew")
        return None


def _create_pack(
    folder: Path, key: str, *, sources: ImageSources, announce: Announce, progress: OpenBar
) -> Pack:
    """Make the pack, or wait for whoever is making it."""
    folder.mkdir(parents=True, exist_ok=True)
    with _hold_lock(folder, key, announce=announce):
        place, part = folder / key, pack_cache.partial_folder(folder, key)
        damaged: PackContents | None = None
        if place.is_dir():
            try:
                return open_pack(place, key)
            except DamagedPack as problem:
                damaged = problem.contents
            shutil.rmtree(part, ignore_errors=True)
            place.rename(part)
        part.mkdir(exist_ok=True)
        root, shape = str(sources.root.resolve()), sources.shape
        contents = PackContents(key=key, root=root, shape=shape, block=rows_in_block(shape))
        _decode_into_pack(
            UnfinishedPack(part, contents, damaged),
            place,
            sources=sources,
            announce=announce,
            progress=progress,
        )
        part.rename(place)
        return open_pack(place, key)


@contextlib.contextmanager
def _hold_lock(folder: Path, key: str, *, announce: Announce) -> Generator[None]:
    lock = filelock.FileLock(pack_cache.lock_file(folder, key))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        announce(f"another process is decoding these images into {folder / key}; waiting for it")
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


def _decode_into_pack(
    unfinished: UnfinishedPack,
    place: Path,
    *,
    sources: ImageSources,
    announce: Announce,
    progress: OpenBar,
) -> None:
    left = unfinished.remaining_blocks()
    rows, images = sum(block.rows for block in left), len(sources.paths)
    if rows < images:
        announce(f"{images - rows:,} of {images:,} images were decoded before; going on")
    elif sources.bytes >= _WORTH_SAYING:
        announce(f"decoding {images:,} images once, {sources.bytes / 1e9:.1f} GB, to {place}")
    decoder = _decoder_factory(unfinished.folder, sources, rows=rows)
    with unfinished, decoding.silence_decoders(), progress("decoding images", rows) as advance:
        for done in decoders.decode_blocks(
            _decode_requests(sources, left), decoder, advance=advance
        ):
            unfinished.record(done)
    unfinished.finish()


def _decoder_factory(
    part: Path, sources: ImageSources, *, rows: int
) -> Callable[[], decoders.Decoder]:
    path, start = part / IMAGES, len(npy_header(sources.shape))
    if rows < decoders.MIN_IMAGES_FOR_PROCESSES or not decoders.can_start_processes():
        return lambda: decoders.InProcessDecoder(
            sources.size, sources.channels, FileTarget(path, start)
        )
    return lambda: decoders.SubprocessDecoder(path, start, sources.size, sources.channels)


def _decode_requests(sources: ImageSources, left: Sequence[PackBlock]) -> list[DecodeRequest]:
    paths, names = [str(path) for path in sources.paths], sources.names()
    rows = [slice(block.first, block.first + block.rows) for block in left]
    return [
        DecodeRequest(block.number, block.first, paths[part], names[part])
        for block, part in zip(left, rows, strict=True)
    ]


def _decode_in_memory(
    sources: ImageSources, why: str, *, announce: Announce, progress: OpenBar
) -> PackedImages:
    pixels = _allocate_pixels(sources, why)
    announce(f"{why}. Going on from memory; the next run decodes them again")
    shape = sources.shape
    blocks = PackContents(key="", root="", shape=shape, block=rows_in_block(shape)).blocks()
    target, unreadable = ArrayTarget(pixels), dict[int, str]()

    def make_decoder() -> decoders.Decoder:
        return decoders.InProcessDecoder(sources.size, sources.channels, target)

    with decoding.silence_decoders(), progress("decoding images", shape[0]) as advance:
        for done in decoders.decode_blocks(
            _decode_requests(sources, blocks), make_decoder, advance=advance
        ):
            unreadable.update(done.unreadable)
    return PackedImages(ArrayStorage(pixels), unreadable)


def _allocate_pixels(sources: ImageSources, why: str) -> Pixels:
    """Room for all images; DataError rather than a machine that swaps, or a killed process."""
    try:
        owned = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        owned = sources.bytes  # Windows does not say
    try:
        if sources.bytes <= owned:
            return np.zeros(sources.shape, dtype=np.uint8)
        has = f"it is {owned / 1e9:.1f} GB"
    except MemoryError:
        has = "so much is not left"
    n, height, width, _ = sources.shape
    raise DataError(
        f"{why}. The memory has no room either: {n} images of {height}×{width} pixels take "
        f"{sources.bytes / 1e9:.1f} GB, and {has}: choose a smaller size"
    )
