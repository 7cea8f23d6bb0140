"""The folder that export writes: a network, its ONNX models, and the engine chosen for it.

| file | content |
|---|---|
| ``config.json``, ``model.safetensors`` | the network: every command and timm read it |
| ``model.onnx`` | in fp32, pixels in, norms folded |
| ``model-int8.onnx`` | in int8, where there was one to measure |
| ``engine.json`` | the engine chosen, and what was measured on which machine |
"""

import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any, cast

from resnets.backends import Evaluator
from resnets.description import read_text
from resnets.errors import MissingDependency, ResnetsError, RunError, WeightsError
from resnets.export.choice import Choice
from resnets.export.engines import Prepared, engine
from resnets.files import explained, write_bytes, write_text
from resnets.weights import Network, save

FORMAT = 1
ENGINE, ONNX, INT8 = "engine.json", "model.onnx", "model-int8.onnx"
LARGEST = 2**31
LARGEST_ENGINE = 2**20


def refuse_folder(folder: Path) -> None:
    """Refuse a folder that something stands in.

    Raises:
        WeightsError: saying what.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WeightsError(f"{folder}: exists; choose another name, or remove it first")


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
            write_text(made / ENGINE, _engine_text(choice))
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


def _engine_text(choice: Choice) -> str:
    value = {
        "format": FORMAT,
        "engine": choice.chosen.engine,
        "machine": machine(),
        "measured": choice.table.to_json(),
    }
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def machine() -> str:
    """Say in words what was measured on."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs"


def chosen_engine(folder: Path | str) -> str:
    """Read which engine was chosen for a folder.

    Raises:
        RunError: if it is no folder that export wrote, or the file is damaged.
    """
    path = Path(folder) / ENGINE
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
    name = content.get("engine")
    if content.get("format") != FORMAT or not isinstance(name, str):
        raise RunError(f"{path}: not the choice of an engine that resnets wrote")
    return name


def opened(name: str, network: Network, folder: Path | str, device: str = "auto") -> Evaluator:
    """Open a network in the engine called ``name``; ``auto``: the one chosen for its folder.

    Raises:
        UnknownName: if there is no such engine; MissingDependency: without its package.
        RunError: if none was chosen, the machine or the folder has not the precision, or a
            device is named: engines compute on the CPU.
    """
    if device not in ("auto", "cpu"):
        raise RunError(f"--device {device}: engines compute on the CPU")
    found = engine(chosen_engine(folder) if name == "auto" else name)
    prepared = Prepared(network)
    if (Path(folder) / ENGINE).is_file():
        prepared = Prepared(
            network, fp32=_content(Path(folder) / ONNX), int8=_content(Path(folder) / INT8)
        )
    return found.opened(prepared)


def _content(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    with explained(f"cannot read {path}", WeightsError):
        if path.stat().st_size > LARGEST:
            raise WeightsError(f"{path}: over {LARGEST} bytes, no ONNX file is")
        return path.read_bytes()
