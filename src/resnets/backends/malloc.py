"""Keep freed memory in the process, where that is faster.

Every step allocates and frees the same large arrays. By default glibc gives each of them back to
the kernel and asks for it again, and the kernel clears every page anew: 6 to 14% of a step. The
price is memory: what is kept in pieces cannot hold one large array, and another place is taken for
it. XLA allocates a step's memory in one piece, and has been seen to hold two.
"""

import ctypes
import sys
from functools import cache

# From malloc.h of the GNU C library. M_MMAP_THRESHOLD would not do: it refuses more than 32 MB.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


@cache
def keep_pages(*, one_arena: bool = False) -> bool:
    """Tell glibc to keep what this process frees; elsewhere do nothing.

    Holds for the whole process, until it ends. Returns whether glibc was told.

    ``one_arena``: threads that start from now on allocate from the memory of the main one. An
    arena of their own holds at most 64 MB; what is larger goes back to the kernel all the same.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent in other C libraries
    if mallopt is None:
        return False
    settings = [(_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 2**26)]
    if one_arena:
        settings.append((_M_ARENA_MAX, 1))
    told = [mallopt(name, value) == 1 for name, value in settings]
    return all(told)
