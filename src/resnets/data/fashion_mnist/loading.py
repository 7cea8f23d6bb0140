"""Fashion-MNIST: 70,000 grey images of clothes, 28×28, in ten classes.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
Machine Learning Algorithms", 2017, arXiv:1708.07747.

The four files are taken from the cache, and fetched into it where they are not there yet. Every
file is checked to the last bit each time that it is read.
"""

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import platformdirs

from resnets import files
from resnets.data.fashion_mnist import idx, published, sources
from resnets.data.fashion_mnist.published import PublishedFile
from resnets.data.fashion_mnist.sources import MissingSourceError, Source
from resnets.data.images import Dataset, Images
from resnets.errors import DataError
from resnets.progress_bar import Announce, silent

VARIABLE = "RESNETS_DATA"
"""The environment variable that names the folder for data sets, in place of the user's cache."""

CLASS_NAMES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

TRAINING_IMAGES = PublishedFile(
    name="train-images-idx3-ubyte",
    dimensions=(60_000, 28, 28),
    sha256="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
)
TRAINING_LABELS = PublishedFile(
    name="train-labels-idx1-ubyte",
    dimensions=(60_000,),
    sha256="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
)
TEST_IMAGES = PublishedFile(
    name="t10k-images-idx3-ubyte",
    dimensions=(10_000, 28, 28),
    sha256="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
)
TEST_LABELS = PublishedFile(
    name="t10k-labels-idx1-ubyte",
    dimensions=(10_000,),
    sha256="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)

FILES = (TRAINING_IMAGES, TRAINING_LABELS, TEST_IMAGES, TEST_LABELS)

_PACKAGE_FOLDER = Path("/usr/share/datasets/fashion-mnist")

SOURCES = (
    sources.installed(_PACKAGE_FOLDER),
    sources.publisher("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
    sources.publisher("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"),
    sources.apt("dataset-fashion-mnist", _PACKAGE_FOLDER),
)
"""Asked in this order for what the cache lacks."""

_ABANDONED = 300.0
"""Seconds without a write after which a part of a file is a killed process's: writing takes 1."""


def load(*, announce: Announce = silent) -> Dataset:
    """Fashion-MNIST: pixels uint8 [n, 28, 28, 1], labels int64 [n], n = 60,000 and 10,000.

    ``announce`` is told, a line at a time, what is fetched and from where. Raises DataError for
    a damaged file in the cache, or if a file cannot be had from any source.
    """
    contents = _obtain(data_folder(), FILES, SOURCES, announce)
    training, training_labels, test, test_labels = (contents[file.name] for file in FILES)

    def read_test() -> Images:
        # From memory, 8 MB packed tight: a cache emptied during a long run cannot spoil its end.
        return _images(test, test_labels)

    return Dataset(
        name="fashion_mnist",
        class_names=CLASS_NAMES,
        training=_images(training, training_labels),
        test=read_test,
    )


def data_folder() -> Path:
    """The folder for data sets: RESNETS_DATA if it is set, else the user's cache."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_cache_path("resnets")


def _images(pixels: bytes, labels: bytes) -> Images:
    return Images(
        pixels=idx.parse(pixels, "images")[..., np.newaxis],
        labels=idx.parse(labels, "labels").astype(np.int64),
    )


def _obtain(
    folder: Path, wanted: Sequence[PublishedFile], asked: Sequence[Source], announce: Announce
) -> dict[str, bytes]:
    """The checked content of every wanted file, by its name; what was missing is now cached."""
    cache = folder / "fashion-mnist"
    _remove_abandoned(cache, wanted)
    contents = _read_cached(folder, wanted)
    if len(contents) == len(wanted):
        return contents
    problems = [f"{folder}: {_cache_lacks(folder, wanted, contents)}"]
    fill = _Filling(cache, contents, announce)
    for source in asked:
        missing = [file for file in wanted if file.name not in contents]
        if not missing:
            break
        try:
            source.fetch(missing, fill.keep, announce)
        except DataError as problem:
            problems.append(f"{source.name}: {problem}")
            if not isinstance(problem, MissingSourceError):
                announce(problems[-1])
    missing = [file for file in wanted if file.name not in contents]
    if missing:
        raise DataError(_nowhere(missing, wanted, problems))
    return contents


class _Filling:
    """Files on their way into the cache and into ``contents``; the latter is what must succeed."""

    def __init__(self, cache: Path, contents: dict[str, bytes], announce: Announce) -> None:
        self._cache = cache
        self._contents = contents
        self._announce = announce
        self._writable = True

    def keep(self, file: PublishedFile, content: bytes) -> None:
        """Take checked content; a cache that refuses it is announced once and then left alone."""
        self._contents[file.name] = content
        if not self._writable:
            return
        try:
            with files.explained(f"{self._cache}: cannot keep {file.name}", DataError):
                self._cache.mkdir(parents=True, exist_ok=True)
                files.write_bytes(self._cache / file.name, content)
        except DataError as problem:
            self._writable = False
            self._announce(f"{problem}; going on from memory, the next run will fetch it again")


def _read_cached(folder: Path, wanted: Sequence[PublishedFile]) -> dict[str, bytes]:
    """The files that the cache has; one that is there but damaged is an error, not a gap.

    Silently fetching over it would hide a failing disk, or undo what somebody did on purpose.
    """
    if os.path.lexists(folder) and not os.path.isdir(folder):  # noqa: PTH112, as in sources.find
        raise DataError(
            f"{folder}: expected a folder for data sets, found something else; see {VARIABLE}"
        )
    contents: dict[str, bytes] = {}
    for file in wanted:
        path = sources.find(file, _cache_folders(folder))
        if path is not None:
            try:
                contents[file.name] = published.read(file, path)
            except DataError as problem:
                remedy = f"Remove {path} and run again to fetch it anew."
                raise DataError(f"{problem}\n{remedy}") from problem
    return contents


def _cache_folders(folder: Path) -> tuple[Path, ...]:
    """Ours, then a folder that somebody filled by hand, then torchvision's."""
    return folder / "fashion-mnist", folder, folder / "FashionMNIST" / "raw"


def _remove_abandoned(cache: Path, wanted: Sequence[PublishedFile]) -> None:
    """Remove the parts of files that killed processes left, and not those being written now."""
    for file in wanted:
        with contextlib.suppress(OSError):
            for part in cache.glob(f".{file.name}.*.part"):
                if time.time() - part.stat().st_mtime > _ABANDONED:
                    part.unlink(missing_ok=True)


def _cache_lacks(folder: Path, wanted: Sequence[PublishedFile], contents: dict[str, bytes]) -> str:
    try:
        next(folder.iterdir(), None)
    except OSError as problem:
        return (problem.strerror or str(problem)).lower()
    return f"has {len(contents)} of the {len(wanted)} files"


def _nowhere(
    missing: Sequence[PublishedFile], wanted: Sequence[PublishedFile], problems: Sequence[str]
) -> str:
    lacking = ", ".join(file.name for file in missing)
    tried = "".join(f"\n  {problem}" for problem in problems)
    names = "".join(f"\n  {file.name}" for file in wanted)
    return (
        f"Fashion-MNIST: no source has {lacking}. Tried:{tried}\n"
        f"Set {VARIABLE} to a folder that holds these files, as they are or with .gz:{names}"
    )
