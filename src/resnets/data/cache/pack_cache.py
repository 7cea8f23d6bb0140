"""Where packs are kept, which there are, and how to be rid of them."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import filelock

from resnets.data.cache.pack_index import INDEX, DamagedPack, read_index
from resnets.data.fashion_mnist.loading import data_folder
from resnets.errors import DataError

_PART, _LOCK, _GONE = ".part", ".lock", ".gone"


def packs_folder() -> Path:
    """Give the folder of all packs: ``packs`` in ``fashion_mnist.data_folder``."""
    return data_folder() / "packs"


def partial_folder(folder: Path, key: str) -> Path:
    """Give where the pack of that key lies while it is being made."""
    return folder / f"{key}{_PART}"


def lock_file(folder: Path, key: str) -> Path:
    """Give the file that whoever makes or removes the pack of that key has locked."""
    return folder / f".{key}{_LOCK}"


@dataclass(frozen=True, kw_only=True)
class PackInfo:
    """A pack in the cache, as it is listed.

    Attributes:
        path: its folder.
        root: the folder of images that it was made from; None where that is not known.
        images: how many it holds; None where it is unfinished or damaged.
        size: pixels of a side; None where that is not known.
        bytes: on the disk.
        used: when it was last opened, in local time.
        unreadable: the images that could not be read, each with the reason.
        state: ``whole``, ``unfinished`` (the next run on that folder goes on), or ``damaged``.
    """

    path: Path
    root: str | None
    images: int | None
    size: int | None
    bytes: int
    used: datetime
    unreadable: tuple[str, ...]
    state: str

    def to_json(self) -> dict[str, Any]:
        """Give JSON values."""
        return {
            **vars(self),
            "path": str(self.path),
            "used": self.used.isoformat(timespec="seconds"),
        }


def list_packs(root: Path | None = None) -> list[PackInfo]:
    """List the packs in the cache, the last used first; only those of the folder ``root``, if any.

    Raises:
        DataError: if the cache may not be read.
    """
    folder = packs_folder()
    try:
        found = [_describe_pack(path) for path in _pack_folders(folder)]
    except OSError as problem:
        raise DataError(f"{folder}: cannot be read: {problem.strerror}") from problem
    if root is not None:
        wanted = str(root.resolve())
        found = [pack for pack in found if pack.root == wanted]
    return sorted(found, key=lambda pack: pack.used, reverse=True)


def clear(root: Path | None = None) -> tuple[list[PackInfo], list[PackInfo]]:
    """Remove what ``list_packs`` lists; give what is removed, and what a process is making just
    now.

    A run that reads a pack goes on with it: on Unix its space is free when the run ends.

    Raises:
        DataError: if one cannot be removed.
    """
    removed: list[PackInfo] = []
    busy: list[PackInfo] = []
    folder = packs_folder()
    for pack in list_packs(root):
        key = pack.path.name.partition(".")[0]
        try:
            with filelock.FileLock(lock_file(folder, key), timeout=0):
                # Renamed first: a pack is there whole, or not at all.
                gone = folder / f"{pack.path.name}{_GONE}"
                if not pack.path.name.endswith(_GONE):
                    if gone.exists():  # left by a removal that was killed
                        shutil.rmtree(gone)
                    pack.path.rename(gone)
                shutil.rmtree(gone if gone.exists() else pack.path)
        except filelock.Timeout:
            busy.append(pack)
        except FileNotFoundError:
            continue  # somebody else was faster
        except OSError as problem:
            raise DataError(f"{pack.path}: cannot be removed: {problem.strerror}") from problem
        else:
            removed.append(pack)
    return removed, busy


def _pack_folders(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield path


def _describe_pack(path: Path) -> PackInfo:
    sizes = [file.stat() for file in path.iterdir() if file.is_file()]
    contents = None
    with contextlib.suppress(DamagedPack):
        contents = read_index(path)
    state = "whole" if contents and contents.checksums else "damaged"
    if path.suffix in (_PART, _GONE):
        state = "unfinished"
    used = (path / INDEX) if (path / INDEX).is_file() else path
    return PackInfo(
        path=path,
        root=contents and contents.root,
        images=contents.images if contents and state == "whole" else None,
        size=contents and contents.shape[1],
        bytes=sum(status.st_size for status in sizes),
        used=datetime.fromtimestamp(used.stat().st_mtime),
        unreadable=tuple(bad.reason for bad in contents.unreadable) if contents else (),
        state=state,
    )
