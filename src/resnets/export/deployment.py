"""The folder that export writes: a network, its ONNX models, and the engine chosen for it.

| file | content |
|---|---|
| ``config.json``, ``model.safetensors`` | the network: every command and timm read it |
| ``model.onnx`` | in fp32, pixels in, norms folded |
| ``model-int8.onnx`` | in int8, where there was one to measure |
| ``engine.json`` | the engine chosen, what was measured on which machine, the files' SHA-256 |
"""

import hashlib
import json
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from resnets.backends import Evaluator
from resnets.errors import MissingDependency, ResnetsError, RunError, WeightsError
from resnets.export.choice import Choice
from resnets.export.engines import Engine, Prepared, engine
from resnets.files import explained, write_bytes, write_text
from resnets.networks.folder import save
from resnets.networks.network import Network
from resnets.schema import read_text

FORMAT = 1
ENGINE, ONNX, INT8 = "engine.json", "model.onnx", "model-int8.onnx"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
LARGEST = 2**31
LARGEST_ENGINE = 2**20


def refuse_folder(folder: Path) -> None:
    """Refuse a folder that something stands in, or that cannot be made.

    Raises:
        WeightsError: saying what.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WeightsError(f"{folder}: exists; choose another name, or remove it first")
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        why = "no folder" if not above.is_dir() else "not to be written in"
        raise WeightsError(f"{folder}: cannot be made: {above} is {why}")


def deploy(choice: Choice, folder: Path | str) -> None:
    """Write the folder of a network and the engine chosen for it, whole or not at all.

    Raises:
        WeightsError: if something stands there, or it cannot be written.
        MissingDependency: without onnx, where the chosen engine needs it.
    """
    folder = Path(folder).absolute()
    refuse_folder(folder)
    with explained(f"cannot write {folder}", WeightsError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=folder.parent, prefix=f".{folder.name}.", suffix=".part", ignore_cleanup_errors=True
        ) as place:
            made = Path(place) / "new"
            save(choice.prepared.network, made)
            _write_models(choice, made)
            write_text(made / ENGINE, _engine_text(choice, made))
            if folder.exists():
                folder.rmdir()  # empty, as was seen; Windows renames onto nothing
            made.rename(folder)


def _write_models(choice: Choice, folder: Path) -> None:
    prepared = choice.prepared
    try:
        write_bytes(folder / ONNX, prepared.model("fp32"))
    except MissingDependency:
        if engine(choice.chosen.engine).package != "torch":
            raise
    if prepared.int8 is not None:
        write_bytes(folder / INT8, prepared.int8)


def _engine_text(choice: Choice, folder: Path) -> str:
    files = [folder / name for name in (CONFIG, WEIGHTS, ONNX, INT8)]
    value = {
        "format": FORMAT,
        "engine": choice.chosen.engine,
        "sha256": {path.name: _sum(path) for path in files if path.is_file()},
        "machine": machine(),
        "measured": choice.table.to_json(),
    }
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def machine() -> str:
    """Say in words what was measured on."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


@dataclass(frozen=True)
class _Written:
    """What is read of engine.json; ``sums`` is None where an older version wrote it."""

    engine: str
    sums: dict[str, str] | None


def chosen_engine(folder: Path | str) -> str:
    """Read which engine was chosen for a folder.

    Raises:
        RunError: if it is no folder that export wrote, or the file is damaged.
    """
    return _written(Path(folder)).engine


def _written(folder: Path) -> _Written:
    path = folder / ENGINE
    if not path.is_file():
        raise RunError(
            f"{folder} has no {ENGINE}; resnets export RUN --to FOLDER chooses an engine"
        )
    with explained(f"cannot read {path}", RunError):
        if path.stat().st_size > LARGEST_ENGINE:
            raise RunError(f"{path}: over {LARGEST_ENGINE} bytes, no choice is")
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        value = read_text(text, str(path))
    except ResnetsError as error:
        raise RunError(str(error)) from error
    content = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    name, sums = content.get("engine"), content.get("sha256")
    known = sums is None or isinstance(sums, dict)
    if content.get("format") != FORMAT or not isinstance(name, str) or not known:
        raise RunError(f"{path}: not the choice of an engine that resnets wrote")
    return _Written(name, cast("dict[str, str] | None", sums))


def refuse_swapped(folder: Path | str) -> None:
    """Refuse a folder that ``deploy`` wrote if its network is no longer that; pass all else.

    Classes and preprocessing are part of it. Older versions kept no sum of config.json.

    Raises:
        WeightsError: saying so; RunError: if its engine.json is damaged.
    """
    folder = Path(folder)
    if not (folder / ENGINE).is_file():
        return
    sums = _written(folder).sums
    for path in (folder / CONFIG, folder / WEIGHTS):
        if path.name != CONFIG or CONFIG in (sums or {}):
            _require_same(path, _sum(path) if path.is_file() else None, sums)


def opened(name: str, network: Network, folder: Path | str, device: str = "auto") -> Evaluator:
    """Open a network in the engine called ``name``; ``auto``: the one chosen for its folder.

    Raises:
        UnknownName: if there is no such engine; MissingDependency: without its package.
        RunError: if none was chosen, the machine or the folder has not the precision, or a
            device is named: engines compute on the CPU.
        WeightsError: if the file that the engine reads is not the one that ``deploy`` wrote.
    """
    folder = Path(folder)
    if device not in ("auto", "cpu"):
        raise RunError(f"--device {device}: engines compute on the CPU")
    if name != "auto" and not (folder / ENGINE).is_file():
        return engine(name).opened(Prepared(network))
    written = _written(folder)
    found = engine(written.engine if name == "auto" else name)
    return found.opened(_prepared(network, folder, found, written.sums))


def _prepared(
    network: Network, folder: Path, found: Engine, sums: dict[str, str] | None
) -> Prepared:
    """Give what an engine reads of a folder; refuse a file that is not the one written."""
    if found.package != "torch":
        path = folder / (INT8 if found.precision == "int8" else ONNX)
        content = _content(path)
        _require_same(path, None if content is None else hashlib.sha256(content).hexdigest(), sums)
        if found.precision == "int8":
            return Prepared(network, int8=content, source=str(path))
        if content is not None:
            return Prepared(network, fp32=content, source=str(path))
    path = folder / WEIGHTS  # torch reads it, and without model.onnx one is made of it
    _require_same(path, _sum(path) if path.is_file() else None, sums)
    return Prepared(network, source=str(path))


def _require_same(path: Path, found: str | None, sums: dict[str, str] | None) -> None:
    """Refuse a model file whose SHA-256 is not the one in engine.json; None: no such file."""
    if sums is None or found == sums.get(path.name):
        return
    what = "no such file, though it was exported" if found is None else "not the file exported"
    raise WeightsError(
        f"{path}: {what} (its SHA-256 is in {ENGINE}); export the network again, into a new folder"
    )


def _sum(path: Path) -> str:
    with explained(f"cannot read {path}", WeightsError), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    with explained(f"cannot read {path}", WeightsError):
        if path.stat().st_size > LARGEST:
            raise WeightsError(f"{path}: over {LARGEST} bytes, no ONNX file is")
        return path.read_bytes()
