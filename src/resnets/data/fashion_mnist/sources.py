"""Where published files can be had: an installed package, the publisher, the distribution.

A source hands each file it has, checked, to ``keep``. The first thing that goes wrong ends it
with a DataError that says why, and the next source is asked for whatever is still missing.
"""

import http.client
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from resnets.data.fashion_mnist import published
from resnets.data.fashion_mnist.published import PublishedFile, Readable
from resnets.errors import DataError
from resnets.progress_bar import Advance, Announce, bytes_bar

Keep = Callable[[PublishedFile, bytes], None]
"""Takes a file and its checked content."""

_SILENCE = 10.0
"""Seconds to wait for a connection, or for the next bytes of one."""

_APT_PATIENCE = 900.0
"""Seconds for one apt command: 30 MB over a slow line."""


class MissingSourceError(DataError):
    """This machine lacks the source altogether: a reason for the list, but no news by itself."""


@dataclass(frozen=True)
class Source:
    """One place to ask: what to call it, and how to fetch from it."""

    name: str
    fetch: Callable[[Sequence[PublishedFile], Keep, Announce], None]


def installed(folder: Path) -> Source:
    """The folder in which a package of the distribution installs the files."""

    def fetch(wanted: Sequence[PublishedFile], keep: Keep, announce: Announce) -> None:
        if not folder.is_dir():
            raise MissingSourceError("no such folder")
        announce(f"reading {folder}")
        _take(folder, wanted, keep)

    return Source(str(folder), fetch)


def publisher(address: str) -> Source:
    """The publisher's own server; ``address`` is a folder there and ends with a slash."""

    def fetch(wanted: Sequence[PublishedFile], keep: Keep, announce: Announce) -> None:
        for file in wanted:
            url = f"{address}{file.name}.gz"
            announce(f"downloading {url}")
            keep(file, _download(file, url))

    return Source(address, fetch)


def apt(package: str, folder: Path) -> Source:
    """A Debian package, fetched and unpacked in a temporary folder; nothing is installed.

    ``folder`` is where the package would install the files. Needs no root, and asks nothing.
    """

    def fetch(wanted: Sequence[PublishedFile], keep: Keep, announce: Announce) -> None:
        for tool in ("apt-get", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise MissingSourceError(f"{tool} is not on this machine")
        announce(f"fetching the package {package} with apt-get (about 30 MB; nothing is installed)")
        try:
            with tempfile.TemporaryDirectory(prefix="resnets-apt-") as scratch:
                archive = _apt_download(package, Path(scratch), announce)
                unpacked = Path(scratch, "unpacked")
                _command(["dpkg-deb", "-x", str(archive), str(unpacked)], Path(scratch))
                _take(unpacked / folder.relative_to(folder.anchor), wanted, keep)
        except OSError as problem:
            raise DataError(f"in a temporary folder: {problem}") from problem

    return Source(f"apt-get download {package}", fetch)


def _take(folder: Path, wanted: Sequence[PublishedFile], keep: Keep) -> None:
    """Keep the wanted files of a folder, in either form."""
    for file in wanted:
        path = find(file, [folder])
        if path is None:
            raise DataError(f"{folder / file.name} and {file.name}.gz are not there")
        keep(file, published.read(file, path))


def find(file: PublishedFile, folders: Sequence[Path]) -> Path | None:
    """The first of ``folders`` that has the file, plain or packed; None if none has.

    A folder that one may not look into is one that has nothing.
    """
    for folder in folders:
        for name in file.names():
            # Not Path.is_file: it raises for a forbidden folder until Python 3.14.
            if os.path.isfile(folder / name):  # noqa: PTH113
                return folder / name
    return None


@dataclass
class _Counted:
    """A stream that reports how much of it has been read."""

    stream: Readable
    advance: Advance

    def read(self, count: int, /) -> bytes:
        chunk = self.stream.read(count)
        self.advance(len(chunk))
        return chunk


def _download(file: PublishedFile, url: str) -> bytes:
    """The checked content of a gzip file on a server."""
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE) as answer:
            stated: str | None = answer.headers.get("Content-Length")
            total = int(stated) if stated is not None and stated.isdecimal() else file.size
            with bytes_bar(file.name, total) as advance:
                return published.unpack(file, _Counted(answer, advance), url)
    except urllib.error.HTTPError as problem:
        problem.close()
        raise DataError(
            f"{file.name}.gz: the server answers {problem.code} {problem.reason}"
        ) from problem
    except (OSError, http.client.HTTPException) as problem:
        # urllib wraps what it could not reach: the reason inside says more.
        reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
        words = reason.strerror if isinstance(reason, OSError) else None
        raise DataError(f"{words or reason or type(reason).__name__}") from problem


def _apt_download(package: str, scratch: Path, announce: Announce) -> Path:
    """Have apt put the package into ``scratch``: by the system's lists, else by lists of our own.

    A container's lists are often empty, and filling them takes root; private ones do not.
    """
    try:
        return _apt_package(package, scratch / "package", [])
    except DataError as refusal:
        announce(f"apt-get cannot use the system's package lists ({refusal}); fetching lists apart")
    private = _private_options(scratch)
    try:
        complaint = _apt_get("update", options=private, folder=scratch)
    except DataError as refusal:
        # One list of several that is out of reach need not be the one that has the package.
        complaint = str(refusal)
    try:
        return _apt_package(package, scratch / "package-by-own-lists", private)
    except DataError as refusal:
        # apt calls an update that reached nothing a success; only its warnings tell.
        cause = f"; apt-get update: {complaint}" if complaint else ""
        raise DataError(f"{refusal}{cause}") from refusal


def _apt_package(package: str, folder: Path, options: Sequence[str]) -> Path:
    """Download the package into a new folder; apt puts it where it stands."""
    folder.mkdir()
    _apt_get("download", package, options=options, folder=folder)
    archives = sorted(folder.glob("*.deb"))
    if not archives:
        raise DataError("apt-get ended well but left no package")
    return archives[-1]


def _apt_get(*arguments: str, options: Sequence[str], folder: Path) -> str:
    """Run apt-get without a question to anyone; what it complained of, if it ended well."""
    settings = {
        # As root, apt would hand the download to a user who cannot enter our folder, and warn.
        "APT::Sandbox::User": "root",
        "Acquire::http::Timeout": f"{_SILENCE:.0f}",
        "Acquire::https::Timeout": f"{_SILENCE:.0f}",
        "Acquire::Retries": "1",
    }
    return _command(["apt-get", "-q", *_as_options(settings), *options, *arguments], folder)


def _private_options(scratch: Path) -> list[str]:
    """Options with which apt keeps its lists and caches under ``scratch``."""
    state, lists, cache = scratch / "state", scratch / "lists", scratch / "cache"
    for folder in (state, lists / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True)
    return _as_options(
        {"Dir::State": str(state), "Dir::State::Lists": str(lists), "Dir::Cache": str(cache)}
    )


def _as_options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _command(arguments: list[str], folder: Path) -> str:
    """Run a command that cannot ask anything; DataError with its own words if it fails.

    Gives what it complained of although it ended well, in a line; mostly nothing.
    """
    try:
        done = subprocess.run(
            arguments,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_APT_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as problem:
        raise DataError(f"{arguments[0]} gave no end in {_APT_PATIENCE:.0f} seconds") from problem
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode == 0:
        return " ".join(lines[:1])
    errors = [line for line in lines if line.startswith(("E:", "dpkg-deb: error"))] or lines
    reason = " ".join(errors[:2]) or "no reason given"
    raise DataError(f"{reason} (exit status {done.returncode})")
