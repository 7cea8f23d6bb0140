"""Arguments kept as attributes, and methods added to a class from a later cell."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


def add_to_class(owner: type) -> Callable[[_Function], _Function]:
    """Make the decorated function a method of ``owner``, whose instances have it from then on."""

    def register(function: _Function) -> _Function:
        setattr(owner, function.__name__, function)
        return function

    return register


class HyperParameters:
    """Objects that keep what they were made with."""

    hparams: dict[str, Any]

    def save_hyperparameters(self, ignore: Iterable[str] = ()) -> None:
        """Keep the calling method's arguments as attributes, and all together in ``hparams``.

        As in the book, what the method has computed by then is kept too. Left out are ``self``,
        the names in ``ignore`` and names that begin with an underscore.
        """
        frame = inspect.currentframe()
        caller = frame.f_back if frame else None
        if caller is None:
            raise RuntimeError("save_hyperparameters is called from a method")
        left_out = {"self", *ignore}
        found = {
            name: value
            for name, value in caller.f_locals.items()
            if name not in left_out and not name.startswith("_")
        }
        self.hparams = found
        for name, value in found.items():
            setattr(self, name, value)
