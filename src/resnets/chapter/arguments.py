"""What a block can be asked for, checked alike in all four tabs."""

import numbers
import operator
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

from resnets.errors import InvalidDescription, Problem, ResnetsError

LARGEST_INT = 2**31 - 1
"""The largest count that anything here can mean."""


def check_whole(
    subject: str, name: str, *, value: Any, least: int = 1, most: int = LARGEST_INT
) -> int:
    """Give ``value`` as an int; NumPy's whole numbers are taken too.

    Raises:
        InvalidDescription: about ``name`` of ``subject``, where it is no whole number from
            ``least`` to ``most``.
    """
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if least <= number <= most:
        return number
    limit = f"from {least} on" if number < least else f"from {least} to {most:,}"
    raise InvalidDescription(subject, [Problem(name, f"{value!r} is not a whole number {limit}")])


def parse_stages(arch: Any) -> tuple[tuple[int, int], ...]:
    """Give the (blocks, channels) of each stage of ``ResNet``.

    Raises:
        InvalidDescription: for no stage, or one that is not two numbers from 1 on.
    """
    try:
        found = [tuple(stage) for stage in arch]
    except TypeError:
        found = []
    if not found or any(len(stage) != 2 for stage in found):
        message = f"{arch!r} does not list (blocks, channels) of each stage, such as ((2, 64),)"
        raise InvalidDescription("ResNet", [Problem("arch", message)])
    return tuple(
        (
            check_whole("ResNet", f"arch[{i}], its blocks", value=blocks),
            check_whole("ResNet", f"arch[{i}], its channels", value=channels),
        )
        for i, (blocks, channels) in enumerate(found)
    )


def block_widths(
    num_channels: int, groups: int | None, *, bot_mul: float, cardinality: int | None
) -> tuple[int, int]:
    """Give a ResNeXt block's inner channels, and how many groups they are.

    ``groups`` is the chapter's: the channels of a group. ``cardinality`` is their number.

    Raises:
        InvalidDescription: unless one of both is stated, and divides the inner channels.
    """
    num_channels = check_whole("ResNeXtBlock", "num_channels", value=num_channels)
    if not (isinstance(bot_mul, numbers.Real) and 0 < bot_mul < LARGEST_INT):  # pyright: ignore[reportUnnecessaryIsInstance]
        message = f"{bot_mul!r} is not a number above 0"
        raise InvalidDescription("ResNeXtBlock", [Problem("bot_mul", message)])
    inner = round(num_channels * bot_mul)
    if (groups is None) == (cardinality is None):
        message = "state one of groups (channels in a group, as the chapter) and cardinality"
        raise InvalidDescription("ResNeXtBlock", [Problem("groups", message)])
    name, number = ("groups", groups) if groups is not None else ("cardinality", cardinality)
    number = check_whole("ResNeXtBlock", name, value=number)
    if inner < 1 or inner % number:
        message = f"{number} does not divide the {inner} inner channels"
        raise InvalidDescription("ResNeXtBlock", [Problem(name, message)])
    return inner, number if name == "cardinality" else inner // number


def check_same_channels(
    block: str, channels: int, *, width: int, strides: int | Iterable[int]
) -> None:
    """Check that a block's input can be added to its output as it is.

    Raises:
        InvalidDescription: if the number of channels or the size differs; says what would do.
    """
    steps = (strides,) if isinstance(strides, int) else tuple(strides)
    if channels != width:
        message = f"the input has {channels} channels, the identity shortcut needs {width}"
    elif max(steps) > 1:
        message = f"strides={max(steps)} makes the output smaller than the identity shortcut"
    else:
        return
    problem = Problem("use_1x1conv", f"{message}; use_1x1conv=True fits them")
    raise InvalidDescription(block, [problem])


@contextmanager
def explain_sums() -> Generator[None]:
    """Say what a reader's block cannot add, where that is why a forward pass inside fails.

    Raises:
        InvalidDescription: in place of the framework's error, if a block of the chapter's form
            was about to add a shortcut ``X`` of another shape to its branch ``Y``.
    """
    try:
        yield
    except ResnetsError:
        raise
    except Exception as error:
        problem = _find_unequal_sum(error)
        if problem is None:
            raise
        raise InvalidDescription(*problem) from error


def _find_unequal_sum(error: BaseException) -> tuple[str, list[Problem]] | None:
    """Find the innermost method whose ``X`` and ``Y`` have different shapes."""
    for frame, _ in reversed(list(walk_tb(error.__traceback__))):
        found = frame.f_locals
        shapes = [tuple(getattr(found.get(name), "shape", ())) for name in "XY"]
        if "self" in found and all(len(shape) == 4 for shape in shapes):
            if shapes[0] == shapes[1]:
                return None
            message = (
                f"the shortcut is {shapes[0]} and the branch {shapes[1]}, which cannot be added; "
                "use_1x1conv=True with the branch's strides fits them"
            )
            return type(found["self"]).__name__, [Problem("use_1x1conv", message)]
    return None
