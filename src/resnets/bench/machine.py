"""The machine: its processor, its memory, what of it is free."""

import os
import platform
import sys
from pathlib import Path
from typing import Any


def described() -> dict[str, Any]:
    """Say what a figure was measured on."""
    return {
        "processor": processor(),
        "processors": usable_processors(),
        "memory_bytes": _total_memory(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "threads_asked": os.environ.get("OMP_NUM_THREADS"),
    }


def processor() -> str:
    """Name the processor."""
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
    """Give the bytes that new processes can have; None where the system does not say."""
    found = [amount for amount in (_available(), _left_in_group()) if amount is not None]
    return min(found, default=None)


def computes_elsewhere(device: str) -> bool:
    """Whether the work may be on a device with a memory of its own."""
    if device != "auto":
        return device != "cpu"
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg"))


def peak_memory() -> int | None:
    """Give the most bytes this process has had in memory at once; None where unknown."""
    found = _status("/proc/self/status", "VmHWM")
    if found is not None:
        return found
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _available() -> int | None:
    return _status("/proc/meminfo", "MemAvailable")


def _total_memory() -> int | None:
    return _status("/proc/meminfo", "MemTotal")


def _left_in_group() -> int | None:
    """What a container may still have (control groups, version 2)."""
    folder = Path("/sys/fs/cgroup")
    try:
        most, used = ((folder / f"memory.{n}").read_text().strip() for n in ("max", "current"))
        if most == "max":
            return None
        counted = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        cached = int(counted.get("inactive_file", 0))  # given up when others need it
        return max(int(most) - int(used) + cached, 0)
    except (OSError, ValueError):
        return None


def _status(path: str, name: str) -> int | None:
    """Read ``name: 123 kB`` of a file in /proc, in bytes."""
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
