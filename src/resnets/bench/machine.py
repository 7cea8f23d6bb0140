"""The machine: its processor and its memory."""

import os
import platform
import sys
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Return what a figure was measured on."""
    return {
        "processor": processor(),
        "processors": usable_processors(),
        "memory_bytes": _read_field("/proc/meminfo", "MemTotal"),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "threads_asked": os.environ.get("OMP_NUM_THREADS"),
    }


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def usable_processors() -> int:
    """Count the processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int | None:
    """Return the bytes that this process can still have; None where the system does not tell."""
    known = (_read_field("/proc/meminfo", "MemAvailable"), _left_in_container())
    return min((amount for amount in known if amount is not None), default=None)


def peak_memory() -> int | None:
    """Return the most bytes this process has had in memory at once; None where unknown."""
    peak = _read_field("/proc/self/status", "VmHWM")
    if peak is not None:
        return peak
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _left_in_container() -> int | None:
    """Return what the control group (version 2) leaves; None without a limit."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = ((folder / f"memory.{name}").read_text() for name in ("max", "current"))
        fields = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        cached = int(fields.get("inactive_file", 0))  # freed when others need it
        return max(int(limit) - int(used) + cached, 0)
    except (OSError, ValueError):  # a limit of "max" is no number
        return None


def _read_field(path: str, name: str) -> int | None:
    """Read a line ``name: 123 kB`` of a file in /proc; return bytes."""
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
