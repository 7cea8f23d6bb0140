"""Comparing what a file has with what a network needs, in the file's own names."""

from collections.abc import Iterable, Mapping

from resnets.errors import WeightsError

Shape = tuple[int, ...]
MOST_SHOWN = 12


def require_match(
    found: Mapping[str, Shape], needed: Mapping[str, Shape], *, where: str, form: str
) -> None:
    """Raise WeightsError with missing, unknown and misshapen arrays, unless there are none."""
    missing = [name for name in needed if name not in found]
    unexpected = [name for name in found if name not in needed]
    misshapen = [name for name in needed if name in found and found[name] != needed[name]]
    problems = [
        *(f"{name}: missing, shape {needed[name]}" for name in missing),
        *(f"{name}: unknown, shape {found[name]}" for name in unexpected),
        *(f"{name}: shape {found[name]}, expected {needed[name]}" for name in misshapen),
    ]
    if problems:
        more = len(problems) - MOST_SHOWN
        shown = problems[:MOST_SHOWN] + ([f"… and {more} more"] if more > 0 else [])
        raise WeightsError(
            "\n  ".join([f"{where}: not whole as {form}:", *shown]),
            missing=missing,
            unexpected=unexpected,
            misshapen=misshapen,
        )


def get_shape(found: Mapping[str, Shape], name: str, *, dimensions: int, where: str) -> Shape:
    """Return the shape of an array. Raises WeightsError if it is missing or of other dimensions."""
    if name not in found:
        raise WeightsError(f"{where}: {name} is missing; it has {_list_names(found)}")
    shape = found[name]
    if len(shape) != dimensions:
        raise WeightsError(f"{where}: {name} has shape {shape}, not {dimensions} dimensions")
    return shape


def _list_names(names: Iterable[str], most: int = 5) -> str:
    """Name the first few of many."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more if listed else "nothing"
