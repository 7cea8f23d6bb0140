"""Which files of a folder are images to be read: the same to train on and to predict."""

import os
from collections.abc import Iterator
from pathlib import Path

from resnets.data import decoding
from resnets.errors import DataError


def find_images(folder: Path) -> tuple[list[Path], int]:
    """The image files at any depth of ``folder``, sorted, and how many other files lie there.

    What is hidden is no image, nor is a pipe, a socket or a device. Links are followed, but none
    that leads back to a folder above or to one that was entered. Raises DataError where a folder
    may not be read.
    """
    files = sorted(_iter_files(folder))
    with decoding.silence_decoders():
        images = [file for file in files if is_visible(file) and decoding.looks_like_image(file)]
    return images, len(files) - len(images)


def is_visible(path: Path) -> bool:
    """Whether a file or folder is the user's own, and not what a system keeps beside theirs."""
    # __MACOSX is what macOS leaves beside the content of every zip file.
    return not path.name.startswith(".") and path.name != "__MACOSX"


def _iter_files(folder: Path) -> Iterator[Path]:
    """Every file at any depth of the visible folders."""
    # A link to a folder above, too, would lead round: and to what other folders are there for.
    entered = {_folder_identity(parent) for parent in folder.resolve().parents}

    def refuse(problem: OSError) -> None:
        raise DataError(f"{problem.filename}: cannot be read: {problem.strerror}") from problem

    for parent, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        if _folder_identity(parent) in entered:
            folders.clear()
            continue
        entered.add(_folder_identity(parent))
        folders[:] = sorted(name for name in folders if is_visible(Path(name)))
        for name in files:
            yield Path(parent, name)


def _folder_identity(folder: Path | str) -> tuple[int, int]:
    status = os.stat(folder)  # noqa: PTH116
    return status.st_dev, status.st_ino
