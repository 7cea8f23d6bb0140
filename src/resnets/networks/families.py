"""From the few numbers that papers state to the architectures they describe.

``catalog`` has the numbers and the names.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from resnets.networks.architecture import Architecture
from resnets.networks.spec import Block, Stage, Stem

SMALL_STEM = Stem(kernel=3, stride=1, pool=False)


def imagenet_network(
    depths: tuple[int, ...], block: Block, *, widths: Iterable[int]
) -> Architecture:
    stages = tuple(
        Stage(depth=depth, width=width, stride=1 if i == 0 else 2, block=block)
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True))
    )
    return Architecture(stages=stages)


def resnet(kind: str, depths: tuple[int, ...]) -> Architecture:
    if kind == "basic":
        return imagenet_network(depths, Block(kind="basic"), widths=(64, 128, 256, 512))
    return imagenet_network(depths, Block(kind="bottleneck"), widths=(256, 512, 1024, 2048))


def with_stride_in_1x1(architecture: Architecture) -> Architecture:
    stages = tuple(
        replace(stage, block=replace(stage.block, stride_in="1x1")) for stage in architecture.stages
    )
    return replace(architecture, stages=stages)


def resnext(plain: Architecture, groups: int, *, group_width: int) -> Architecture:
    """Xie et al. 2016, Table 1: groups in a bottleneck's 3×3, whose width doubles by stage."""
    stages = tuple(
        replace(stage, block=replace(stage.block, groups=groups, inner=groups * group_width * 2**i))
        for i, stage in enumerate(plain.stages)
    )
    return replace(plain, stages=stages)


def with_deep_stem(architecture: Architecture) -> Architecture:
    """ResNet-C: T. He et al. 2018, Figure 2b."""
    return replace(architecture, stem=Stem(kernel=3, stride=2, deep=True))


def with_deep_stem_and_average_shortcut(architecture: Architecture) -> Architecture:
    """ResNet-D: ResNet-C whose shortcuts average before they project; ibid., Figure 2c."""
    return with_average_shortcut(with_deep_stem(architecture))


def with_average_shortcut(architecture: Architecture) -> Architecture:
    """What ResNet-D adds to ResNet-C: no shortcut throws three pixels of four away."""
    stages = tuple(
        replace(stage, block=replace(stage.block, shortcut="average_projection"))
        for stage in architecture.stages
    )
    return replace(architecture, stages=stages)


def with_squeeze_excitation(architecture: Architecture) -> Architecture:
    stages = tuple(
        replace(stage, block=replace(stage.block, squeeze=max(stage.width // 16, 8)))
        for stage in architecture.stages
    )
    return replace(architecture, stages=stages)


def with_small_stem(architecture: Architecture) -> Architecture:
    return replace(architecture, stem=SMALL_STEM)


def chapter_resnet() -> Architecture:
    """Dive into Deep Learning 8.6: ``ResNet18``, for grey images of ten classes."""
    block = Block(kind="basic", shortcut="bare_projection")
    plain = imagenet_network((2, 2, 2, 2), block, widths=(64, 128, 256, 512))
    return replace(plain, channels=1, classes=10, bias=True)


def cifar_resnet(layers: int, shortcut: Literal["padding", "projection"]) -> Architecture:
    block = Block(kind="basic", shortcut=shortcut)
    stages = tuple(
        Stage(depth=(layers - 2) // 6, width=width, stride=1 if i == 0 else 2, block=block)
        for i, width in enumerate((16, 32, 64))
    )
    return Architecture(stem=replace(SMALL_STEM, width=16), stages=stages, classes=10)


def with_preactivation(architecture: Architecture) -> Architecture:
    return replace(architecture, preactivation=True)


def cifar_preactivation(
    kind: Literal["basic", "bottleneck"], depth: int, factor: int = 1
) -> Architecture:
    """Three stages of 16, 32 and 64 inner channels times ``factor``; four times that put out."""
    expansion = 4 if kind == "bottleneck" else factor
    stages = tuple(
        Stage(
            depth=depth,
            width=width * expansion,
            stride=1 if i == 0 else 2,
            block=Block(kind=kind),
        )
        for i, width in enumerate((16, 32, 64))
    )
    stem = replace(SMALL_STEM, width=16)
    return Architecture(stem=stem, stages=stages, classes=10, preactivation=True)


def cifar_resnext(groups: int, group_width: int) -> Architecture:
    stages = tuple(
        Stage(
            depth=3,
            width=256 * 2**i,
            stride=1 if i == 0 else 2,
            block=Block(kind="bottleneck", groups=groups, inner=groups * group_width * 2**i),
        )
        for i in range(3)
    )
    return Architecture(stem=SMALL_STEM, stages=stages, classes=10)


def regnet(
    depths: tuple[int, ...], widths: tuple[int, ...], group_width: int, squeeze: bool
) -> Architecture:
    stages = tuple(
        Stage(
            depth=depth,
            width=width,
            stride=2,
            block=Block(
                kind="bottleneck",
                inner=width,
                groups=width // min(group_width, width),
                squeeze_ratio=0.25 if squeeze else None,
                squeeze_at="3x3" if squeeze else "branch",
            ),
        )
        for depth, width in zip(depths, widths, strict=True)
    )
    stem = Stem(width=32, kernel=3, stride=2, pool=False)
    return Architecture(stem=stem, stages=stages, naming="regnet")


def cifar_shiftresnet(layers: int, expansion: int) -> Architecture:
    plain = cifar_resnet(layers, "projection")
    stages = tuple(
        replace(stage, block=Block(kind="shift", inner=expansion * stage.width))
        for stage in plain.stages
    )
    return replace(plain, stages=stages)


def with_gated_shortcut(architecture: Architecture) -> Architecture:
    """He et al. 2016, section 3.1: "exclusive gating", the gate of Highway Networks."""
    stages = tuple(
        replace(stage, block=replace(stage.block, gated=True)) for stage in architecture.stages
    )
    return replace(architecture, stages=stages)


def with_group_norm(architecture: Architecture) -> Architecture:
    """Wu and He 2018, Table 1: 32 groups."""
    return replace(architecture, norm=replace(architecture.norm, kind="group", groups=32))


def chapter_resnext_block(width: int, groups: int, *, multiplier: float = 1.0) -> Block:
    """Give the chapter's ``ResNeXtBlock(width, groups, multiplier)``.

    Its ``groups`` is the number of channels in a group, not of groups: it gives
    ``inner // groups`` to its convolution as the number of groups.
    """
    inner = round(width * multiplier)
    return Block(kind="bottleneck", inner=inner, groups=inner // groups)


def chapter_resnext() -> Architecture:
    """The chapter's blocks where its ResNet-18 has ``Residual``; the chapter stops at the block."""
    plain = chapter_resnet()
    stages = tuple(
        replace(stage, block=chapter_resnext_block(stage.width, groups=16))
        for stage in plain.stages
    )
    return replace(plain, stages=stages)


def slim_resnet(depth: int, widths: tuple[int, ...], stride: int = 2) -> Architecture:
    stages = tuple(
        Stage(depth=depth, width=width, stride=1 if i == 0 else 2) for i, width in enumerate(widths)
    )
    stem = Stem(width=widths[0], kernel=3, stride=stride, pool=False)
    return Architecture(stem=stem, stages=stages, channels=1, classes=10)
