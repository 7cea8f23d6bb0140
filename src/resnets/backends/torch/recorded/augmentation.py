"""Draws that lie on the device applied there; pixel for pixel as ``torch.augmentation``."""

from collections.abc import Mapping

import torch
from torch import Tensor

from resnets.backends.torch.augmentation import Preparation, is_inside


def batch_of(
    stored: Tensor, numbers: Mapping[str, Tensor], *, border: int, prepare: Preparation
) -> Tensor:
    """Return a batch [n, channels, height, width] out of stored images [all, h, w, c].

    ``numbers`` are as in ``numbers_of``; every step does the same operations, whatever was drawn.
    """
    if "flipped" in numbers or "offsets" in numbers:
        stored = _cut(stored, numbers, border)
    elif "index" in numbers:
        stored = stored.index_select(0, numbers["index"])
    x = prepare.normalise(stored)
    if "erased" in numbers:
        x = x.masked_fill(is_inside(numbers["erased"], x), 0)
    return _mix(x, numbers) if "partner" in numbers else x


def _cut(stored: Tensor, numbers: Mapping[str, Tensor], border: int) -> Tensor:
    """Gather, cut out of the black border and mirror, all at once."""
    _, height, width, _ = stored.shape
    n = len(next(numbers[name] for name in ("flipped", "offsets") if name in numbers))
    index = numbers.get("index", torch.arange(n, device=stored.device))[:, None, None]
    rows = torch.arange(height, device=stored.device).expand(n, height)
    columns = torch.arange(width, device=stored.device).expand(n, width)
    if "flipped" in numbers:
        mirrored = numbers["flipped"][:, None] != 0
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if "offsets" not in numbers:
        return stored[index, rows[:, :, None], columns[:, None, :]]
    rows = rows + (numbers["offsets"][:, :1] - border)
    columns = columns + (numbers["offsets"][:, 1:] - border)
    in_rows, in_columns = _is_within(rows, height), _is_within(columns, width)
    there = (in_rows[:, :, None] & in_columns[:, None, :])[..., None]
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    return stored[index, rows[:, :, None], columns[:, None, :]] * there


def _is_within(places: Tensor, length: int) -> Tensor:
    return (places >= 0) & (places < length)


def _mix(x: Tensor, numbers: Mapping[str, Tensor]) -> Tensor:
    other = x.index_select(0, numbers["partner"])
    blended = torch.lerp(other, x, numbers["shares"][0].to(x.dtype))
    if "box" not in numbers:
        return blended
    top, left, bottom, right = numbers["box"].unbind()
    rows = torch.arange(x.shape[2], device=x.device)[:, None]
    columns = torch.arange(x.shape[3], device=x.device)
    boxed = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    return torch.where(numbers["by_box"] != 0, torch.where(boxed, other, x), blended)
