"""Where a tap of a kernel lies on a map: the same in every framework."""


def find_overlap(size: int, stride: int, tap: int) -> tuple[slice, slice]:
    """Return the outputs for which a tap lies on the map, and the pixels that it reads for them.

    Args:
        size: of the map along one side, in pixels.
        stride: of the kernel.
        tap: 0, 1 or 2: of a kernel of three with padding 1.
    """
    count = (size - 1) // stride + 1
    first = 1 if tap == 0 else 0
    last = min(count - 1, (size - tap) // stride)
    if last < first:
        return slice(0), slice(0)
    start = first * stride + tap - 1
    return slice(first, last + 1), slice(start, last * stride + tap, stride)
