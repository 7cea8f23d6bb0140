"""Networks by name: data, not code.

``resnet50`` is torchvision's and timm's (v1.5, the stride in the 3×3, also called ResNet-B);
``resnet50_v1`` is the paper's Table 1 (the stride in the first 1×1); ``resnet50c`` and
``resnet50d`` are ResNet-C and -D. ``*_small`` are the same stages behind a stem for small images
(3×3, stride 1, no pool). ``cifar_*`` are the papers' networks for CIFAR, with option A's padded
shortcuts; ``*_projection`` with option B's. ``chapter_*`` are the dialect of *Dive into Deep
Learning*: convolutions with biases and no norm on the shortcut's 1×1 convolution; its
``ResNeXtBlock`` has that norm, and groups of a stated width. ``*_gn`` have group norms.
"""

import difflib
import fnmatch
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

from resnets.architecture import Architecture, Block, Stage, Stem
from resnets.errors import UnknownName

SMALL_STEM = Stem(kernel=3, stride=1, pool=False)

# He et al. 2015, Table 1: blocks in conv2_x to conv5_x.
DEPTHS = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
    "resnet152": ("bottleneck", (3, 8, 36, 3)),
}

# timm's, between and beyond them.
MORE_DEPTHS = {
    "resnet26": ("bottleneck", (2, 2, 2, 2)),
    "resnet200": ("bottleneck", (3, 24, 36, 3)),
}

# Xie et al. 2016, Table 1 and section 5: depth, cardinality, width of a group in conv2_x.
RESNEXTS = {
    "resnext50_32x4d": ("resnet50", 32, 4),
    "resnext101_32x4d": ("resnet101", 32, 4),
    "resnext101_32x8d": ("resnet101", 32, 8),
    "resnext101_64x4d": ("resnet101", 64, 4),
}


# He et al. 2016, Table 5 and section 4, the stride in the 3×3 as timm has it.
PREACTIVATIONS = {
    "resnetv2_18": ("basic", (2, 2, 2, 2)),
    "resnetv2_34": ("basic", (3, 4, 6, 3)),
    "resnetv2_50": ("bottleneck", (3, 4, 6, 3)),
    "resnetv2_101": ("bottleneck", (3, 4, 23, 3)),
    "resnetv2_152": ("bottleneck", (3, 8, 36, 3)),
    "resnetv2_200": ("bottleneck", (3, 24, 36, 3)),
}

# He et al. 2016, Tables 1 to 3: kind of block, blocks in each of three stages.
CIFAR_PREACTIVATIONS: dict[str, tuple[Literal["basic", "bottleneck"], int]] = {
    "cifar_resnetv2_110": ("basic", 18),
    "cifar_resnetv2_164": ("bottleneck", 18),
    "cifar_resnetv2_1001": ("bottleneck", 111),
}

# Zagoruyko and Komodakis 2016 (arXiv:1605.07146), Table 1: blocks a stage, widening factor.
WRNS = {
    "wrn_16_8": (2, 8),
    "wrn_28_10": (4, 10),
    "wrn_40_4": (6, 4),
}

# Zagoruyko and Komodakis 2016, as torchvision and timm have it: inner
# channels of the first stage; the stages' widths stay those of ResNet.
WIDE = {
    "wide_resnet50_2": ("resnet50", 128),
    "wide_resnet101_2": ("resnet101", 128),
}

# He et al. 2015, section 4.2: 6n + 2 layers for CIFAR's 32×32.
CIFAR_LAYERS = (20, 32, 44, 56, 110, 1202)

# Hu et al. 2017, Table 1: squeezed to a sixteenth of the channels, to 8 of them at least, as timm
# has it.
EXCITED = {
    "seresnet18": "resnet18",
    "seresnet34": "resnet34",
    "seresnet50": "resnet50",
    "seresnet101": "resnet101",
    "seresnet152": "resnet152",
    "seresnext50_32x4d": "resnext50_32x4d",
    "seresnext101_32x4d": "resnext101_32x4d",
    "seresnext101_32x8d": "resnext101_32x8d",
}

# Xie et al. 2016, section 5.2: 29 layers for CIFAR; cardinality, a group's width in stage 1.
CIFAR_RESNEXTS = {
    "cifar_resnext29_8x64d": (8, 64),
    "cifar_resnext29_16x64d": (16, 64),
}

# Radosavovic et al. 2020, Tables 3 and 4, as torchvision names and builds them: depths, widths,
# width of a group; Y squeezes to a quarter of a block's input.
REGNETS = {
    "regnet_x_400mf": ((1, 2, 7, 12), (32, 64, 160, 400), 16),
    "regnet_x_800mf": ((1, 3, 7, 5), (64, 128, 288, 672), 16),
    "regnet_x_1_6gf": ((2, 4, 10, 2), (72, 168, 408, 912), 24),
    "regnet_x_3_2gf": ((2, 6, 15, 2), (96, 192, 432, 1008), 48),
    "regnet_x_8gf": ((2, 5, 15, 1), (80, 240, 720, 1920), 120),
    "regnet_x_16gf": ((2, 6, 13, 1), (256, 512, 896, 2048), 128),
    "regnet_x_32gf": ((2, 7, 13, 1), (336, 672, 1344, 2520), 168),
    "regnet_y_400mf": ((1, 3, 6, 6), (48, 104, 208, 440), 8),
    "regnet_y_800mf": ((1, 3, 8, 2), (64, 144, 320, 784), 16),
    "regnet_y_1_6gf": ((2, 6, 17, 2), (48, 120, 336, 888), 24),
    "regnet_y_3_2gf": ((2, 5, 13, 1), (72, 216, 576, 1512), 24),
    "regnet_y_8gf": ((2, 4, 10, 1), (224, 448, 896, 2016), 56),
    "regnet_y_16gf": ((2, 4, 11, 1), (224, 448, 1232, 3024), 112),
    "regnet_y_32gf": ((2, 5, 12, 1), (232, 696, 1392, 3712), 232),
    "regnet_y_128gf": ((2, 7, 17, 1), (528, 1056, 2904, 7392), 264),
}

# Wu et al. 2018, section 4.1: ResNet's CIFAR networks with shift blocks; layers, expansion. The
# layers count the 3×3 convolutions that the shifts replace.
SHIFTS = {
    "cifar_shiftresnet20_6x": (20, 6),
    "cifar_shiftresnet56_6x": (56, 6),
    "cifar_shiftresnet110_6x": (110, 6),
}

# Ours, for small grey images on a laptop: blocks a stage, widths of the stages.
SLIM = {
    "resnet8_slim": (1, (32, 64, 128)),
    "resnet14_slim": (2, (32, 64, 128)),
}


def _imagenet(depths: tuple[int, ...], block: Block, widths: Iterable[int]) -> Architecture:
    stages = tuple(
        Stage(depth=depth, width=width, stride=1 if i == 0 else 2, block=block)
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True))
    )
    return Architecture(stages=stages)


def _resnet(kind: str, depths: tuple[int, ...]) -> Architecture:
    if kind == "basic":
        return _imagenet(depths, Block(kind="basic"), (64, 128, 256, 512))
    return _imagenet(depths, Block(kind="bottleneck"), (256, 512, 1024, 2048))


def _strided_in_1x1(architecture: Architecture) -> Architecture:
    stages = tuple(
        replace(stage, block=replace(stage.block, stride_in="1x1")) for stage in architecture.stages
    )
    return replace(architecture, stages=stages)


def _resnext(base: str, groups: int, group_width: int) -> Architecture:
    plain = _resnet(*DEPTHS[base])
    stages = tuple(
        replace(stage, block=replace(stage.block, groups=groups, inner=groups * group_width * 2**i))
        for i, stage in enumerate(plain.stages)
    )
    return replace(plain, stages=stages)


def _deep_stemmed(architecture: Architecture) -> Architecture:
    """ResNet-C: T. He et al. 2018, Figure 2b."""
    return replace(architecture, stem=Stem(kernel=3, stride=2, deep=True))


def _averaged(architecture: Architecture) -> Architecture:
    """ResNet-D: ResNet-C whose shortcuts average before they project; ibid., Figure 2c."""
    stages = tuple(
        replace(stage, block=replace(stage.block, shortcut="average_projection"))
        for stage in architecture.stages
    )
    return replace(_deep_stemmed(architecture), stages=stages)


def _excited(architecture: Architecture) -> Architecture:
    stages = tuple(
        replace(stage, block=replace(stage.block, squeeze=max(stage.width // 16, 8)))
        for stage in architecture.stages
    )
    return replace(architecture, stages=stages)


def _small(architecture: Architecture) -> Architecture:
    return replace(architecture, stem=SMALL_STEM)


def _chapter() -> Architecture:
    """Dive into Deep Learning 8.6: ``ResNet18``, for grey images of ten classes."""
    block = Block(kind="basic", shortcut="bare_projection")
    plain = _imagenet((2, 2, 2, 2), block, (64, 128, 256, 512))
    return replace(plain, channels=1, classes=10, bias=True)


def _cifar(layers: int, shortcut: Literal["padding", "projection"]) -> Architecture:
    block = Block(kind="basic", shortcut=shortcut)
    stages = tuple(
        Stage(depth=(layers - 2) // 6, width=width, stride=1 if i == 0 else 2, block=block)
        for i, width in enumerate((16, 32, 64))
    )
    return Architecture(stem=replace(SMALL_STEM, width=16), stages=stages, classes=10)


def _preactivated(architecture: Architecture) -> Architecture:
    return replace(architecture, preactivation=True)


def _cifar_preactivation(
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


def _cifar_resnext(groups: int, group_width: int) -> Architecture:
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


def _regnet(
    depths: tuple[int, ...], widths: tuple[int, ...], group_width: int, squeezed: bool
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
                squeeze_ratio=0.25 if squeezed else None,
                squeeze_at="3x3" if squeezed else "branch",
            ),
        )
        for depth, width in zip(depths, widths, strict=True)
    )
    stem = Stem(width=32, kernel=3, stride=2, pool=False)
    return Architecture(stem=stem, stages=stages, naming="regnet")


def _shifted(layers: int, expansion: int) -> Architecture:
    plain = _cifar(layers, "projection")
    stages = tuple(
        replace(stage, block=Block(kind="shift", inner=expansion * stage.width))
        for stage in plain.stages
    )
    return replace(plain, stages=stages)


def _gated(architecture: Architecture) -> Architecture:
    """He et al. 2016, section 3.1: "exclusive gating", the gate of Highway Networks."""
    stages = tuple(
        replace(stage, block=replace(stage.block, gated=True)) for stage in architecture.stages
    )
    return replace(architecture, stages=stages)


def _group_normed(architecture: Architecture) -> Architecture:
    """Wu and He 2018, Table 1: 32 groups."""
    return replace(architecture, norm=replace(architecture.norm, kind="group", groups=32))


def chapter_resnext_block(width: int, groups: int, multiplier: float = 1.0) -> Block:
    """Give the chapter's ``ResNeXtBlock(width, groups, multiplier)``.

    Its ``groups`` is the number of channels in a group, not of groups: it gives
    ``inner // groups`` to its convolution as the number of groups.
    """
    inner = round(width * multiplier)
    return Block(kind="bottleneck", inner=inner, groups=inner // groups)


def _chapter_resnext() -> Architecture:
    """The chapter's blocks where its ResNet-18 has ``Residual``; the chapter stops at the block."""
    plain = _chapter()
    stages = tuple(
        replace(stage, block=chapter_resnext_block(stage.width, groups=16))
        for stage in plain.stages
    )
    return replace(plain, stages=stages)


def _slim(depth: int, widths: tuple[int, ...]) -> Architecture:
    stages = tuple(
        Stage(depth=depth, width=width, stride=1 if i == 0 else 2) for i, width in enumerate(widths)
    )
    stem = Stem(width=widths[0], kernel=3, stride=2, pool=False)
    return Architecture(stem=stem, stages=stages, channels=1, classes=10)


def _entries() -> dict[str, Callable[[], Architecture]]:
    entries: dict[str, Callable[[], Architecture]] = {}
    for name, (kind, depths) in DEPTHS.items():
        entries[name] = lambda k=kind, d=depths: _resnet(k, d)
        if kind == "bottleneck":
            entries[f"{name}_v1"] = lambda k=kind, d=depths: _strided_in_1x1(_resnet(k, d))
        entries[f"{name}c"] = lambda k=kind, d=depths: _deep_stemmed(_resnet(k, d))
        entries[f"{name}d"] = lambda k=kind, d=depths: _averaged(_resnet(k, d))
        if kind == "bottleneck":
            entries[f"{name}_gn"] = lambda k=kind, d=depths: _group_normed(_resnet(k, d))
        entries[f"{name}_small"] = lambda k=kind, d=depths: _small(_resnet(k, d))
    for name, (kind, depths) in MORE_DEPTHS.items():
        entries[name] = lambda k=kind, d=depths: _resnet(k, d)
        entries[f"{name}d"] = lambda k=kind, d=depths: _averaged(_resnet(k, d))
    for name, (kind, depths) in PREACTIVATIONS.items():
        entries[name] = lambda k=kind, d=depths: _preactivated(_resnet(k, d))
    for name, (base, groups, width) in RESNEXTS.items():
        entries[name] = lambda b=base, g=groups, w=width: _resnext(b, g, w)
    for name, base in EXCITED.items():
        entries[name] = lambda b=base: _excited(_ENTRIES[b]())
    for name, (base, inner) in WIDE.items():
        entries[name] = lambda b=base, w=inner: _resnext(b, 1, w)
    for layers in CIFAR_LAYERS:
        entries[f"cifar_resnet{layers}"] = lambda n=layers: _cifar(n, "padding")
        entries[f"cifar_resnet{layers}_projection"] = lambda n=layers: _cifar(n, "projection")
    for name, (kind, depth) in CIFAR_PREACTIVATIONS.items():
        entries[name] = lambda k=kind, d=depth: _cifar_preactivation(k, d)
    for name, (depth, factor) in WRNS.items():
        entries[name] = lambda d=depth, f=factor: _cifar_preactivation("basic", d, f)
    for name, (depths, widths, group_width) in REGNETS.items():
        entries[name] = lambda d=depths, w=widths, g=group_width, y="_y_" in name: _regnet(
            d, w, g, squeezed=y
        )
    for name, (layers, expansion) in SHIFTS.items():
        entries[name] = lambda n=layers, e=expansion: _shifted(n, e)
    entries["cifar_highway110"] = lambda: _gated(_cifar(110, "projection"))
    for name, (groups, width) in CIFAR_RESNEXTS.items():
        entries[name] = lambda g=groups, w=width: _cifar_resnext(g, w)
    for name, (depth, widths) in SLIM.items():
        entries[name] = lambda d=depth, w=widths: _slim(d, w)
    entries["chapter_resnet18"] = _chapter
    entries["chapter_resnext26"] = _chapter_resnext
    return entries


_ENTRIES = _entries()


def names(pattern: str = "*") -> list[str]:
    """List the names that match a shell pattern such as ``resnext*``, in the catalog's order."""
    return [name for name in _ENTRIES if fnmatch.fnmatchcase(name, pattern)]


def get(name: str, *, channels: int | None = None, classes: int | None = None) -> Architecture:
    """Give the network called ``name``, with other input channels or classes if stated.

    Raises:
        UnknownName: if the catalog has no such name; the message suggests the nearest.
    """
    if name not in _ENTRIES:
        near = difflib.get_close_matches(name, _ENTRIES, n=3, cutoff=0.5)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise UnknownName(f"no network is called {name!r}{hint} (all: resnets models)")
    found = replace(_ENTRIES[name](), name=name)
    return replace(
        found,
        channels=found.channels if channels is None else channels,
        classes=found.classes if classes is None else classes,
    )
