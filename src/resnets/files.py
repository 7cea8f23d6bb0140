"""Files that are whole or absent: written beside their place, synced, then renamed into it."""

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO

from resnets.errors import ResnetsError


@contextlib.contextmanager
def replace_file(path: Path) -> Generator[IO[bytes]]:
    """Open a temporary file that takes the place of ``path`` when the block ends without error.

    Whatever was at ``path`` stays untouched until the new content is on disk; a crash, a full
    disk or a kill at any instant leaves either the old file or the new one, never a part.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with replace_file(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process left in ``folder``."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def explain_os_errors(action: str, error: type[ResnetsError]) -> Generator[None]:
    """Turn an operating system's refusal inside the block into ``error``, saying what and why."""
    try:
        yield
    except OSError as problem:
        reason = problem.strerror or str(problem)
        where = f" ({problem.filename})" if problem.filename else ""
        raise error(f"{action}: {reason}{where}") from problem


def _umask() -> int:
    """The process's umask; reading it means setting it, so it is set back at once."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make a rename durable. Windows cannot open folders, and needs no such sync."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
