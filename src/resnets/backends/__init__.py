"""The four backends, loaded by name.

``load`` imports one. ``protocol`` declares what a backend offers.
"""

import importlib
import importlib.util
from typing import cast

from resnets.backends.protocol import Backend as Backend
from resnets.backends.protocol import Batch as Batch
from resnets.backends.protocol import Evaluator as Evaluator
from resnets.backends.protocol import Measured as Measured
from resnets.backends.protocol import Session as Session
from resnets.errors import MissingDependency, ResnetsError, UnknownName, summarise_error

NAMES = ("torch", "jax", "tensorflow", "mxnet")

# MXNet pins an older NumPy than it needs, so pip must not resolve its dependencies.
_MORE = {"mxnet": " and pip install --no-deps mxnet==1.9.1"}


def is_installed(name: str) -> bool:
    """Return whether the framework ``name`` is installed, without importing it."""
    return importlib.util.find_spec(name) is not None


def choose_default(preferred: str | None = None) -> str:
    """Return the name of the framework to use by default: ``preferred``, or the first installed.

    If none is installed, return the first of all: its ``load`` explains how to install it.
    """
    wanted = NAMES if preferred not in NAMES else (preferred, *NAMES)
    return next(filter(is_installed, wanted), NAMES[0])


def load(name: str) -> Backend:
    """Return the backend ``name``, imported.

    Raises:
        UnknownName: if there is no backend of that name.
        MissingDependency: if its framework cannot be imported, with the reason or the command
            that installs it.
    """
    if name not in NAMES:
        raise UnknownName(
            f"no backend is called {name!r} (there are {', '.join(NAMES)})",
            name=name,
            suggestions=NAMES,
        )
    try:
        return cast("Backend", importlib.import_module(f"resnets.backends.{name}"))
    except ResnetsError:
        raise
    except Exception as error:  # a broken framework may raise anything
        raise MissingDependency(_unusable(name, error)) from error


def _unusable(name: str, error: Exception) -> str:
    """Return why a framework cannot be imported, and how to install what is missing."""
    install = f'pip install "resnets[{name}]"{_MORE.get(name, "")}'
    if isinstance(error, ImportError) and not is_installed(name):
        return f"{name} is not installed: {install}"
    message = f"{name} is installed but cannot be imported: {summarise_error(error)}"
    return f"{message}: {install}" if isinstance(error, ModuleNotFoundError) else message
