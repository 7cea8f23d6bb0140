"""Keep freed memory in the process, where that is faster.

Every step allocates and frees the same large arrays. By default glibc gives each back to the
kernel and asks for it again, and the kernel clears every page anew: a fifth of a training step
of ResNet-18 on two cores (benchmarks/training_step).
"""

import ctypes
import sys

# From malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def keep_pages() -> bool:
    """Tell glibc to keep what is freed; elsewhere do nothing. Gives whether it was told."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent in other C libraries
    if mallopt is None:
        return False
    largest = 2**31 - 1
    settings = ((_M_MMAP_THRESHOLD, largest), (_M_TRIM_THRESHOLD, largest), (_M_TOP_PAD, 2**26))
    return all(mallopt(name, value) for name, value in settings)
