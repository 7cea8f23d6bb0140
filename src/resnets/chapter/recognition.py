"""From a network's parts to its ``Architecture``, and the canonical name of each tensor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from resnets.chapter.block_recognition import expect_symmetric, seen_as
from resnets.chapter.parts import (
    Array,
    BatchNorm,
    Block,
    Convolution,
    Dense,
    Part,
    Plain,
    Slot,
    refusal,
)
from resnets.networks.architecture import Architecture
from resnets.networks.naming import RESNET, RESNET_V2, Names
from resnets.networks.spec import Norm, Stage, Stem

_Kind = TypeVar("_Kind", Convolution, BatchNorm, Dense, Block)


@dataclass(frozen=True)
class Recognised:
    """An architecture, and where its tensors are, by canonical name."""

    architecture: Architecture
    slots: dict[str, Slot]


@dataclass(frozen=True)
class _Order:
    """A network's parts in the order in which they stand.

    Attributes:
        names: of its family: of pre-activation where the stem is a convolution alone and a norm
            follows the blocks.
        stem, pool: the first convolution, and whether a max-pool follows.
        norm: that of the stem; in pre-activation the one after the blocks.
    """

    names: Names
    stem: Convolution
    norm: BatchNorm
    pool: bool
    blocks: tuple[Block, ...]
    dense: Dense


def recognise(parts: Sequence[Part], name: str) -> Recognised:
    """Make out a residual network called ``name``.

    Raises:
        InvalidDescription: saying which part is none that an architecture has, and where it is.
    """
    found = _ordered(list(parts))
    names, stem, blocks = found.names, found.stem, found.blocks
    preactivation = names is RESNET_V2
    expect_symmetric(stem)
    slots = _named(names.stem, stem)
    slots |= _named(names.last_norm if preactivation else names.stem_norm, found.norm)
    stages = _stages(blocks, stem.width, slots, names)
    slots |= _named(names.dense, found.dense)
    if preactivation:
        slots[f"{names.dense}.weight"] = _as_kernel(found.dense.slots["weight"])
    convolutions = [stem, *(c for block in blocks for c in block.convolutions.values())]
    architecture = Architecture(
        name=name,
        channels=stem.channels,
        classes=found.dense.width,
        stem=Stem(width=stem.width, kernel=stem.kernel, stride=stem.stride, pool=found.pool),
        stages=stages,
        preactivation=preactivation,
        bias=_biased(convolutions),
        norm=_norm([found.norm, *(n for block in blocks for n in block.norms.values())]),
    )
    return Recognised(architecture, slots)


def _ordered(rest: list[Part]) -> _Order:
    """Take the parts one after the other, each where it has to stand."""
    stem = _take(rest, Convolution)
    names = RESNET_V2 if _is_preactivation(rest) else RESNET
    norm = _take_normed(rest) if names is RESNET else None
    pool = _next_is(rest, "max_pool")
    if pool:
        rest.pop(0)
    blocks: list[Block] = []
    while rest and isinstance(rest[0], Block):
        blocks.append(_take(rest, Block))
    if not blocks:
        raise refusal(_where(rest), "a residual block has to stand here")
    if norm is None:
        norm = _take_normed(rest)
    _take_plain(rest, "mean_pool")
    if _next_is(rest, "flatten"):
        rest.pop(0)
    dense = _take(rest, Dense)
    if rest:
        raise refusal(rest[0].where, "nothing may follow the dense layer")
    return _Order(names, stem, norm, pool, tuple(blocks), dense)


def _is_preactivation(rest: Sequence[Part]) -> bool:
    """Whether blocks follow the stem's convolution as it is, and a norm follows the blocks."""
    after = [part for part in rest if not isinstance(part, Block)]
    if after and isinstance(after[0], Plain) and after[0].kind == "max_pool":
        after.pop(0)
    begins = not (rest and isinstance(rest[0], BatchNorm))
    return begins and bool(after) and isinstance(after[0], BatchNorm)


def _take_normed(rest: list[Part]) -> BatchNorm:
    norm = _take(rest, BatchNorm)
    _take_plain(rest, "relu")
    return norm


def _as_kernel(slot: Slot) -> Slot:
    """Read a matrix as the kernel of a 1×1 convolution, which pre-activation networks have."""

    def write(array: Array) -> None:
        slot.write(array.reshape(array.shape[:2]))

    return Slot(lambda: slot.read()[:, :, None, None], write)


_WORDS = {
    Convolution: "convolution",
    BatchNorm: "batch norm",
    Dense: "dense layer",
    Block: "residual block",
}


def _take(rest: list[Part], kind: type[_Kind]) -> _Kind:
    part = rest.pop(0) if rest else None
    if not isinstance(part, kind):
        where = part.where if part else "the end"
        raise refusal(where, f"a {_WORDS[kind]} has to stand here")
    return part


def _where(rest: Sequence[Part]) -> str:
    return rest[0].where if rest else "the end"


def _next_is(rest: Sequence[Part], kind: str) -> bool:
    return bool(rest) and isinstance(rest[0], Plain) and rest[0].kind == kind


def _take_plain(rest: list[Part], kind: str) -> None:
    words = {"relu": "ReLU", "mean_pool": "mean over the maps"}
    if not _next_is(rest, kind):
        raise refusal(_where(rest), f"a {words[kind]} has to stand here")
    rest.pop(0)


def _named(name: str, part: Convolution | BatchNorm | Dense) -> dict[str, Slot]:
    return {f"{name}.{kind}": slot for kind, slot in part.slots.items()}


def _stages(
    blocks: Sequence[Block], channels: int, slots: dict[str, Slot], family: Names
) -> tuple[Stage, ...]:
    """Group blocks: a stage begins where the shape changes or the kind of block does."""
    stages: list[Stage] = []
    identities: list[int] = []
    for block in blocks:
        seen = seen_as(block, family)
        if seen.channels != channels:
            raise refusal(block.where, f"reads {seen.channels} channels of {channels}")
        changes = seen.stride != 1 or seen.width != channels
        if seen.projects and not changes:
            message = (
                "a 1x1 convolution stands on the shortcut although neither size nor channels "
                "change; an Architecture has the identity there"
            )
            raise refusal(block.where, message)
        if changes and not seen.projects:
            raise refusal(block.where, "the shape changes, but the shortcut is the identity")
        last = stages[-1] if stages else None
        alike = last and replace(seen.block, shortcut=last.block.shortcut) == last.block
        if last and alike and not changes:
            stages[-1] = replace(last, depth=last.depth + 1)
        else:
            own = Stage(depth=1, width=seen.width, stride=seen.stride, block=seen.block)
            stages.append(own)
            identities += [] if seen.projects else [len(stages) - 1]
        number, within = len(stages), stages[-1].depth - 1
        at = family.block.format(stage=number, stage0=number - 1, block=within)
        for name, part in seen.names.items():
            slots |= _named(f"{at}.{name}", part)
        channels = seen.width
    # What a stage of identities would project with is of no matter: say what the others do.
    others = [stage.block.shortcut for i, stage in enumerate(stages) if i not in identities]
    for i in identities if others else []:
        stages[i] = replace(stages[i], block=replace(stages[i].block, shortcut=others[0]))
    return tuple(stages)


def _biased(convolutions: Sequence[Convolution]) -> bool:
    biased = ["bias" in convolution.slots for convolution in convolutions]
    if any(biased) and not all(biased):
        odd = convolutions[biased.index(not biased[0])]
        raise refusal(odd.where, "some convolutions have biases and some have none")
    return biased[0]


def _norm(norms: Sequence[BatchNorm]) -> Norm:
    first = norms[0]
    for norm in norms:
        if abs(norm.epsilon - first.epsilon) > 1e-12 or abs(norm.decay - first.decay) > 1e-9:
            message = (
                f"epsilon {norm.epsilon:g}, decay {norm.decay:g}, but {first.where} has "
                f"{first.epsilon:g} and {first.decay:g}; an Architecture has one for all"
            )
            raise refusal(norm.where, message)
    return Norm(epsilon=first.epsilon, decay=first.decay)
