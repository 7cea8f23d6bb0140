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
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

from resnets.errors import UnknownName
from resnets.networks import families
from resnets.networks.architecture import Architecture

# He et al. 2015, Table 1: blocks in conv2_x to conv5_x.
DEPTHS = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
    "resnet152": ("bottleneck", (3, 8, 36, 3)),
}

# What is made of each of them, by the ending of the name; some of bottlenecks only.
VARIANTS: dict[str, Callable[[Architecture], Architecture]] = {
    "_v1": families.with_stride_in_1x1,
    "c": families.with_deep_stem,
    "d": families.with_deep_stem_and_average_shortcut,
    "_gn": families.with_group_norm,
    "_small": families.with_small_stem,
}
BOTTLENECK_VARIANTS = ("_v1", "_gn")

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
SQUEEZE_EXCITATIONS = {
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
    "resnet8_thin": (1, (8, 16, 32)),
    "resnet20_thin": (3, (8, 16, 32)),
    "resnet8_narrow": (1, (16, 32, 64)),
    "resnet14_narrow": (2, (16, 32, 64)),
    "resnet8_slim": (1, (32, 64, 128)),
    "resnet14_slim": (2, (32, 64, 128)),
}

# The same, four stages, with ResNet-D's shortcuts.
SLIM_AVERAGING = {
    "resnet10d_narrow": (1, (16, 32, 64, 128)),
    "resnet18d_narrow": (2, (16, 32, 64, 128)),
    "resnet10d_light": (1, (24, 48, 96, 192)),
    "resnet18d_light": (2, (24, 48, 96, 192)),
}

# And where there is a GPU or more time: the stem keeps every pixel.
SLIM_SMALL = {
    "resnet10d_slim_small": (1, (32, 64, 128, 256)),
    "resnet18d_slim_small": (2, (32, 64, 128, 256)),
}


def _list_entries() -> dict[str, Callable[[], Architecture]]:
    entries: dict[str, Callable[[], Architecture]] = {}
    for name, numbers in DEPTHS.items():
        entries[name] = partial(families.resnet, *numbers)
        for ending, change in VARIANTS.items():
            if numbers[0] == "bottleneck" or ending not in BOTTLENECK_VARIANTS:
                entries[f"{name}{ending}"] = partial(_variant, change, *numbers)
    for name, numbers in MORE_DEPTHS.items():
        entries[name] = partial(families.resnet, *numbers)
        entries[f"{name}d"] = partial(
            _variant, families.with_deep_stem_and_average_shortcut, *numbers
        )
    for name, numbers in PREACTIVATIONS.items():
        entries[name] = partial(_variant, families.with_preactivation, *numbers)
    for name, (base, groups, width) in RESNEXTS.items():
        entries[name] = partial(_resnext, base, groups, width)
    for name, base in SQUEEZE_EXCITATIONS.items():
        entries[name] = lambda b=base: families.with_squeeze_excitation(_ENTRIES[b]())
    for name, (base, inner) in WIDE.items():
        entries[name] = partial(_resnext, base, 1, inner)
    for layers in CIFAR_LAYERS:
        entries[f"cifar_resnet{layers}"] = partial(families.cifar_resnet, layers, "padding")
        entries[f"cifar_resnet{layers}_projection"] = partial(
            families.cifar_resnet, layers, "projection"
        )
    for name, (kind, depth) in CIFAR_PREACTIVATIONS.items():
        entries[name] = partial(families.cifar_preactivation, kind, depth)
    for name, (depth, factor) in WRNS.items():
        entries[name] = partial(families.cifar_preactivation, "basic", depth, factor)
    for name, numbers in REGNETS.items():
        entries[name] = partial(families.regnet, *numbers, squeeze="_y_" in name)
    for name, numbers in SHIFTS.items():
        entries[name] = partial(families.cifar_shiftresnet, *numbers)
    entries["cifar_highway110"] = lambda: families.with_gated_shortcut(
        families.cifar_resnet(110, "projection")
    )
    for name, numbers in CIFAR_RESNEXTS.items():
        entries[name] = partial(families.cifar_resnext, *numbers)
    for name, numbers in SLIM.items():
        entries[name] = partial(families.slim_resnet, *numbers)
    for name, numbers in SLIM_AVERAGING.items():
        entries[name] = lambda n=numbers: families.with_average_shortcut(families.slim_resnet(*n))
    for name, numbers in SLIM_SMALL.items():
        entries[name] = lambda n=numbers: families.with_average_shortcut(
            families.slim_resnet(*n, stride=1)
        )
    entries["chapter_resnet18"] = families.chapter_resnet
    entries["chapter_resnext26"] = families.chapter_resnext
    return entries


def _variant(
    change: Callable[[Architecture], Architecture], kind: str, depths: tuple[int, ...]
) -> Architecture:
    return change(families.resnet(kind, depths))


def _resnext(base: str, groups: int, group_width: int) -> Architecture:
    return families.resnext(families.resnet(*DEPTHS[base]), groups, group_width=group_width)


_ENTRIES = _list_entries()


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
        raise UnknownName(
            f"no network is called {name!r}{hint} (all: resnets models)",
            name=name,
            suggestions=near,
        )
    found = replace(_ENTRIES[name](), name=name)
    return replace(
        found,
        channels=found.channels if channels is None else channels,
        classes=found.classes if classes is None else classes,
    )
