"""Reading a Keras file in a process of its own.

HDF5's library, which h5py wraps, can be crashed by a single damaged byte (measured with h5py
3.14: texts of an attribute). In a process of its own that is an error like any other, and so is
a file on which the library never ends. Its arrays come back through a pipe as safetensors.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from resnets.convert.keras.layers import Layers, read_here
from resnets.errors import MissingDependency, WeightsError
from resnets.files import explain_os_errors

LONGEST = 600
"""Seconds; a network of the largest size takes a few."""

WRONG, MISSING = 3, 4
"""Exit codes: the errors that have a message."""

_TOLD = "told.json"
"""The name under which the rest of ``Layers`` travels among the arrays."""


def read_layers(path: Path) -> Layers:
    """Read a Keras file of any form.

    Raises:
        WeightsError: as ``layers.read_here``; also where the library crashes or never ends.
        MissingDependency: if h5py cannot be imported.
    """
    if not sys.executable:  # Python inside another program, which cannot be started anew
        return read_here(path)
    # The other process finds what this one finds, however it was told where to look.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", __name__, str(path.absolute()), str(path)]
    try:
        with explain_os_errors(f"cannot start {sys.executable}", WeightsError):
            done = subprocess.run(
                command, capture_output=True, env=environment, timeout=LONGEST, check=False
            )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"{path}: not read within {LONGEST} seconds") from error
    if done.returncode == WRONG:
        raise WeightsError(done.stdout.decode())
    if done.returncode == MISSING:
        raise MissingDependency(done.stdout.decode())
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it ended"]
        raise WeightsError(f"{path}: not a whole HDF5 file (its reader crashed: {lines[-1][:200]})")
    try:
        return _unpack(done.stdout)
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: not a whole HDF5 file (what came of it: {error})") from error


def _pack(layers: Layers) -> bytes:
    told = {
        "names": layers.names,
        "named": layers.named,
        "description": layers.description.decode("latin-1"),
        "configuration": layers.configuration,
        "order": list(layers.arrays),
    }
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    arrays = {name: np.asarray(array, order="C") for name, array in layers.arrays.items()}
    return safetensors.numpy.save({**arrays, _TOLD: text})


def _unpack(content: bytes) -> Layers:
    arrays = safetensors.numpy.load(content)
    told = json.loads(arrays.pop(_TOLD).tobytes())
    return Layers(
        arrays={name: arrays[name] for name in told["order"]},
        names=told["names"],
        named=told["named"],
        description=told["description"].encode("latin-1"),
        configuration=told["configuration"],
    )


def main() -> None:
    """Read the file that the first argument names; the second is its name in errors."""
    try:
        content, code = _pack(read_here(Path(sys.argv[1]), sys.argv[2])), 0
    except WeightsError as error:
        content, code = str(error).encode(), WRONG
    except MissingDependency as error:
        content, code = str(error).encode(), MISSING
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
