"""Keras's weight files, read as layers of arrays. There are three forms:

1. ``.h5``: a group a layer, named as the layer, with a list of the names of its arrays (Keras 1
   to 3; a whole model has them in ``model_weights``).
2. ``.weights.h5``: ``layers/conv2d_1/vars/0`` and so on (Keras 3), counted by the layers' class;
   later versions note the layer's name too.
3. ``.keras``: a zip archive of ``config.json`` and ``model.weights.h5``, which is form 2.

No model is built and nothing of a configuration is run: it is read as JSON, for names alone.
"""

import io
import json
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from resnets.convert.keras.hdf5 import Array, Reader, open_hdf5
from resnets.errors import WeightsError
from resnets.files import explain_os_errors
from resnets.networks.folder import LARGEST_CONFIG

ARCHIVE = b"PK\x03\x04"
DESCRIPTION = "resnets"
"""Where our own description lies in a file that we wrote; Keras looks at no such name."""

VARIABLES = {
    (4, 1): ("kernel",),
    (4, 2): ("kernel", "bias"),
    (2, 1): ("kernel",),
    (2, 2): ("kernel", "bias"),
    (1, 2): ("gamma", "beta"),
    (1, 4): ("gamma", "beta", "moving_mean", "moving_variance"),
}
"""What a layer's variables are, in order, by the dimensions of the first and their number."""


@dataclass(frozen=True)
class Layers:
    """What a file holds.

    Attributes:
        arrays: by layer and variable, such as ``conv1_conv/kernel``, in Keras's layout.
        names: of all layers that the file names, those without arrays too.
        named: whether the file names its layers; else they have their classes' names, counted.
        description: what ``resnets`` wrote beside the layers; empty: it did not write the file.
        configuration: of the model, in form 3.
    """

    arrays: dict[str, Array] = field(default_factory=dict[str, Array])
    names: list[str] = field(default_factory=list[str])
    named: bool = True
    description: bytes = b""
    configuration: dict[str, Any] = field(default_factory=dict[str, Any])


def read_here(path: Path, where: str = "") -> Layers:
    """Read a file of any of the three forms, in this process; see ``process.read_layers``.

    ``where`` names the file in errors, if not as ``path`` does.

    Raises:
        WeightsError: if it is missing, truncated, claims more than it holds or is none of them.
        MissingDependency: if h5py cannot be imported.
    """
    where = where or str(path)
    if not path.is_file():
        raise WeightsError(f"{where}: no such file")
    with explain_os_errors(f"cannot read {where}", WeightsError):
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(len(ARCHIVE)) != ARCHIVE:
                return _read(file, size, where=where, configuration={})
            config, content = _unpack(file, size, where=where)
    configuration = parse_json_object(config, f"{where}: config.json")
    return _read(io.BytesIO(content), len(content), where=where, configuration=configuration)


def _read(file: Any, size: int, *, where: str, configuration: dict[str, Any]) -> Layers:
    with open_hdf5(file, size, where=where) as reader:
        given = reader.array(DESCRIPTION) if reader.has(DESCRIPTION) else np.empty(0, np.uint8)
        if given.dtype != np.uint8:
            raise WeightsError(f"{where}: {DESCRIPTION!r} is no text that resnets wrote")
        if reader.has("layers"):
            found = _read_counted(reader, where, configured=_name_groups(configuration))
        elif reader.has("model_weights"):
            found = _read_grouped(reader, where, at="model_weights/")
        else:
            found = _read_grouped(reader, where, at="")
        return replace(found, description=given.tobytes(), configuration=configuration)


def _read_grouped(reader: Reader, where: str, *, at: str) -> Layers:
    """Form 1."""
    found = Layers()
    found.names.extend(reader.texts(at, "layer_names"))
    if not found.names:
        raise WeightsError(f"{where}: an HDF5 file, but not Keras's: it has no list of layers")
    for layer in found.names:
        for name in reader.texts(at + layer, "weight_names"):
            variable = name.rpartition("/")[2].removesuffix(":0")
            if f"{layer}/{variable}" in found.arrays:
                raise WeightsError(f"{where}: {layer!r} is a model inside the model")
            found.arrays[f"{layer}/{variable}"] = reader.array(f"{at}{layer}/{name}")
    return found


def _read_counted(reader: Reader, where: str, *, configured: Mapping[str, str]) -> Layers:
    """Form 2."""
    found = Layers()
    named = True
    for group in sorted(reader.names("layers"), key=_make_sort_key):
        at = f"layers/{group}/vars"
        parts = set(reader.names(f"layers/{group}"))
        if parts - {"vars", "seed_generator"}:  # the latter is a dropout's
            raise WeightsError(f"{where}: {group!r} is a model inside the model")
        noted = reader.texts(at, "name") if "vars" in parts else []
        numbers = sorted(reader.names(at), key=_make_sort_key) if "vars" in parts else []
        arrays = [reader.array(f"{at}/{k}") for k in numbers]
        layer = noted[0] if noted else configured.get(group, "")
        if not arrays and not layer:
            continue
        named = named and bool(layer)
        found.names.append(layer or group)
        found.arrays.update(_name_variables(layer or group, arrays, where=where))
    return Layers(found.arrays, found.names, named)


def _name_variables(layer: str, arrays: list[Array], *, where: str) -> dict[str, Array]:
    if not arrays:
        return {}
    names = VARIABLES.get((arrays[0].ndim, len(arrays)))
    if names is None:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise WeightsError(
            f"{where}: the layer {layer!r} has arrays of shapes {shapes}; it is no convolution, "
            "dense layer or norm"
        )
    return {f"{layer}/{name}": array for name, array in zip(names, arrays, strict=True)}


def _make_sort_key(name: str) -> tuple[str, int]:
    """Sort ``conv2d_10`` behind ``conv2d_9``, as Keras counts."""
    found = re.fullmatch(r"(.*?)_?(\d{1,9})", name)
    return (found[1], int(found[2])) if found else (name, 0)


def _unpack(file: Any, size: int, *, where: str) -> tuple[bytes, bytes]:
    """Form 3: the configuration and the weights."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts: list[bytes] = []
            for name, most in (("config.json", LARGEST_CONFIG), ("model.weights.h5", size)):
                entry = archive.getinfo(name)
                # Keras stores its parts as they are.
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > min(most, size):
                    raise WeightsError(
                        f"{where}: {name} is compressed or claims {entry.file_size:,} bytes, "
                        f"more than it may have"
                    )
                parts.append(archive.read(entry))
            return parts[0], parts[1]
    except KeyError as error:
        raise WeightsError(f"{where}: an archive, but not Keras's: {error.args[0]}") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, *_UNREADABLE) as error:
        raise WeightsError(f"{where}: not a whole Keras file ({error})") from error


_UNREADABLE = (ValueError, NotImplementedError, RuntimeError, EOFError, OverflowError)


def parse_json_object(content: bytes, where: str) -> dict[str, Any]:
    """Parse a JSON object. Raises WeightsError where it is none; ``where`` names it."""
    try:
        value: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{where} is no JSON ({error})") from error
    if not isinstance(value, dict):
        raise WeightsError(f"{where} is no JSON object")
    return cast("dict[str, Any]", value)


def _name_groups(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Names of layers by group, for files of versions that did not note them with the arrays."""
    seen: Counter[str] = Counter()
    found: dict[str, str] = {}
    try:
        for layer in configuration["config"]["layers"]:
            group = _to_snake_case(str(layer["class_name"]))
            counted = f"{group}_{seen[group]}" if seen[group] else group
            found[counted] = str(layer["config"]["name"])
            seen[group] += 1
    except (KeyError, TypeError):
        return {}
    return found


def _to_snake_case(kind: str) -> str:
    """``BatchNormalization`` as Keras names its group: ``batch_normalization``; Conv2D: conv2d."""
    return re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", kind).lower()
