"""The folder that export writes: a network, its ONNX models, and the engine chosen for it.

| file | content |
|---|---|
| ``config.json``, ``model.safetensors`` | the network: every command and timm read it |
| ``model.onnx`` | in fp32, pixels in, norms folded |
| ``model-int8.onnx`` | in int8, where there was one to measure |
| ``engine.json`` | the engine chosen, what was measured on which machine, checksums (SHA-256) |
"""

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from resnets.backends import Evaluator
from resnets.errors import MissingDependency, ResnetsError, RunError, WeightsError
from resnets.export.engines import Engine, Prepared, find_engine
from resnets.export.selection import Selection
from resnets.files import explain_os_errors, write_bytes, write_text
from resnets.networks.folder import save
from resnets.networks.network import Network
from resnets.schema import parse_json

FORMAT = 1
ENGINE, ONNX, INT8 = "engine.json", "model.onnx", "model-int8.onnx"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
LARGEST = 2**31
LARGEST_ENGINE = 2**20


def refuse_folder(folder: Path) -> None:
    """Raise ``WeightsError`` if a folder is not empty, or cannot be made."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WeightsError(f"{folder}: exists; choose another name, or remove it first")
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        why = "no folder" if not above.is_dir() else "not to be written in"
        raise WeightsError(f"{folder}: cannot be made: {above} is {why}")


def deploy(selection: Selection, folder: Path | str) -> None:
    """Write the folder of a network and the engine chosen for it, whole or not at all.

    Raises:
        WeightsError: if something stands there, or it cannot be written.
        MissingDependency: without onnx, where the chosen engine needs it.
    """
    folder = Path(folder).absolute()
    refuse_folder(folder)
    with explain_os_errors(f"cannot write {folder}", WeightsError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{folder.name}.", suffix=".part", ignore_cleanup_errors=True
        ) as place:
            made = Path(place) / "new"
            save(selection.prepared.network, made)
            _write_models(selection, made)
            write_text(made / ENGINE, _format_choice(selection, made))
            if folder.exists():
                folder.rmdir()  # empty, as was seen; Windows renames onto nothing
            made.rename(folder)


def _write_models(selection: Selection, folder: Path) -> None:
    prepared = selection.prepared
    try:
        write_bytes(folder / ONNX, prepared.get_model("fp32"))
    except MissingDependency:
        if find_engine(selection.chosen.engine).package != "torch":
            raise
    if prepared.int8 is not None:
        write_bytes(folder / INT8, prepared.int8)


def _format_choice(selection: Selection, folder: Path) -> str:
    files = [folder / name for name in (CONFIG, WEIGHTS, ONNX, INT8)]
    value = {
        "format": FORMAT,
        "engine": selection.chosen.engine,
        "sha256": {path.name: _checksum(path) for path in files if path.is_file()},
        "machine": describe_machine(),
        "measured": selection.table.to_json(),
    }
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def describe_machine() -> str:
    """Return a description of this machine."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


@dataclass(frozen=True)
class _Choice:
    """What is read of engine.json: the engine chosen, and checksums by the names of files."""

    engine: str
    checksums: dict[str, str]


def read_chosen_engine(folder: Path | str) -> str:
    """Return the name of the engine that was chosen for a folder.

    Raises:
        RunError: if it is no folder that export wrote, or the file is damaged.
    """
    return _read_choice(Path(folder)).engine


def _read_choice(folder: Path) -> _Choice:
    path = folder / ENGINE
    if not path.is_file():
        raise RunError(
            f"{folder} has no {ENGINE}; resnets export RUN --to FOLDER chooses an engine"
        )
    with explain_os_errors(f"cannot read {path}", RunError):
        if path.stat().st_size > LARGEST_ENGINE:
            raise RunError(f"{path}: over {LARGEST_ENGINE} bytes, no choice is")
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        value = parse_json(text, str(path))
    except ResnetsError as error:
        raise RunError(str(error)) from error
    content = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    name, checksums = content.get("engine"), content.get("sha256", {})
    known = content.get("format") == FORMAT
    if not known or not isinstance(name, str) or not isinstance(checksums, dict):
        raise RunError(f"{path}: not the choice of an engine that resnets wrote")
    return _Choice(name, cast("dict[str, str]", checksums))


def check_damage(folder: Path | str, names: Sequence[str] = (CONFIG, WEIGHTS)) -> None:
    """Raise ``WeightsError`` if a file of a folder that ``deploy`` wrote is damaged or missing.

    The checksums in engine.json detect damage, such as an incomplete copy. They do not protect
    against someone who can edit engine.json too. Other folders, and files for which engine.json
    has no checksum, are not checked.

    Args:
        folder: any folder.
        names: the files to check. Default: the network, which every command reads.

    Raises:
        RunError: if engine.json itself is damaged.
    """
    folder = Path(folder)
    if not (folder / ENGINE).is_file():
        return
    checksums = _read_choice(folder).checksums
    for path in (folder / name for name in names if name in checksums):
        if not path.is_file():
            raise WeightsError(f"{path} is missing, though it was exported; export it again")
        if _checksum(path) != checksums[path.name]:
            raise WeightsError(
                f"{path} is damaged: its checksum differs from the one in {ENGINE}; export it again"
            )


def open_engine(
    name: str, network: Network, *, folder: Path | str, device: str = "auto"
) -> Evaluator:
    """Return the function from stored images to logits, computed by the engine ``name``.

    ``auto`` is the engine that was chosen for the folder.

    Raises:
        UnknownName: if there is no such engine; MissingDependency: without its package.
        RunError: if none was chosen, the machine or the folder has not the precision, or a
            device is named: engines compute on the CPU.
        WeightsError: if the ONNX model that the engine reads is damaged.
    """
    folder = Path(folder)
    if device not in ("auto", "cpu"):
        raise RunError(f"--device {device}: engines compute on the CPU")
    if name != "auto" and not (folder / ENGINE).is_file():
        return find_engine(name).open(Prepared(network))
    found = find_engine(_read_choice(folder).engine if name == "auto" else name)
    return found.open(_prepare(network, folder=folder, engine=found))


def _prepare(network: Network, *, folder: Path, engine: Engine) -> Prepared:
    """Return the network with the ONNX model of a folder that an engine reads, if it reads one."""
    if engine.package == "torch":
        return Prepared(network, source=str(folder / WEIGHTS))
    path = folder / (INT8 if engine.precision == "int8" else ONNX)
    check_damage(folder, [path.name])
    content = _read_model(path)
    if engine.precision == "int8":
        return Prepared(network, int8=content, source=str(path))
    return Prepared(network, fp32=content, source=str(path if content else folder / WEIGHTS))


def _checksum(path: Path) -> str:
    with explain_os_errors(f"cannot read {path}", WeightsError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_model(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    with explain_os_errors(f"cannot read {path}", WeightsError):
        if path.stat().st_size > LARGEST:
            raise WeightsError(f"{path}: over {LARGEST} bytes, no ONNX file is")
        return path.read_bytes()
