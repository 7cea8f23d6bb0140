"""Put Fashion-MNIST into the data folder: downloaded, else from Debian's package.

The package ``dataset-fashion-mnist`` serves machines that reach package registries and nothing
else. ``apt-get download`` needs no root, and nothing is installed. Does nothing if the four files
are there. ``RESNETS_DATA`` names the data folder.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from resnets.data.fashion_mnist import loading
from resnets.data.fashion_mnist.download import PublishedFile
from resnets.errors import DataError, ResnetsError

PACKAGE = "dataset-fashion-mnist"
PATIENCE = 600
"""Seconds for one command: 30 MB over a slow line."""


def main() -> None:
    """Fetch the files, or exit with status 1 and one sentence on what was tried."""
    missing = [file for file in loading.FILES if not loading.find(file, loading.data_folder())]
    try:
        loading.load(announce=print)
    except DataError as error:
        if not missing:  # a damaged file, which is not written over
            sys.exit(str(error))
        print(f"fetching Debian's package {PACKAGE} (30 MB; nothing is installed)")
        try:
            fetch_package(missing)
            loading.load()
        except (ResnetsError, OSError) as problem:
            sys.exit(f"{error}\nDebian's package {PACKAGE} does not help: {problem}")


def fetch_package(wanted: Sequence[PublishedFile]) -> None:
    """Copy files from Debian's package into the data folder. Raises DataError and OSError."""
    with tempfile.TemporaryDirectory(prefix="resnets-apt-") as scratch:
        archive = download_package(Path(scratch))
        run(["dpkg-deb", "-x", str(archive), "unpacked"], folder=Path(scratch))
        unpacked = Path(scratch, "unpacked", *loading.DEBIAN_FOLDER.parts[1:])
        for file in wanted:
            loading.keep(file.name, loading.read(file, unpacked / f"{file.name}.gz"))


def download_package(folder: Path) -> Path:
    """Return the package's archive, found by the system's package lists, else by private ones.

    A container's lists are often empty, and filling them takes root.
    """
    try:
        run_apt(["download", PACKAGE], folder=folder)
    except DataError:
        lists, cache = folder / "lists", folder / "cache"
        (lists / "partial").mkdir(parents=True)
        (cache / "archives" / "partial").mkdir(parents=True)
        private = [f"Dir::State={folder}", f"Dir::State::Lists={lists}", f"Dir::Cache={cache}"]
        run_apt(["update"], folder=folder, options=private, check=False)
        run_apt(["download", PACKAGE], folder=folder, options=private)
    return next(folder.glob("*.deb"))


def run_apt(
    arguments: Sequence[str], *, folder: Path, options: Sequence[str] = (), check: bool = True
) -> None:
    """Run apt-get in ``folder``. Raises DataError as ``run``."""
    settings = [
        # As root, apt would hand the download to a user who cannot enter our folder.
        "APT::Sandbox::User=root",
        "Acquire::http::Timeout=5",
        "Acquire::https::Timeout=5",
        "Acquire::Retries=1",
        *options,
    ]
    named = [part for setting in settings for part in ("-o", setting)]
    run(["apt-get", "-q", *named, *arguments], folder=folder, check=check)


def run(command: Sequence[str], *, folder: Path, check: bool = True) -> None:
    """Run a command that can ask nothing. Raises DataError with its own words if it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except FileNotFoundError as error:
        raise DataError(f"{command[0]} is not on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise DataError(f"{command[0]} took more than {PATIENCE} seconds") from error
    if check and done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reasons = [line for line in lines if line.startswith("E:")] or lines or ["no reason given"]
        raise DataError(f"{command[0]}: {' '.join(reasons[:2])}")


if __name__ == "__main__":
    main()
