"""Canonical names and layouts of a module's variables.

A variable's path is its canonical name but for the last word, and Flax lays kernels out the other
way round: [height, width, in, out] and dense [in, out].
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from flax import nnx

Path = tuple[str | int, ...]

_WORDS = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def name_of(path: Path) -> str:
    """Return the canonical name of the variable at ``path``."""
    return ".".join([*map(str, path[:-1]), _WORDS[str(path[-1])]])


def variables(model: nnx.Module) -> dict[str, nnx.Variable[Any]]:
    """Return the module's parameters and statistics by canonical name."""
    state = nnx.state(model, (nnx.Param, nnx.BatchStat))
    return {name_of(path): variable for path, variable in nnx.to_flat_state(state)}


def to_canonical(array: npt.NDArray[Any], shape: Iterable[int]) -> npt.NDArray[Any]:
    """Lay a variable's array out as the canonical tensor of ``shape``; a copy."""
    turned = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
    return np.array(turned.reshape(tuple(shape)), order="C")


def from_canonical(array: npt.NDArray[Any], rank: int) -> npt.NDArray[Any]:
    """Lay a canonical tensor out for a variable of ``rank`` dimensions."""
    if rank == 4:
        return np.ascontiguousarray(array.transpose(2, 3, 1, 0))
    return np.ascontiguousarray(array.reshape(array.shape[:rank]).T)
