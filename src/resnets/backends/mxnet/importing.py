"""MXNet 1.9.1, imported beside a NumPy that is newer than it.

MXNet 1.9.1, the last release, reads names of NumPy while it is imported that NumPy has since
removed. They are lent to NumPy for that moment and taken back: nothing else sees them. Whoever
has imported ``resnets.backends.mxnet`` can then ``import mxnet`` as ever.
"""

import importlib
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np


def _removed(*_: Any, **__: Any) -> Any:
    raise NotImplementedError("NumPy no longer has this function")


# What mxnet.numpy re-exports. The second row was removed from NumPy without a successor.
_NAMES: dict[str, Any] = {
    "PZERO": 0.0,
    "NZERO": -0.0,
    "PINF": np.inf,
    "NINF": -np.inf,
    "Inf": np.inf,
    **dict.fromkeys(("mirr", "msort", "npv", "pmt", "ppmt", "pv", "rate"), _removed),
    "NAN": np.nan,
    "NaN": np.nan,
    "bool": bool,
    "alltrue": np.all,
    "sometrue": np.any,
    "product": np.prod,
    "round_": np.round,
    "in1d": np.isin,
    "trapz": getattr(np, "trapezoid", _removed),
}


@contextmanager
def _lend_names() -> Generator[None]:
    lent = {name: value for name, value in _NAMES.items() if name not in vars(np)}
    for name, value in lent.items():
        setattr(np, name, value)
    try:
        yield
    finally:
        for name in lent:
            delattr(np, name)


def _import_mxnet() -> Any:
    """Import mxnet, or give the one that is imported already.

    Raises:
        ImportError: if it is not installed, or fails in an environment that it was not built for.
    """
    if "mxnet" in sys.modules:
        return importlib.import_module("mxnet")
    # An attempt that failed, as under a new NumPy it does, leaves half of the package behind.
    for name in [name for name in sys.modules if name.startswith("mxnet.")]:
        del sys.modules[name]
    with _lend_names(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its use of distutils
        try:
            return importlib.import_module("mxnet")
        except (AttributeError, OSError) as error:
            raise ImportError(str(error)) from error


mx = _import_mxnet()
