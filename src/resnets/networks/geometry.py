"""Where the blocks of an architecture stand, and the convolutions of their branches."""

import math
from dataclasses import dataclass

from resnets.networks.architecture import Architecture
from resnets.networks.spec import Stage


@dataclass(frozen=True, kw_only=True)
class BlockGeometry:
    """Where a block stands.

    Attributes:
        channels: that it reads.
        stride: 1 but for a stage's first block.
        dilations: of its first and of its second 3×3 convolution.
        changes_shape: whether its shortcut changes the shape.
    """

    channels: int
    stride: int
    dilations: tuple[int, int]
    changes_shape: bool


def block_geometries(architecture: Architecture) -> tuple[tuple[BlockGeometry, ...], ...]:
    """Give every stage's blocks the place where they stand.

    A stage that would shrink the maps beyond the output stride dilates instead: its first block's
    first 3×3 still as the stage before, all later ones by the stride it forgoes.
    """
    stem = architecture.stem
    channels, dilation = stem.width, 1
    reduction = stem.stride * (2 if stem.pool else 1)
    limit = architecture.output_stride
    found: list[tuple[BlockGeometry, ...]] = []
    for stage in architecture.stages:
        stride, before = stage.stride, dilation
        if limit is not None and reduction >= limit:
            stride, dilation = 1, dilation * stage.stride
        reduction *= stride
        first = BlockGeometry(
            channels=channels,
            stride=stride,
            dilations=(before, dilation),
            changes_shape=stride != 1 or channels != stage.width,
        )
        channels = stage.width
        later = BlockGeometry(
            channels=channels, stride=1, dilations=(dilation, dilation), changes_shape=False
        )
        found.append((first, *[later] * (stage.depth - 1)))
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class ConvolutionSpec:
    """One of a block's convolutions: channels put out, and the rest as ``Layer`` has it."""

    width: int
    kernel: int
    stride: int = 1
    groups: int = 1
    dilation: int = 1


def convolutions(stage: Stage, geometry: BlockGeometry) -> tuple[ConvolutionSpec, ...]:
    """List the convolutions of a block's branch."""
    block, width, stride = stage.block, stage.width, geometry.stride
    inner = block.inner_width(width)
    first, second = geometry.dilations
    if block.kind == "basic":
        return (
            ConvolutionSpec(width=inner, kernel=3, stride=stride, dilation=first),
            ConvolutionSpec(width=width, kernel=3, dilation=second),
        )
    if block.kind == "shift":
        narrow = ConvolutionSpec(width=inner, kernel=1)
        return narrow, ConvolutionSpec(width=width, kernel=1, stride=stride)
    in_1x1, in_3x3 = (stride, 1) if block.stride_in == "1x1" else (1, stride)
    return (
        ConvolutionSpec(width=inner, kernel=1, stride=in_1x1),
        ConvolutionSpec(width=inner, kernel=3, stride=in_3x3, groups=block.groups, dilation=first),
        ConvolutionSpec(width=width, kernel=1),
    )


def default_image_size(architecture: Architecture) -> int:
    """Pixels a side of the images a network is made for.

    224 for a network that shrinks them 32 times, as all for ImageNet do; else Fashion-MNIST's 28
    for grey images and CIFAR's 32 for coloured ones.
    """
    a = architecture
    strides = (a.stem.stride, 2 if a.stem.pool else 1, *(stage.stride for stage in a.stages))
    if math.prod(strides) >= 32:
        return 224
    return 28 if architecture.channels == 1 else 32
