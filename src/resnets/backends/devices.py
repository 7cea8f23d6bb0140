"""What the backends say about devices in the same words."""

import os
import platform
from collections.abc import Iterable

from resnets.errors import ResnetsError


def describe_cpu(threads: int) -> str:
    """Return a description of this machine's processor for people."""
    return f"{platform.machine()} CPU, {threads} thread{'s' if threads != 1 else ''}"


def count_processors() -> int:
    """Return the number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def unknown_device(name: str, framework: str, *, found: Iterable[str]) -> ResnetsError:
    """Return the error for a device that a framework does not find."""
    return ResnetsError(f"no device is called {name!r} here; {framework} finds {', '.join(found)}")
