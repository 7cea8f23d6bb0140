"""What every source of images gives: pixels and labels as plain arrays, in memory or out of it."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""Images, [n, height, width, channels], 0 to 255."""

Labels = npt.NDArray[np.int64]
"""Class numbers, [n], from 0."""

Index = npt.NDArray[np.int64]
"""Numbers of images, [n], from 0."""

_CHUNK_BYTES = 1 << 25
"""Bytes of pixels that are held at once where all are gone through."""

_BATCHES_AHEAD = 2
"""Readings that wait to be asked for: what is asked for now, and what comes after."""


class Storage(Protocol):
    """Images of one size that are read by their rows: a pack on disk, or an array."""

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number, height, width, channels."""
        ...

    def read(self, rows: Index) -> Pixels:
        """Copy the images of ``rows``, in their order; DataError where they cannot be read."""
        ...

    def cached(self, key: str, compute: Callable[[], Any]) -> Any:
        """Give the answer kept for a question, or what ``compute`` gives, then kept; JSON's types.

        The question names all that the answer depends on besides the pixels.
        """
        ...


@dataclass(frozen=True)
class ArrayStorage:
    """A store in memory, for what no disk has room for."""

    pixels: Pixels

    @property
    def shape(self) -> tuple[int, int, int, int]:
        n, height, width, channels = self.pixels.shape
        return n, height, width, channels

    def read(self, rows: Index) -> Pixels:
        return self.pixels[rows]

    def cached(self, key: str, compute: Callable[[], Any]) -> Any:
        del key  # what is in memory is gone with the process
        return compute()


class Images:
    """Labelled images of one size: an array, or rows of a store that are read when asked for.

    Attributes:
        labels: class numbers, [n].
    """

    def __init__(
        self, pixels: "Pixels | Storage", labels: Labels, rows: "Index | None" = None
    ) -> None:
        """Take an array, or a store of which ``rows`` [n] are these images (None: all of it)."""
        self.labels = labels
        self._array = pixels if isinstance(pixels, np.ndarray) else None
        self._store = pixels if not isinstance(pixels, np.ndarray) else ArrayStorage(pixels)
        self._rows = np.arange(self._store.shape[0]) if rows is None else rows
        self._expected: list[tuple[Index, Future[Pixels]]] = []
        self._reader: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number, height, width, channels; known without reading."""
        return (len(self), *self._store.shape[1:])

    @property
    def in_memory(self) -> bool:
        """Whether ``pixels`` is there at no cost."""
        return self._array is not None

    @property
    def pixels(self) -> Pixels:
        """All pixels. Of a store they are read anew: ask for parts where it may be large."""
        return self._array if self._array is not None else self._store.read(self._rows)

    def __getitem__(self, index: "Index | slice") -> "Images":
        """Read some of the images into memory."""
        if self._array is not None:
            return Images(self._array[index], self.labels[index])
        rows = self._rows[index]
        return Images(self._take_rows(rows), self.labels[index])

    def _take_rows(self, rows: Index) -> Pixels:
        for place, (expected, pixels) in enumerate(self._expected):
            if np.array_equal(expected, rows):
                del self._expected[: place + 1]
                return pixels.result()
        del self._expected[:-1]  # the last may be what comes after this
        return self._store.read(rows)

    def subset(self, index: Index) -> "Images":
        """Give some of the images; those of a store stay there."""
        if self._array is not None:
            return self[index]
        return Images(self._store, self.labels[index], self._rows[index])

    def prefetch(self, index: "Index | slice") -> None:
        """Begin to read what is asked for next, while the caller does something else.

        It may be called before what is asked for first is read. Asking for anything else than
        what was expected is as right, and slower; nothing is read for those who do not ask.
        """
        if self._array is not None or len(self._expected) >= _BATCHES_AHEAD:
            return
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="reading images")
        rows = self._rows[index]
        self._expected.append((rows, self._reader.submit(self._store.read, rows)))

    def iter_chunks(self) -> Iterator[Pixels]:
        """Go through all pixels in order, a few megabytes at a time."""
        count = max(1, _CHUNK_BYTES // max(1, int(np.prod(self.shape[1:]))))
        for start in range(0, len(self), count):
            piece = slice(start, start + count)
            if self._array is not None:
                yield self._array[piece]
            else:
                yield self._store.read(self._rows[piece])

    def cached(self, key: str, compute: Callable[[], Any]) -> Any:
        """Give what a store keeps as the answer to a question on these images; see ``Storage``."""
        if self._array is not None:
            return compute()
        rows = hashlib.sha256(np.ascontiguousarray(self._rows).data).hexdigest()
        return self._store.cached(f"{key} of {rows}", compute)


def numbered_image_name(number: int) -> str:
    """Name a training image that has no file of its own."""
    return f"training image {number}"


@dataclass(frozen=True)
class Dataset:
    """A named data set: images to train on, images to test on, and what the classes are called.

    ``test`` is a function because the test set is read once, at the end of a run; a source
    checks the test files when it is opened, so that the call cannot fail hours later.
    ``image_name``
    names the training image of a number: its path, where it has one.
    """

    name: str
    class_names: tuple[str, ...]
    training: Images
    test: Callable[[], Images]
    image_name: Callable[[int], str] = numbered_image_name

    @property
    def channels(self) -> int:
        """1 for grey images, 3 for colour."""
        return self.training.shape[3]
