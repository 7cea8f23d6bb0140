"""Lazy layers without torch's warning that they may change; the chapter's own have it."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def _quietly() -> Generator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Lazy modules are a new feature", UserWarning)
        yield


def lazy_conv(width: int, kernel: int, **rest: Any) -> nn.LazyConv2d:
    """A convolution that puts out ``width`` channels."""
    with _quietly():
        return nn.LazyConv2d(width, kernel, **rest)


def lazy_norm() -> nn.LazyBatchNorm2d:
    """A batch norm."""
    with _quietly():
        return nn.LazyBatchNorm2d()


def lazy_linear(width: int) -> nn.LazyLinear:
    """A dense layer that puts out ``width`` numbers."""
    with _quietly():
        return nn.LazyLinear(width)
