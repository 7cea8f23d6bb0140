"""PyTorch's files (.pth, .pt, .bin), read without running what is in them.

Such a file is a pickle, alone or in a zip archive with the tensors beside it. It is read by
``torch.load(weights_only=True)``, which builds tensors and plain containers and refuses all else.
Before that the archive's sizes are held against the file's; after it, each tensor's.
"""

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from resnets.errors import MissingDependency, WeightsError
from resnets.files import explain_os_errors
from resnets.networks.network import Weights

NESTINGS = ("state_dict", "model_state_dict", "model_state", "model", "module", "net", "network")
"""Keys under which training scripts keep the weights, the likeliest first."""

AVERAGED = ("state_dict_ema", "model_ema", "model_ema_state_dict", "ema_state_dict", "ema")
"""Keys under which they keep a running average of the weights."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, ``torch.compile`` and wrapping modules put before every name."""

COUNTER = "num_batches_tracked"
ARCHIVE = b"PK\x03\x04"
"""What a zip archive begins with, where torch looks for it too."""

LARGEST_PICKLE = 64 * 2**20


def read(path: Path, *, averaged: bool = False) -> tuple[Weights, tuple[str, ...]]:
    """Read a state dict: arrays by the names in the file, and notes on what was chosen.

    Arrays of a zip archive stay in the file until they are used (they are mapped from it).
    With ``averaged`` the running average of the weights is taken, which must be there.

    Raises:
        WeightsError: if the file is truncated, claims more than it holds, holds anything but
            tensors and plain values, or no state dict. Nothing in it is executed.
        MissingDependency: if torch cannot be imported.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    with explain_os_errors(f"cannot read {path}", WeightsError):
        size = path.stat().st_size
        with path.open("rb") as file:
            archived = file.read(len(ARCHIVE)) == ARCHIVE
    if archived:
        _check_archive(path, size)
    state, notes = _unwrap(_load(path, archived), str(path), averaged=averaged)
    return _convert_to_arrays(state, path, size=size), notes


def _check_archive(path: Path, size: int) -> None:
    """PyTorch stores tensors as they are: a compressed entry, or entries beyond the file, lie."""
    try:
        with (
            explain_os_errors(f"cannot read {path}", WeightsError),
            zipfile.ZipFile(path) as archive,
        ):
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise WeightsError(f"{path}: not a whole PyTorch file ({error})") from error
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise WeightsError(f"{path}: {repeated!r} stands twice in the archive")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise WeightsError(f"{path}: {entry.filename!r} is compressed; PyTorch's never are")
        if entry.filename.endswith("data.pkl") and entry.file_size > LARGEST_PICKLE:
            raise WeightsError(f"{path}: {entry.filename!r} has over {LARGEST_PICKLE} bytes")
    claimed = sum(entry.file_size for entry in entries)
    if claimed > size:
        raise WeightsError(f"{path}: claims to hold {claimed:,} bytes, the file has {size:,}")


def _load(path: Path, archived: bool) -> Any:
    try:
        import torch
    except ImportError as error:
        message = f'{path} is read by torch, which is not installed: pip install "resnets[torch]"'
        raise MissingDependency(message) from error
    # timm's training script keeps its settings beside the weights, as a bag of plain values.
    allowed = torch.serialization.safe_globals([argparse.Namespace])
    try:
        with (
            explain_os_errors(f"cannot read {path}", WeightsError),
            allowed,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # of old storage classes; nobody here can change them
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archived)
    except WeightsError:
        raise
    except pickle.UnpicklingError as error:
        raise WeightsError(_explain_refusal(path, str(error))) from error
    except Exception as error:  # a damaged or hostile pickle can make its reader raise anything
        reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise WeightsError(f"{path}: not a whole PyTorch file ({reason[0][:200]})") from error


def _explain_refusal(path: Path, message: str) -> str:
    """Return which Python object the file holds, in place of torch's advice to trust it."""
    found = re.search(r"(?:GLOBAL|global|class|type) `?([\w.]+\.[\w.]+)", message)
    if found is None:
        return f"{path}: not a PyTorch file of tensors alone; nothing in it was executed"
    return (
        f"{path}: holds the Python object {found[1]}, not tensors alone; nothing was executed. "
        "Whoever made the file can save model.state_dict() instead"
    )


def _unwrap(value: Any, where: str, *, averaged: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Find the state dict in what was loaded."""
    import torch

    notes: list[str] = []
    if not isinstance(value, Mapping):
        raise WeightsError(f"{where}: holds {type(value).__name__}, no state dict")
    state, taken = cast("Mapping[Any, Any]", value), False
    for _ in range(3):
        if any(isinstance(item, torch.Tensor) for item in state.values()):
            break
        plain, average = _find_nested(state, NESTINGS), _find_nested(state, AVERAGED)
        if plain is None and average is None:
            break
        key = average if plain is None or (averaged and average is not None) else plain
        notes.append(f"the weights stand under {key!r} in the file")
        if average is not None and key != average:
            notes.append(f"averaged weights stand there too, under {average!r}: --averaged")
        taken = taken or key == average
        state = cast("Mapping[Any, Any]", state[key])
    if averaged and not taken:
        known = ", ".join(AVERAGED)
        raise WeightsError(f"{where}: holds no averaged weights (looked for {known})")
    if not state or not all(isinstance(key, str) for key in state):
        raise WeightsError(f"{where}: holds no state dict of tensors by name")
    return _strip_prefixes(dict(state), notes)


def _find_nested(state: Mapping[Any, Any], keys: Sequence[str]) -> str | None:
    return next((key for key in keys if isinstance(state.get(key), Mapping)), None)


def _strip_prefixes(
    state: dict[str, Any], notes: list[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    while prefix := next((p for p in PREFIXES if all(k.startswith(p) for k in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
        notes.append(f"{prefix!r} before every name was left out")
    return state, tuple(notes)


def _convert_to_arrays(state: Mapping[str, Any], path: Path, *, size: int) -> Weights:
    """Return the tensors as arrays, without copying; a tensor beyond the file's size lies."""
    import torch

    found: Weights = {}
    claimed = 0
    for name, value in state.items():
        if name == COUNTER or name.endswith(f".{COUNTER}"):
            continue
        if not isinstance(value, torch.Tensor):
            raise WeightsError(f"{path}: {name} is no tensor but {type(value).__name__}")
        if value.layout != torch.strided or value.is_quantized or not value.is_floating_point():
            kind = _describe_kind(value)
            raise WeightsError(f"{path}: {name} is {kind}; weights are plain floats")
        claimed += value.numel() * value.element_size()
        if claimed > size:
            raise WeightsError(f"{path}: {name} claims more bytes than the file's {size:,}")
        found[name] = _convert_to_array(value)
    return found


def _convert_to_array(tensor: Any) -> np.ndarray[Any, Any]:
    import torch

    if tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()  # NumPy has no bfloat16
    return tensor.detach().numpy()


def _describe_kind(tensor: Any) -> str:
    if tensor.is_quantized:
        return "quantised"
    if "strided" not in str(tensor.layout):
        return str(tensor.layout).removeprefix("torch.")
    return str(tensor.dtype).removeprefix("torch.")
