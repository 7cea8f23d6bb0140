"""Where a row computes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Where:
    """A device, as a framework's module here finds it.

    Attributes:
        words: the device, for people.
        on_processor: whether the processor computes.
        versions: of the framework's distributions.
        memory: gives the most bytes held on the device; None where it has none of its own.
        wait: waits for all that was begun; None where a step's loss comes last of all.
    """

    words: str
    on_processor: bool
    versions: Mapping[str, str]
    memory: Callable[[], int] | None = None
    wait: Callable[[], None] | None = None
