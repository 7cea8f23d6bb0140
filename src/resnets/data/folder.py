"""A user's folder of images: one folder a class, with or without a test set of its own."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from resnets.data import listing
from resnets.data.cache import packing
from resnets.data.cache.pack import Pack
from resnets.data.images import Dataset, Images
from resnets.errors import DataError
from resnets.progress_bar import Announce, OpenBar, count_bar, ignore_message

TRAINING_NAMES = ("train", "training")
TEST_NAMES = ("test", "val", "valid", "validation")
"""Names of the folder that holds the test set, the preferred first."""

HELD_OUT, _TOLERANCE = 0.2, 0.05
"""Share of each class that becomes the test set where the folder brings none; more or less."""

_NAMES_SHOWN = 3
"""Names of skipped files, or of classes, that are shown."""


@dataclass(frozen=True)
class _ImageList:
    """The image files of one part of the data set, in order, with their class numbers."""

    root: Path
    paths: list[Path]
    labels: list[int]
    ignored: int


def load_folder(
    path: Path | str,
    *,
    size: int,
    channels: int = 3,
    announce: Announce = ignore_message,
    progress: OpenBar = count_bar,
) -> Dataset:
    """The images under ``path``: pixels uint8 [n, size, size, channels], labels int64 [n].

    They are decoded once and kept in a pack (``packing``), from which they are read by rows.

    ``path`` holds a folder for each class, or a folder ``train`` (``training``) that does and,
    if there is one, a ``test`` (``val``, ``valid``, ``validation``) with the same classes. Images
    lie at any depth under their class; ``decoding.open_image`` says how each is opened. Without
    a test folder about a fifth of each class is held out (15 to 25%, one image at least), each
    image by its own name: what is added or removed later moves hardly any other.

    ``announce`` is told what was held out, skipped or ignored; ``progress`` opens the bar.
    Raises DataError where the folder is not such a one, a class has no readable image, or neither
    the disk nor the memory has room for the pixels.
    """
    root = Path(path).expanduser()
    training_root, test_root = _find_roots(root, announce)
    names = _class_names(training_root)
    if test_root is not None:
        _check_same_classes(training_root, names, test_root=test_root)
    parts = [_list_images(part, names) for part in (training_root, test_root) if part is not None]
    if ignored := sum(part.ignored for part in parts):
        announce(f"{root}: ignored {ignored} files that are hidden or not images")
    for part in parts:
        _check_no_empty_class(part, names)
    paths = [path for part in parts for path in part.paths]
    labels = np.array([label for part in parts for label in part.labels], dtype=np.int64)
    packed = packing.open_or_create_pack(
        packing.ImageSources(root, paths, size, channels), announce, progress=progress
    )
    reasons = [packed.unreadable[row] for row in sorted(packed.unreadable)]
    _announce_unreadable(root, reasons, kept=isinstance(packed.storage, Pack), announce=announce)
    readable = np.ones(len(paths), dtype=np.bool_)
    readable[list(packed.unreadable)] = False
    test = np.arange(len(paths)) >= len(parts[0].paths)
    for part, rows in zip(parts, (~test, test), strict=False):
        _check_every_class(part.root, names, labels=labels[rows & readable])
    if test_root is None:
        below = packing.ImageSources(training_root, paths, size, channels).names()
        test = _hold_out(below, labels, readable=readable)
        _announce_held_out(
            root, names, labels=labels, readable=readable, test=test, announce=announce
        )
    training, tested = (np.flatnonzero(readable & part) for part in (~test, test))
    held = Images(packed.storage, labels[tested], tested)
    return Dataset(
        name=root.resolve().name,
        class_names=names,
        training=Images(packed.storage, labels[training], training),
        test=lambda: held,
        image_name=lambda number: str(paths[int(training[number])]),
    )


def _find_roots(root: Path, announce: Announce) -> tuple[Path, Path | None]:
    """The folders that hold the class folders: of the training set, and of the test set if any.

    A class may well be called train; then its folder holds images, and has neighbours.
    """
    folders = {folder.name.lower(): folder for folder in _subfolders(root)}
    trains = [folders[name] for name in TRAINING_NAMES if name in folders]
    tests = [folders[name] for name in TEST_NAMES if name in folders]
    parted = bool(folders) and len(trains) + len(tests) == len(folders)
    if not (parted or any(_subfolders(train) for train in trains)):
        return root, None
    if len(trains) != 1:
        found = ", ".join(str(folder) for folder in trains or tests)
        raise DataError(
            f"{root}: expected one folder of training images (train or training), found {found}"
        )
    test = tests[0] if tests else None
    others = sorted({*folders.values()} - {trains[0], test})
    aside = f"; not used: {', '.join(other.name for other in others)}" if others else ""
    announce(f"{root}: training on {trains[0].name}, testing on {test and test.name}{aside}")
    return trains[0], test


def _subfolders(folder: Path) -> list[Path]:
    """Its visible folders by name; DataError where it is none or may not be read."""
    if not folder.exists():
        raise DataError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of images, found a file")
    try:
        return sorted(
            entry for entry in folder.iterdir() if listing.is_visible(entry) and entry.is_dir()
        )
    except OSError as problem:
        raise DataError(f"{folder}: cannot be read: {problem.strerror}") from problem


def _class_names(root: Path) -> tuple[str, ...]:
    names = tuple(folder.name for folder in _subfolders(root))
    if not names:
        raise DataError(
            f"{root}: expected a folder for each class, such as {root / 'cat'} and "
            f"{root / 'dog'}; found no folders"
        )
    if len(names) == 1:
        raise DataError(f"{root}: expected at least two classes, found one: {names[0]}")
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:  # it has to be written into files of text
            shown = os.fsencode(name).decode(errors="backslashreplace")
            message = f"{root}: the class folder {shown} has a name that is no UTF-8; rename it"
            raise DataError(message) from None
    return names


def _check_same_classes(training_root: Path, names: Sequence[str], *, test_root: Path) -> None:
    found = {folder.name for folder in _subfolders(test_root)}
    only = [
        f"only in {root}: {', '.join(sorted(rest))}"
        for root, rest in (
            (training_root, set(names) - found),
            (test_root, found - set(names)),
        )
        if rest
    ]
    if only:
        raise DataError(f"{test_root}: expected the classes of {training_root}; {'; '.join(only)}")


def _list_images(root: Path, names: Sequence[str]) -> _ImageList:
    """The image files of every class, sorted by class and path."""
    listed = _ImageList(root, [], [], 0)
    ignored = 0
    for label, name in enumerate(names):
        images, others = listing.find_images(root / name)
        ignored += others
        listed.paths.extend(images)
        listed.labels.extend([label] * len(images))
    return _ImageList(root, listed.paths, listed.labels, ignored)


def _check_no_empty_class(part: _ImageList, names: Sequence[str]) -> None:
    """DataError where a class has no file, before the others are decoded, which may take hours."""
    found = {*part.labels}
    if empty := [name for label, name in enumerate(names) if label not in found]:
        folders = "folder" if len(empty) == 1 else "folders"
        raise DataError(
            f"{part.root}: found no images in the {folders} {', '.join(empty)}; "
            "add some, or remove the empty class"
        )


def _announce_unreadable(
    root: Path, reasons: Sequence[str], *, kept: bool, announce: Announce
) -> None:
    """Name what was skipped: the first few where a pack keeps the list, else all."""
    if not reasons:
        return
    first = _NAMES_SHOWN if kept else len(reasons)
    shown = "".join(f"\n  {root / reason}" for reason in reasons[:first])
    rest = len(reasons) - first
    more = f"\n  and {rest} more; resnets data --json names all" if rest > 0 else ""
    announce(f"skipped {len(reasons)} unreadable images:{shown}{more}")


def _announce_held_out(
    root: Path,
    names: Sequence[str],
    *,
    labels: npt.NDArray[np.int64],
    readable: npt.NDArray[np.bool_],
    test: npt.NDArray[np.bool_],
    announce: Announce,
) -> None:
    """Say how many images are held out, and of which classes none; DataError if none is.

    What a network makes of a class without a test image is never seen.
    """
    if not test.any():
        raise DataError(
            f"{root}: no class has two images, so none can be held out as the test set; "
            "add images, or a test folder"
        )
    share = f"{test.sum()} of {readable.sum()} images"
    announce(
        f"{root}: no test folder; {share} are held out as the test set, "
        "each by its name: the same each run"
    )
    counts = np.bincount(labels[readable])
    alone = [name for name, count in zip(names, counts, strict=True) if count == 1]
    if len(alone) == 1:
        announce(f"{alone[0]} has one image: it is trained on, never tested")
    elif alone:
        rest = len(alone) - _NAMES_SHOWN
        shown = ", ".join(alone[:_NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
        announce(f"{len(alone)} classes have one image, trained on, never tested: {shown}")


def _check_every_class(root: Path, names: Sequence[str], *, labels: npt.NDArray[np.int64]) -> None:
    counts = np.bincount(labels, minlength=len(names))
    if empty := [name for name, count in zip(names, counts, strict=True) if count == 0]:
        raise DataError(f"{root}: no readable image of {', '.join(empty)}")


def _hold_out(
    names: Sequence[str], labels: npt.NDArray[np.int64], *, readable: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Which images become the test set, [n]: of each class about a fifth.

    An image is held out where the hash of its name is low, whatever lies beside it: drawn from the
    list of all, one new file would bring images that a run trained on into its test set. That is
    a fifth on average; a class of few images may be far from it, and those whose hash is next
    fill it up to 15%, or leave it at 25%. There a file more or less can move one other. Of two or
    more images one at least is held out.
    """
    places = np.array([_hash_position(name) for name in names])
    test = np.zeros(len(labels), dtype=np.bool_)
    for label in range(int(labels.max()) + 1):
        rows = np.flatnonzero(readable & (labels == label))
        low = int((places[rows] < HELD_OUT).sum())
        least = max(1, round((HELD_OUT - _TOLERANCE) * len(rows)))
        most = max(least, round((HELD_OUT + _TOLERANCE) * len(rows)))
        count = min(max(low, least), most) if len(rows) > 1 else 0
        test[rows[np.argsort(places[rows], kind="stable")][:count]] = True
    return test


def _hash_position(name: str) -> float:
    """Where a file's name falls between 0 and 1, the same on every machine."""
    content = name.replace(os.sep, "/").encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(content).digest()[:8]) / 2**64
