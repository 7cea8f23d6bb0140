"""HDF5 files read as plain data, and written in memory; the one file that imports h5py.

HDF5 can do more than hold arrays: links into other files, arrays stored in other files, filters
loaded as shared libraries, arrays that were never written. Keras's files do none of it, and
everything of it is refused. All that is read together cannot exceed the size of the file. What no
check here sees is a damaged byte that the library itself stumbles over: see ``process``.
"""

import contextlib
import importlib
import io
import math
import struct
from collections.abc import Generator
from types import ModuleType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from resnets.errors import MissingDependency, WeightsError

Array = npt.NDArray[Any]

MOST_NAMES = 100_000
LARGEST_ATTRIBUTE = 64_000
"""Bytes: HDF5 keeps an attribute in its object's header, which ends at 64 KiB."""

_DAMAGED = (
    *(OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, MemoryError),
    *(struct.error, AttributeError, IndexError),
)
"""What h5py raises for one or another damaged byte."""


def import_h5py() -> ModuleType:
    """Return the library.

    Raises:
        MissingDependency: if it cannot be imported.
    """
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        message = f'HDF5 files need h5py: pip install "resnets[hdf5]" ({error})'
        raise MissingDependency(message) from error


@contextlib.contextmanager
def open_hdf5(file: IO[bytes], size: int, *, where: str) -> Generator["Reader"]:
    """Open the HDF5 file of ``size`` bytes behind ``file``; ``where`` names it in errors.

    Raises:
        WeightsError: here and from the reader's methods: if it is no whole HDF5 file, or holds
            what Keras's files do not.
        MissingDependency: if h5py cannot be imported.
    """
    library = import_h5py()
    with _explain_errors(where):
        opened = library.File(file, "r")
    try:
        yield Reader(library, opened, where=where, size=size)
    finally:
        with _explain_errors(where):
            opened.close()


@contextlib.contextmanager
def _explain_errors(where: str) -> Generator[None]:
    try:
        yield
    except _DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(f"{where}: not a whole HDF5 file ({reason})") from error


class Reader:
    """Reads what is at a path such as ``layers/conv2d/vars/0``; see ``open_hdf5`` for errors."""

    def __init__(self, library: ModuleType, file: Any, *, where: str, size: int) -> None:
        self._library, self._file, self._where, self._left = library, file, where, size

    def has(self, path: str) -> bool:
        """Return whether something is there."""
        parent, _, name = path.rpartition("/")
        with _explain_errors(self._where):
            return name in self._at(parent)

    def names(self, path: str = "") -> list[str]:
        """What is in the group there; empty for an array."""
        with _explain_errors(self._where):
            group = self._at(path)
            if not isinstance(group, self._library.Group):
                return []
            if len(group) > MOST_NAMES:
                raise WeightsError(f"{self._where}: {path!r} holds over {MOST_NAMES} parts")
            return [str(name) for name in group]

    def array(self, path: str) -> Array:
        """The numbers there, in native byte order."""
        with _explain_errors(self._where):
            dataset = self._at(path)
            if not isinstance(dataset, self._library.Dataset):
                raise WeightsError(f"{self._where}: {path!r} is no array")
            self._check(dataset, path)
            values = np.asarray(dataset[()])
            return values.astype(values.dtype.newbyteorder("="), copy=False)

    def texts(self, path: str, attribute: str) -> list[str]:
        """The texts of an attribute; empty without it.

        Keras cuts a long list into attributes of the same name with 0, 1, 2 and so on behind.
        """
        with _explain_errors(self._where):
            attributes = self._at(path).attrs
            if attribute in attributes:
                return self._texts(attributes, attribute)
            found: list[str] = []
            part = 0
            while f"{attribute}{part}" in attributes and len(found) <= MOST_NAMES:
                found += self._texts(attributes, f"{attribute}{part}")
                part += 1
            return found

    def _texts(self, attributes: Any, name: str) -> list[str]:
        stored = attributes.get_id(name)
        count = math.prod(stored.shape)
        if not count:
            return []
        if count > MOST_NAMES or stored.get_storage_size() > self._left:
            raise WeightsError(f"{self._where}: the attribute {name!r} is larger than the file")
        values = np.asarray(attributes[name], object).reshape(-1)
        return [v.decode() if isinstance(v, bytes) else str(v) for v in values]

    def _at(self, path: str) -> Any:
        place = self._file
        for name in filter(None, path.split("/")):
            link = place.get(name, getlink=True)
            if link is None:
                raise WeightsError(f"{self._where}: {path!r} is missing")
            if not isinstance(link, self._library.HardLink):
                raise WeightsError(f"{self._where}: {path!r} is a link elsewhere, not followed")
            place = place[name]
        return place

    def _check(self, dataset: Any, path: str) -> None:
        """Reject what is not a plain array of numbers, whole in this file."""
        shape, kind = dataset.shape, dataset.dtype
        if shape is None or kind.kind not in "fiub" or kind.itemsize > 8:
            raise WeightsError(f"{self._where}: {path!r} holds {kind}, not numbers")
        if dataset.external or dataset.is_virtual:
            raise WeightsError(f"{self._where}: {path!r} lies in another file, not opened")
        if dataset.id.get_create_plist().get_nfilters():
            raise WeightsError(
                f"{self._where}: {path!r} is compressed; Keras writes its arrays as they are"
            )
        size = math.prod(shape) * kind.itemsize
        if size > self._left:
            raise WeightsError(
                f"{self._where}: {path!r} claims {size:,} bytes for its shape {shape}, more than "
                f"the {self._left:,} that the file has left"
            )
        if dataset.id.get_storage_size() < size:
            raise WeightsError(f"{self._where}: {path!r} was never wholly written")
        self._left -= size


class Writer:
    """Builds an HDF5 file in memory; ``content`` is what belongs on disk.

    Raises:
        MissingDependency: if h5py cannot be imported.
    """

    def __init__(self, content: bytes = b"") -> None:
        self._library = import_h5py()
        self._memory = io.BytesIO(content)
        self._file = self._library.File(self._memory, "r+" if content else "w")

    def put(self, path: str, array: Array) -> None:
        """Put an array at a path; the groups on the way are made."""
        self._file.create_dataset(path, data=array)

    def note(self, path: str, attribute: str, *, value: str) -> None:
        """Set an attribute of one text on the group at ``path``, which is made if missing."""
        self._group(path).attrs[attribute] = value

    def note_all(self, path: str, attribute: str, *, values: list[str]) -> None:
        """Set an attribute of many texts on the group at ``path``, in parts as Keras reads them."""
        attributes = self._group(path).attrs
        texts = np.array([value.encode() for value in values], "S" if values else "S1")
        parts = max(-(-texts.nbytes // LARGEST_ATTRIBUTE), 1)
        if parts == 1:
            attributes[attribute] = texts
            return
        for k, part in enumerate(np.array_split(texts, parts)):
            attributes[f"{attribute}{k}"] = part

    def _group(self, path: str) -> Any:
        return self._file.require_group(path) if path else self._file

    def content(self) -> bytes:
        """Close the file and give its bytes."""
        self._file.close()
        return self._memory.getvalue()
