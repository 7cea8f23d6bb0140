"""Architectures by name or by JSON file."""

from dataclasses import replace
from pathlib import Path

from resnets.errors import RunError
from resnets.files import explain_os_errors
from resnets.networks import catalog
from resnets.networks.architecture import Architecture


def find_architecture(network: str) -> Architecture:
    """Return the catalog's architecture of that name, or the one a JSON file describes.

    Raises:
        UnknownName, InvalidDescription: if it is neither; RunError: if the file cannot be read.
    """
    path = Path(network)
    if path.suffix != ".json":
        return catalog.get(network)
    if not path.is_file():
        raise RunError(f"{path}: no such file; a network is a name (resnets models) or a JSON file")
    with explain_os_errors(f"cannot read {path}", RunError):
        text = path.read_text(encoding="utf-8", errors="replace")
    described = Architecture.from_text(text, str(path))
    return described if described.name else replace(described, name=path.stem)
