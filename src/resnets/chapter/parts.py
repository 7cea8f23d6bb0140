"""What a chapter's network is made of, in no framework's terms: what the four tabs hand over.

Each tab lists its network's parts in order; ``recognition`` makes an ``Architecture`` of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy.typing as npt

from resnets.errors import InvalidDescription, Problem

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TensorSlot:
    """Where a tensor is kept: how to read it in the canonical layout, and how to replace it."""

    read: Callable[[], Array]
    write: Callable[[Array], None]


@dataclass(frozen=True, kw_only=True)
class ConvolutionPart:
    """A convolution whose padding is ``padding`` pixels on all sides.

    Attributes:
        where: it stands, in the reader's words, such as ``net[0][0]``.
        slots: ``weight``, and ``bias`` if it has one.
    """

    where: str
    channels: int
    width: int
    kernel: int
    stride: int
    padding: int
    groups: int
    slots: Mapping[str, TensorSlot]


@dataclass(frozen=True, kw_only=True)
class BatchNormPart:
    """A batch norm; slots are ``weight``, ``bias``, ``running_mean`` and ``running_var``."""

    where: str
    epsilon: float
    decay: float
    slots: Mapping[str, TensorSlot]

    @property
    def width(self) -> int:
        """Channels that it norms."""
        return len(self.slots["weight"].read())


@dataclass(frozen=True, kw_only=True)
class DensePart:
    """A dense layer; slots are ``weight`` and ``bias``."""

    where: str
    width: int
    slots: Mapping[str, TensorSlot]


@dataclass(frozen=True, kw_only=True)
class PlainPart:
    """A layer without weights."""

    where: str
    kind: Literal["relu", "max_pool", "mean_pool", "flatten"]


@dataclass(frozen=True, kw_only=True)
class BlockPart:
    """A residual block: its convolutions and norms by the chapter's names for them."""

    where: str
    convolutions: Mapping[str, ConvolutionPart] = field(default_factory=dict[str, ConvolutionPart])
    norms: Mapping[str, BatchNormPart] = field(default_factory=dict[str, BatchNormPart])


Part = ConvolutionPart | BatchNormPart | DensePart | PlainPart | BlockPart


@dataclass(frozen=True, kw_only=True)
class InspectedModel:
    """A reader's network: its parts, and its function in evaluation mode.

    Attributes:
        logits: for images [n, channels, height, width].
        size: height and width of images that it takes.
        finish_writing: gives what ``load`` gives back, once slots were written.
    """

    parts: tuple[Part, ...]
    logits: Callable[[Array], Array]
    finish_writing: Callable[[], Any]
    size: tuple[int, int] = (64, 64)


def make_refusal(where: str, message: str) -> InvalidDescription:
    """Make the error that says what keeps a network from being described, and where."""
    return InvalidDescription("the chapter's network", [Problem(where, message)])


def first_line(error: BaseException) -> str:
    """Give what an error of a framework begins with; the rest is its own affair."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]


def refuse_pool(where: str, what: object) -> InvalidDescription:
    """Make the error that says which max-pool an ``Architecture`` has."""
    message = f"{what}: an Architecture has a max-pool of 3x3, stride 2, padding 1 in its stem"
    return make_refusal(where, message)


def refuse_dense(where: str) -> InvalidDescription:
    """Make the error for a dense layer that is more or less than a matrix and a bias."""
    return make_refusal(where, "the dense layer has no bias, or an activation of its own")


def same_padding(where: str, kernel: int, *, stride: int) -> int:
    """Give the pixels on each side that ``same`` padding means.

    Raises:
        InvalidDescription: at a stride, where it puts the odd pixel behind.
    """
    if stride > 1 and kernel > 1:
        message = (
            f"padding 'same' at stride {stride} puts more pixels behind than before, which no "
            "Architecture does and the other tabs do not; the helper's own Residual, ResNet and "
            "ResNet18 pad on both sides alike"
        )
        raise make_refusal(where, message)
    return kernel // 2
