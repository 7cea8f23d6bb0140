"""safetensors files from anywhere: the header alone, or the arrays.

The header is a JSON object after eight bytes of its length: for each tensor its type, its shape
and where its bytes lie. It is checked against the file's size before anything is read by it.
"""

import itertools
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from resnets.errors import InvalidDescription, WeightsError
from resnets.files import explain_os_errors
from resnets.networks.network import Weights
from resnets.schema import parse_json

LARGEST_HEADER = 100 * 2**20
"""Bytes; what the format's own library allows."""

WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    Attributes:
        shapes: of the tensors, by name.
        metadata: the file's strings by name.
    """

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]
    types: dict[str, str]
    ranges: dict[str, tuple[int, int]]


def read_header(path: Path) -> Header:
    """Read names, types and shapes, none of the tensors; torch's counters are left out.

    Raises:
        WeightsError: if the file is missing, truncated, contradicts its own size, holds what is
            not a plain float, or is no safetensors file.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    with explain_os_errors(f"cannot read {path}", WeightsError), path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little") if size >= 8 else size
        if not 2 <= length <= min(LARGEST_HEADER, size - 8):
            raise WeightsError(
                f"{path}: not a whole safetensors file (a header of {length:,} bytes, "
                f"the file has {size:,})"
            )
        text = file.read(length)
    try:
        entries = parse_json(text.decode(), "header")
    except (InvalidDescription, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error})") from error
    return _check_header(entries, path, size=size - 8 - length, offset=8 + length)


def read(path: Path) -> Weights:
    """Read the arrays, checked as ``read_header`` does; they stay in the file until used."""
    found = read_header(path)
    with explain_os_errors(f"cannot read {path}", WeightsError):
        content = np.memmap(path, np.uint8, mode="c")
    arrays: Weights = {}
    for name, shape in found.shapes.items():
        start, end = found.ranges[name]
        arrays[name] = _view_floats(content[start:end], found.types[name]).reshape(shape)
    return arrays


def _view_floats(content: np.ndarray[Any, Any], kind: str) -> np.ndarray[Any, Any]:
    if kind == "BF16":  # the upper half of a float32
        wide = content.view("<u2").astype(np.uint32) << np.uint32(16)
        return wide.view(np.float32)
    found = content.view({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[kind])
    return found.view(np.ndarray)


def _check_header(entries: Any, path: Path, *, size: int, offset: int) -> Header:
    if not isinstance(entries, dict):
        raise WeightsError(f"{path}: not a whole safetensors file (its header is no object)")
    tensors = cast("dict[str, Any]", entries)
    metadata = tensors.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise WeightsError(f"{path}: its metadata is no object")
    texts = {
        str(name): value
        for name, value in cast("dict[Any, Any]", metadata).items()
        if isinstance(value, str)
    }
    result = Header({}, texts, {}, {})
    places: list[tuple[int, int, str]] = []
    for name, entry in tensors.items():
        kind, shape, start, end = _read_entry(entry, name, path=path)
        if not 0 <= start <= end <= size:
            raise WeightsError(
                f"{path}: {name} claims bytes {start:,} to {end:,} of {size:,}; "
                "the file is truncated, or lies"
            )
        places.append((start, end, name))
        if name.endswith(COUNTER):
            continue
        if kind not in WIDTHS:
            raise WeightsError(f"{path}: {name} is {kind}; weights are floats: {', '.join(WIDTHS)}")
        if end - start != WIDTHS[kind] * math.prod(shape):
            raise WeightsError(f"{path}: {name} has {end - start:,} bytes for shape {shape}")
        result.shapes[name] = shape
        result.types[name] = kind
        result.ranges[name] = (start + offset, end + offset)
    for (_, end, one), (start, _, other) in itertools.pairwise(sorted(places)):
        if start < end:
            raise WeightsError(f"{path}: {one} and {other} lie on the same bytes")
    return result


def _read_entry(entry: Any, name: str, *, path: Path) -> tuple[str, tuple[int, ...], int, int]:
    try:
        kind, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        numbers = [struct.pack("<Q", number) for number in (start, end, *shape)]
        if len(numbers) - 2 <= 8 and isinstance(kind, str):
            return kind, shape, start, end
    except (KeyError, TypeError, ValueError, struct.error):
        pass
    raise WeightsError(f"{path}: its header describes no tensor at {name!r}")
