"""A network's stages from the shapes of its tensors: kinds, widths, groups, shortcuts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from resnets.errors import WeightsError
from resnets.networks.naming import REGNET, RESNET_V2, NamingScheme
from resnets.networks.spec import Block, Stage

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes of tensors by canonical name."""

Shortcut = Literal["projection", "bare_projection", "average_projection"]

REGNETS_RATIO = 0.25
"""What squeeze-and-excitation squeezes to: Radosavovic et al. 2020, section 5."""


@dataclass(frozen=True)
class _Seen:
    """What the tensors of a stage tell.

    Attributes:
        channels, width: that its first block reads, that all put out.
        block: all but the shortcut.
        shortcut: of its first block; None where that has no tensors.
    """

    channels: int
    width: int
    depth: int
    block: Block
    shortcut: Shortcut | None


def read_stages(names: NamingScheme, shapes: Shapes, *, channels: int) -> tuple[Stage, ...]:
    """Read the stages behind a stem of ``channels``.

    Strides are not in the tensors: 2 from the second stage on wherever the shape can change, and
    in the first where a projection stands though the number of channels stays, or in a RegNet.

    Raises:
        WeightsError: where a stage is none that can be described.
    """
    seen: list[_Seen] = []
    while get_kernel_shape(shapes, _name_convolution(names, len(seen), block=0, k=1)) is not None:
        stage = _read_stage(names, shapes, index=len(seen), channels=channels)
        seen.append(stage)
        channels = stage.width
    if not seen:
        raise WeightsError(f"no block of a residual network among {list_tensors(shapes)}")
    changing = [stage for stage in seen if stage.channels != stage.width]
    padded = bool(changing) and not any(stage.shortcut for stage in seen)
    return tuple(_build_stage(stage, i, padded=padded, names=names) for i, stage in enumerate(seen))


def get_kernel_shape(shapes: Shapes, name: str) -> tuple[int, int, int, int] | None:
    """Return the shape of a convolution's kernel, None where there is no such convolution.

    Raises:
        WeightsError: if the tensor of that name is no square kernel.
    """
    shape = shapes.get(f"{name}.weight")
    if shape is None:
        return None
    if len(shape) != 4 or shape[2] != shape[3] or not all(shape):
        raise WeightsError(f"{name}.weight has shape {shape}, which is no square kernel's")
    return shape[0], shape[1], shape[2], shape[3]


def list_tensors(shapes: Shapes) -> str:
    """Name the first tensors of a file."""
    first = [f"{name} {shape}" for name, shape in list(shapes.items())[:5]]
    more = len(shapes) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "") if first else "no tensors"


def _build_stage(seen: _Seen, index: int, *, padded: bool, names: NamingScheme) -> Stage:
    changing = seen.channels != seen.width or seen.shortcut is not None
    if index == 0:  # ResNet's first stage only widens; RegNet's strides, as all of its stages do
        strided = changing and (names is REGNET or seen.channels == seen.width)
    else:
        strided = padded or changing
    absent = "padding" if padded or seen.channels != seen.width else "projection"
    return Stage(
        depth=seen.depth,
        width=seen.width,
        stride=2 if strided else 1,
        block=replace(seen.block, shortcut=seen.shortcut or absent),
    )


def _read_stage(names: NamingScheme, shapes: Shapes, *, index: int, channels: int) -> _Seen:
    first, second, third = (
        get_kernel_shape(shapes, _name_convolution(names, index, block=0, k=k)) for k in (1, 2, 3)
    )
    at = _get_prefix(names, index, block=0)
    if first is None or second is None:
        raise WeightsError(f"{_name_convolution(names, index, block=0, k=2)}.weight is missing")
    last = second if third is None else third
    width, inner = last[0], first[0]
    if third is None:
        kind = "shift" if second[2] == 1 else "basic"
        block = Block(kind=kind, inner=None if inner == width else inner)
    else:
        if inner % second[1]:
            raise WeightsError(f"{at}: {second[1]} channels a group do not divide its {inner}")
        usual = inner == width // 4
        block = Block(kind="bottleneck", inner=None if usual else inner, groups=inner // second[1])
    depth = 1
    while get_kernel_shape(shapes, _name_convolution(names, index, block=depth, k=1)) is not None:
        depth += 1
    block = replace(block, gated=f"{at}gate.weight" in shapes)
    block = _add_excitation(
        block, names, shapes=shapes, index=index, depth=depth, ends=(channels, width)
    )
    return _Seen(channels, width, depth, block, _read_shortcut(names, shapes, at=at))


def _read_shortcut(names: NamingScheme, shapes: Shapes, *, at: str) -> Shortcut | None:
    if f"{at}{names.projection}.weight" in shapes:
        if names is RESNET_V2 or any(
            f"{at}{names.projection_norm}.{part}" in shapes for part in ("weight", "running_mean")
        ):
            return "projection"
        return "bare_projection"
    averaged = shapes.get(f"{at}downsample.1.weight", ())
    return "average_projection" if len(averaged) == 4 else None


def _add_excitation(
    block: Block,
    names: NamingScheme,
    *,
    shapes: Shapes,
    index: int,
    depth: int,
    ends: tuple[int, int],
) -> Block:
    """Add squeeze-and-excitation, squeezed to a number of channels or to a share of the input's."""
    channels, width = ends
    squeezed: list[int] = []
    for j in range(depth):
        shape = shapes.get(f"{_get_prefix(names, index, block=j)}{names.excitation}.fc1.weight")
        if shape:
            squeezed.append(shape[0])
    if len(squeezed) < depth:  # in some blocks only: what is left over is an error later
        return block
    scaled = shapes.get(f"{_get_prefix(names, index, block=0)}{names.excitation}.fc2.weight", (0,))[
        :1
    ]
    inner = block.inner_width(width)
    inside = block.kind == "bottleneck" and scaled == (inner,)
    if inside and (inner != width or names is REGNET):
        block = replace(block, squeeze_at="3x3", squeeze=squeezed[0])
    places = [(channels, squeezed[0]), *((width, number) for number in squeezed[1:])]
    share = _find_share(places)
    if share is None or (
        len(set(squeezed)) == 1 and (share != REGNETS_RATIO or names is not REGNET)
    ):
        return replace(block, squeeze=squeezed[0])
    return replace(block, squeeze=None, squeeze_ratio=share)


def _find_share(places: Sequence[tuple[int, int]]) -> float | None:
    """Find a share that rounds to all numbers squeezed to, the roundest first."""
    low = max((number - 0.5) / channels for channels, number in places)
    high = min((number + 0.5) / channels for channels, number in places)
    simple = [k / n for n in (4, 16, 8, 2, 3, 1, 12, 32, 64) for k in range(1, n + 1)]
    for share in (*simple, (low + high) / 2):
        if 0 < share <= 1 and all(round(share * channels) == n for channels, n in places):
            return share
    return None


def _get_prefix(names: NamingScheme, index: int, *, block: int) -> str:
    return names.block.format(stage=index + 1, stage0=index, block=block) + "."


def _name_convolution(names: NamingScheme, index: int, *, block: int, k: int) -> str:
    counted = names.convolution.replace("{k}", str(k)).replace("{letter}", "abc"[k - 1])
    return _get_prefix(names, index, block=block) + counted
