"""Other projects' weights: read from any of their forms, written in some.

``receive`` reads a folder, a file or a repository of the hub and makes a network of it, with
notes on what had to be assumed; ``describe`` returns the architecture alone. ``write`` is in
``resnets.convert.writing``. No framework is imported but to read and write its own format.
"""

from resnets.convert.fitting import reset_head, with_channels
from resnets.convert.found import Found
from resnets.convert.reading import (
    Description,
    Received,
    WeightsSource,
    describe,
    open_source,
    read,
    receive,
)

__all__ = [
    "Description",
    "Found",
    "Received",
    "WeightsSource",
    "describe",
    "open_source",
    "read",
    "receive",
    "reset_head",
    "with_channels",
]
