"""Fashion-MNIST: 70,000 grey images of clothes, 28×28, in ten classes.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
Machine Learning Algorithms", 2017, arXiv:1708.07747.

The four files are read from the data folder, and downloaded into it where they are missing. Their
SHA-256 is compared each time they are read.
"""

import gzip
import hashlib
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs

from resnets import files
from resnets.data.fashion_mnist.download import PublishedFile, download
from resnets.data.images import Dataset, Images
from resnets.errors import DataError
from resnets.progress_bar import Announce, ignore_message

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

FILES = (
    PublishedFile(
        name="train-images-idx3-ubyte",
        size=47_040_016,
        sha256="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    PublishedFile(
        name="train-labels-idx1-ubyte",
        size=60_008,
        sha256="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    PublishedFile(
        name="t10k-images-idx3-ubyte",
        size=7_840_016,
        sha256="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    PublishedFile(
        name="t10k-labels-idx1-ubyte",
        size=10_008,
        sha256="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)

MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
)
"""The publisher's two servers, and Keras's."""

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package ``dataset-fashion-mnist`` installs the files."""


def load(*, announce: Announce = ignore_message) -> Dataset:
    """Return Fashion-MNIST: pixels uint8 [n, 28, 28, 1], labels int64 [n], n = 60,000 and 10,000.

    ``announce`` is told, a line at a time, what is downloaded and from where.

    Raises:
        DataError: if a file is damaged, or is missing and cannot be downloaded.
    """
    contents = _obtain(data_folder(), announce)
    training, training_labels, test, test_labels = (contents[file.name] for file in FILES)

    def read_test() -> Images:
        # From memory, 8 MB: a cache emptied during a long run cannot spoil its end.
        return _images(test, test_labels)

    return Dataset(
        name="fashion_mnist",
        class_names=CLASS_NAMES,
        training=_images(training, training_labels),
        test=read_test,
    )


def data_folder() -> Path:
    """Return the folder for data sets: RESNETS_DATA if it is set, else the user's cache."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else platformdirs.user_cache_path("resnets")


def keep(name: str, content: bytes) -> None:
    """Write a file into the data folder, whole or not at all. Raises OSError."""
    folder = data_folder() / "fashion-mnist"
    folder.mkdir(parents=True, exist_ok=True)
    files.write_bytes(folder / name, content)


def read(file: PublishedFile, path: Path) -> bytes:
    """Return the content of ``path``, which is in gzip form if its name ends with ``.gz``.

    Raises:
        DataError: if the file cannot be read, or its content is not the published one.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            content = stream.read(file.size + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise DataError(f"{path}: cannot be read: {reason or error}") from error
    if len(content) != file.size:
        found = len(content) if len(content) < file.size else "more"
        raise DataError(f"{path}: expected {file.size} bytes, found {found}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise DataError(f"{path}: altered: expected SHA-256 {file.sha256}, found {digest}")
    return content


def _obtain(folder: Path, announce: Announce) -> dict[str, bytes]:
    """Return the content of every file by its name; what was missing is in the cache then."""
    if os.path.lexists(folder) and not os.path.isdir(folder):  # noqa: PTH112, as in find
        raise DataError(
            f"{folder}: expected a folder for data sets, found something else; see {VARIABLE}"
        )
    contents: dict[str, bytes] = {}
    for file in FILES:
        if path := find(file, folder):
            try:
                contents[file.name] = read(file, path)
            except DataError as error:
                # Downloading over it would hide a failing disk, or undo what somebody did.
                remedy = f"Remove {path} and run again to download it."
                raise DataError(f"{error}\n{remedy}") from error
    missing = [file for file in FILES if file.name not in contents]
    try:
        for file, content in download(missing, mirrors=MIRRORS, announce=announce):
            contents[file.name] = content
            try:
                keep(file.name, content)
            except OSError as error:
                reason = f"cannot keep {file.name} in {folder}: {error.strerror or error}"
                announce(f"{reason}; the next run downloads it again")
    except DataError as error:
        names = ", ".join(file.name for file in FILES)
        raise DataError(
            f"Fashion-MNIST: {error}\n"
            f"Put {names}, as they are or with .gz, into {folder / 'fashion-mnist'}, or set "
            f"{VARIABLE} to a folder that holds them."
        ) from error
    return contents


def find(file: PublishedFile, folder: Path) -> Path | None:
    """Return where the file lies, plain or in gzip form; None if it lies nowhere."""
    # Ours, then a folder that somebody filled by hand, torchvision's, and Debian's.
    places = folder / "fashion-mnist", folder, folder / "FashionMNIST" / "raw", DEBIAN_FOLDER
    for place in places:
        for name in (file.name, f"{file.name}.gz"):
            # Not Path.is_file: it raises for a forbidden folder until Python 3.14.
            if os.path.isfile(place / name):  # noqa: PTH113
                return place / name
    return None


def _images(pixels: bytes, labels: bytes) -> Images:
    return Images(_parse_idx(pixels)[..., np.newaxis], _parse_idx(labels).astype(np.int64))


def _parse_idx(content: bytes) -> npt.NDArray[np.uint8]:
    """Return the array in an IDX file: four bytes, the last the number of dimensions; these,
    big-endian; the values. ``content`` has the published SHA-256, so its header is right.
    """
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    # A copy, since frombuffer's view is read-only and frameworks warn about that.
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()
