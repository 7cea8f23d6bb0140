"""Everything that can be wrong with an architecture, each problem with its path.

An architecture calls this on construction, so that whatever exists is a network.
"""

import operator
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from resnets.errors import Problem
from resnets.networks.spec import Block, Norm, Stage, Stem
from resnets.schema import shorten

if TYPE_CHECKING:
    from resnets.networks.architecture import Architecture

LARGEST_WIDTH = 2**16
LARGEST_DEPTH = 2**12
MOST_STAGES = 32


def find_problems(a: "Architecture") -> Iterator[Problem]:
    """Yield everything that keeps ``a`` from being a network."""
    if not isinstance(a.name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem("name", f"{shorten(a.name)} is not a string")
    yield from _check_whole(a.channels, "channels", least=1, most=LARGEST_WIDTH)
    yield from _check_whole(a.classes, "classes", least=1, most=2**24)
    yield from _check_flag(a.bias, "bias")
    yield from _check_flag(a.preactivation, "preactivation")
    yield from _check_choices(a, ("activation", "naming"), prefix="")
    yield from _stem_problems(a.stem)
    if a.preactivation is True and getattr(a.stem, "deep", False):
        yield Problem("stem.deep", "a deep stem is not defined with preactivation")
    yield from _norm_problems(a.norm)
    if not isinstance(a.stages, tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem("stages", f"{shorten(a.stages)} is not a tuple of Stage")
        return
    if not 1 <= len(a.stages) <= MOST_STAGES:
        yield Problem("stages", f"{len(a.stages)} of them; a network has 1 to {MOST_STAGES}")
    depths = [getattr(stage, "depth", 0) for stage in a.stages]
    if all(map(_is_whole, depths)) and sum(depths) > LARGEST_DEPTH:
        yield Problem("stages", f"{sum(depths)} blocks in all; at most {LARGEST_DEPTH}")
    channels = a.stem.width if isinstance(a.stem, Stem) else 1  # pyright: ignore[reportUnnecessaryIsInstance]
    for i, stage in enumerate(a.stages):
        yield from _stage_problems(stage, channels, path=f"stages[{i}]")
        if a.preactivation and isinstance(getattr(stage, "block", None), Block):
            yield from _preactivation_problems(stage.block, f"stages[{i}].block")
        if a.naming == "regnet" and isinstance(getattr(stage, "block", None), Block):
            yield from _regnet_problems(stage.block, f"stages[{i}].block")
        channels = getattr(stage, "width", channels)
    if a.naming == "regnet" and a.preactivation is True:
        yield Problem("naming", "regnet has no names for preactivation; use resnet")
    if a.naming == "regnet" and getattr(a.stem, "deep", False):
        yield Problem("stem.deep", "regnet has no names for a deep stem")
    yield from _group_problems(a)
    if a.output_stride is not None:
        yield from _output_stride_problems(a)


def _preactivation_problems(block: Block, path: str) -> Iterator[Problem]:
    if block.shortcut == "bare_projection":
        message = "projections have no norm before activation anyway; use projection"
        yield Problem(f"{path}.shortcut", message)
    if block.shortcut == "average_projection":
        yield Problem(f"{path}.shortcut", "ResNet-D's is not defined with preactivation")
    if block.kind == "shift":
        yield Problem(f"{path}.kind", "shift is not defined with preactivation")
    for name in ("squeeze", "squeeze_ratio", "gated"):
        if getattr(block, name) not in (None, False):
            yield Problem(f"{path}.{name}", f"{name} is not defined with preactivation")


def _regnet_problems(block: Block, path: str) -> Iterator[Problem]:
    if block.kind != "bottleneck":
        yield Problem(f"{path}.kind", "regnet has names for bottleneck blocks only")
    if block.shortcut not in ("projection", "bare_projection"):
        yield Problem(f"{path}.shortcut", "regnet has names for projections only")


def _group_problems(a: "Architecture") -> Iterator[Problem]:
    """Every number of channels must be whole groups."""
    if getattr(a.norm, "kind", "") != "group" or not _is_whole(a.norm.groups) or a.norm.groups < 1:
        return
    channels: list[tuple[str, Any]] = [("stem.width", getattr(a.stem, "width", 0))]
    if getattr(a.stem, "deep", False) and _is_whole(a.stem.width):
        channels.append(("half of stem.width", a.stem.width // 2))
    for i, stage in enumerate(a.stages):
        if isinstance(getattr(stage, "block", None), Block) and _is_whole(stage.width):
            channels.append((f"stages[{i}].width", stage.width))
            channels.append((f"stages[{i}].block.inner", stage.block.inner_width(stage.width)))
    for name, number in channels:
        if _is_whole(number) and number % a.norm.groups:
            message = f"{a.norm.groups} does not divide the {number} channels of {name}"
            yield Problem("norm.groups", message)


def _output_stride_problems(a: "Architecture") -> Iterator[Problem]:
    found: list[Any] = [getattr(part, "stride", None) for part in (a.stem, *a.stages)]
    strides = [stride for stride in found if _is_whole(stride) and stride >= 1]
    if len(strides) < len(found):
        return
    strides[0] *= 2 if a.stem.pool else 1
    reachable: list[int] = list(accumulate(strides, operator.mul))
    if a.output_stride not in reachable or isinstance(a.output_stride, bool):
        known = ", ".join(map(str, dict.fromkeys(reachable)))
        message = f"{shorten(a.output_stride)} is none of the network's reductions: {known}"
        yield Problem("output_stride", message)
    for i, stage in enumerate(a.stages):
        if getattr(getattr(stage, "block", None), "shortcut", "") == "average_projection":
            message = "ResNet-D's is not defined with an output stride; use projection"
            yield Problem(f"stages[{i}].block.shortcut", message)


def _stem_problems(stem: Stem) -> Iterator[Problem]:
    if not isinstance(stem, Stem):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem("stem", f"{shorten(stem)} is not a Stem")
        return
    yield from _check_whole(stem.width, "stem.width", least=1, most=LARGEST_WIDTH)
    yield from _check_whole(stem.kernel, "stem.kernel", least=1, most=31)
    if _is_whole(stem.kernel) and stem.kernel % 2 == 0:
        yield Problem("stem.kernel", f"{stem.kernel} is even; the padding is kernel // 2")
    yield from _check_whole(stem.stride, "stem.stride", least=1, most=8)
    yield from _check_flag(stem.pool, "stem.pool")
    yield from _check_flag(stem.deep, "stem.deep")
    if stem.deep is True and stem.kernel != 3:
        yield Problem("stem.kernel", f"{stem.kernel}; a deep stem's kernels are 3")
    if stem.deep is True and _is_whole(stem.width) and stem.width % 2:
        yield Problem("stem.width", f"{stem.width} is odd; a deep stem begins with half of it")


def _norm_problems(norm: Norm) -> Iterator[Problem]:
    if not isinstance(norm, Norm):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem("norm", f"{shorten(norm)} is not a Norm")
        return
    yield from _check_choices(norm, ("kind",), prefix="norm.")
    yield from _check_whole(norm.groups, "norm.groups", least=1, most=LARGEST_WIDTH)
    if not (_is_number(norm.epsilon) and 0 < norm.epsilon < 1):
        yield Problem("norm.epsilon", f"{shorten(norm.epsilon)} is not between 0 and 1")
    if not (_is_number(norm.decay) and 0 <= norm.decay < 1):
        yield Problem("norm.decay", f"{shorten(norm.decay)} is not from 0 to below 1")


def _stage_problems(stage: Stage, channels: int, *, path: str) -> Iterator[Problem]:
    if not isinstance(stage, Stage):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem(path, f"{shorten(stage)} is not a Stage")
        return
    yield from _check_whole(stage.depth, f"{path}.depth", least=1, most=LARGEST_DEPTH)
    yield from _check_whole(stage.width, f"{path}.width", least=1, most=LARGEST_WIDTH)
    yield from _check_whole(stage.stride, f"{path}.stride", least=1, most=8)
    if not isinstance(stage.block, Block):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem(f"{path}.block", f"{shorten(stage.block)} is not a Block")
        return
    yield from _block_problems(stage, channels, path=f"{path}.block")


def _block_problems(stage: Stage, channels: int, *, path: str) -> Iterator[Problem]:
    block = stage.block
    yield from _check_choices(
        block, ("kind", "stride_in", "shortcut", "squeeze_at"), prefix=f"{path}."
    )
    yield from _check_flag(block.gated, f"{path}.gated")
    wrong = list(_check_whole(block.groups, f"{path}.groups", least=1, most=LARGEST_WIDTH))
    for name in ("inner", "squeeze"):
        if getattr(block, name) is not None:
            wrong += _check_whole(
                getattr(block, name), f"{path}.{name}", least=1, most=LARGEST_WIDTH
            )
    yield from wrong
    if wrong or not _is_whole(stage.width):
        return
    inner = block.inner_width(stage.width)
    if inner < 1:
        message = f"a quarter of the width {stage.width} is no whole channel; state inner"
        yield Problem(f"{path}.inner", message)
    elif inner % block.groups:
        message = f"{block.groups} does not divide the {inner} inner channels"
        yield Problem(f"{path}.groups", message)
    if block.kind in ("basic", "shift") and block.groups != 1:
        message = f"a {block.kind} block has no groups; use kind bottleneck"
        yield Problem(f"{path}.groups", message)
    if block.kind == "basic" and block.stride_in != "3x3":
        yield Problem(f"{path}.stride_in", "a basic block has no 1x1; use 3x3")
    if block.kind == "shift" and block.stride_in != "3x3":
        yield Problem(f"{path}.stride_in", "a shift block's stride has one place; use 3x3")
    yield from _squeeze_problems(stage, channels, path=path)
    if block.shortcut == "padding" and _is_whole(channels) and stage.width < channels:
        message = f"padding cannot narrow {channels} channels to {stage.width}; use projection"
        yield Problem(f"{path}.shortcut", message)


def _squeeze_problems(stage: Stage, channels: int, *, path: str) -> Iterator[Problem]:
    block, ratio = stage.block, stage.block.squeeze_ratio
    if ratio is not None:
        if not (_is_number(ratio) and 0 < ratio <= 1):
            yield Problem(f"{path}.squeeze_ratio", f"{shorten(ratio)} is not above 0, up to 1")
            return
        if block.squeeze is not None:
            yield Problem(f"{path}.squeeze_ratio", "stands beside squeeze; state one of them")
        for number in {channels, stage.width} if stage.depth != 1 else {channels}:
            if _is_whole(number) and block.squeeze is None and round(ratio * number) < 1:
                message = f"{ratio} of {number} channels is no whole channel"
                yield Problem(f"{path}.squeeze_ratio", message)
    if block.squeeze_at == "3x3" and block.kind != "bottleneck":
        yield Problem(f"{path}.squeeze_at", "3x3 is for bottleneck blocks; use branch")
    if block.squeeze_at == "3x3" and block.squeeze is None and ratio is None:
        yield Problem(f"{path}.squeeze_at", "nothing is squeezed; state squeeze or squeeze_ratio")


def _check_choices(part: object, names: Iterable[str], *, prefix: str) -> Iterator[Problem]:
    """Yield the fields whose value is none of those that their type lists."""
    kinds = get_type_hints(type(part))
    for name in names:
        value, allowed = getattr(part, name), get_args(kinds[name])
        if value not in allowed:
            message = f"{shorten(value)} is not one of {', '.join(allowed)}"
            yield Problem(f"{prefix}{name}", message)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_whole(value: Any, path: str, *, least: int, most: int) -> list[Problem]:
    if _is_whole(value) and least <= value <= most:
        return []
    return [Problem(path, f"{shorten(value)} is not a whole number from {least} to {most}")]


def _check_flag(value: Any, path: str) -> list[Problem]:
    if isinstance(value, bool):
        return []
    return [Problem(path, f"{shorten(value)} is not true or false")]
