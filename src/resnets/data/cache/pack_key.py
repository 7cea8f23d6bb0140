"""What tells image files apart without reading them: the name of their pack follows from it.

Name, size and time of modification are not enough: zips, reproducible archives, ``cp -p`` and
``rsync -t`` give other pixels all three. So there is more, each for what the others do not see.

- The time of change (``st_ctime_ns``). The system sets it and nobody sets it back; moving the
  folder on its disk leaves it. A new owner, permission or hard link changes it, too: images are
  then decoded once more, which is slow but right.
- On Windows that is the time of creation, which a file may inherit from the one that it replaces.
  There the file's number (``st_ino``) counts, too. Not elsewhere: FAT and exFAT on Linux, sshfs,
  mounted buckets and some containers number files anew each time. Their packs would never be
  found again, and fill the disk.
- The first and last bytes of a few files spread over the list. Where a time of change is only
  that of modification (FAT, sshfs, buckets, images of disks), they tell folders apart. There,
  and on Windows where a file is overwritten in place, one of many that becomes another of its
  size and time may go unnoticed: to read all of a million at every start may take minutes.
"""

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_CREATED = os.name == "nt"
"""Whether ``st_ctime_ns`` is the time of creation."""

_SAMPLED, _END = 64, 4096
"""Files of which bytes are read, at every start; bytes of each end."""


def compute_key(made_by: Sequence[Any], paths: Sequence[Path], *, names: Sequence[str]) -> str:
    """Give the name of a pack, 24 hexadecimal digits.

    ``made_by`` is JSON values: all that the pixels depend on beside the files; ``names`` are the
    files' names below their folder.
    """
    digest = hashlib.sha256(json.dumps(made_by).encode())
    for path, name in zip(paths, names, strict=True):
        digest.update(json.dumps([name, *_file_state(path)]).encode())
    sampled = min(len(paths), _SAMPLED)
    for number in range(sampled):  # the first and the last among them
        digest.update(_read_ends(paths[number * (len(paths) - 1) // max(1, sampled - 1)]))
    return digest.hexdigest()[:24]


def _file_state(path: Path) -> list[int | None]:
    """What the system says of a file, and whether it may be read."""
    try:
        found = os.stat(path)  # noqa: PTH116  a million of them
        number = found.st_ino if _CREATED else None
        readable = os.access(path, os.R_OK)
    except OSError:
        return [None]
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, number, readable]


def _read_ends(path: Path) -> bytes:
    """Its first and last bytes, all of a small file; none of what cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # who opens a pipe waits for a writer
            return b""
        with path.open("rb") as file:
            head = file.read(_END)
            file.seek(max(_END, os.fstat(file.fileno()).st_size - _END))
            return head + file.read(_END)
    except OSError:
        return b""
