"""From a network's parts to its ``Architecture``, and the canonical name of each tensor."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from resnets.chapter.block_recognition import expect_symmetric, recognise_block
from resnets.chapter.parts import (
    Array,
    BatchNormPart,
    BlockPart,
    ConvolutionPart,
    DensePart,
    Part,
    PlainPart,
    TensorSlot,
    make_refusal,
)
from resnets.networks.architecture import Architecture
from resnets.networks.naming import RESNET, RESNET_V2, NamingScheme
from resnets.networks.spec import Norm, Stage, Stem

_Kind = TypeVar("_Kind", ConvolutionPart, BatchNormPart, DensePart, BlockPart)


@dataclass(frozen=True)
class RecognisedModel:
    """An architecture, and where its tensors are, by canonical name."""

    architecture: Architecture
    slots: dict[str, TensorSlot]


@dataclass(frozen=True)
class _OrderedParts:
    """A network's parts in the order in which they stand.

    Attributes:
        names: of its family: of pre-activation where the stem is a convolution alone and a norm
            follows the blocks.
        stem, pool: the first convolution, and whether a max-pool follows.
        norm: that of the stem; in pre-activation the one after the blocks.
    """

    names: NamingScheme
    stem: ConvolutionPart
    norm: BatchNormPart
    pool: bool
    blocks: tuple[BlockPart, ...]
    dense: DensePart


def recognise(parts: Sequence[Part], name: str) -> RecognisedModel:
    """Make out a residual network called ``name``.

    Raises:
        InvalidDescription: saying which part is none that an architecture has, and where it is.
    """
    found = _order_parts(list(parts))
    names, stem, blocks = found.names, found.stem, found.blocks
    preactivation = names is RESNET_V2
    expect_symmetric(stem)
    slots = _slots_by_name(names.stem, stem)
    slots |= _slots_by_name(names.last_norm if preactivation else names.stem_norm, found.norm)
    stages = _group_stages(blocks, stem.width, slots=slots, family=names)
    slots |= _slots_by_name(names.dense, found.dense)
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
        bias=_have_biases(convolutions),
        norm=_norm_spec([found.norm, *(n for block in blocks for n in block.norms.values())]),
    )
    return RecognisedModel(architecture, slots)


def _order_parts(rest: list[Part]) -> _OrderedParts:
    """Take the parts one after the other, each where it has to stand."""
    stem = _take(rest, ConvolutionPart)
    names = RESNET_V2 if _is_preactivation(rest) else RESNET
    norm = _take_norm_and_relu(rest) if names is RESNET else None
    pool = _next_is(rest, "max_pool")
    if pool:
        rest.pop(0)
    blocks: list[BlockPart] = []
    while rest and isinstance(rest[0], BlockPart):
        blocks.append(_take(rest, BlockPart))
    if not blocks:
        raise make_refusal(_next_place(rest), "a residual block has to stand here")
    if norm is None:
        norm = _take_norm_and_relu(rest)
    _take_plain(rest, "mean_pool")
    if _next_is(rest, "flatten"):
        rest.pop(0)
    dense = _take(rest, DensePart)
    if rest:
        raise make_refusal(rest[0].where, "nothing may follow the dense layer")
    return _OrderedParts(names, stem, norm, pool, tuple(blocks), dense)


def _is_preactivation(rest: Sequence[Part]) -> bool:
    """Whether blocks follow the stem's convolution as it is, and a norm follows the blocks."""
    after = [part for part in rest if not isinstance(part, BlockPart)]
    if after and isinstance(after[0], PlainPart) and after[0].kind == "max_pool":
        after.pop(0)
    begins = not (rest and isinstance(rest[0], BatchNormPart))
    return begins and bool(after) and isinstance(after[0], BatchNormPart)


def _take_norm_and_relu(rest: list[Part]) -> BatchNormPart:
    norm = _take(rest, BatchNormPart)
    _take_plain(rest, "relu")
    return norm


def _as_kernel(slot: TensorSlot) -> TensorSlot:
    """Read a matrix as the kernel of a 1×1 convolution, which pre-activation networks have."""

    def write(array: Array) -> None:
        slot.write(array.reshape(array.shape[:2]))

    return TensorSlot(lambda: slot.read()[:, :, None, None], write)


_WORDS = {
    ConvolutionPart: "convolution",
    BatchNormPart: "batch norm",
    DensePart: "dense layer",
    BlockPart: "residual block",
}


def _take(rest: list[Part], kind: type[_Kind]) -> _Kind:
    part = rest.pop(0) if rest else None
    if not isinstance(part, kind):
        where = part.where if part else "the end"
        raise make_refusal(where, f"a {_WORDS[kind]} has to stand here")
    return part


def _next_place(rest: Sequence[Part]) -> str:
    return rest[0].where if rest else "the end"


def _next_is(rest: Sequence[Part], kind: str) -> bool:
    return bool(rest) and isinstance(rest[0], PlainPart) and rest[0].kind == kind


def _take_plain(rest: list[Part], kind: str) -> None:
    words = {"relu": "ReLU", "mean_pool": "mean over the maps"}
    if not _next_is(rest, kind):
        raise make_refusal(_next_place(rest), f"a {words[kind]} has to stand here")
    rest.pop(0)


def _slots_by_name(
    name: str, part: ConvolutionPart | BatchNormPart | DensePart
) -> dict[str, TensorSlot]:
    return {f"{name}.{kind}": slot for kind, slot in part.slots.items()}


def _group_stages(
    blocks: Sequence[BlockPart],
    channels: int,
    *,
    slots: dict[str, TensorSlot],
    family: NamingScheme,
) -> tuple[Stage, ...]:
    """Group blocks: a stage begins where the shape changes or the kind of block does."""
    stages: list[Stage] = []
    identities: list[int] = []
    for block in blocks:
        seen = recognise_block(block, family)
        if seen.channels != channels:
            raise make_refusal(block.where, f"reads {seen.channels} channels of {channels}")
        changes = seen.stride != 1 or seen.width != channels
        if seen.projects and not changes:
            message = (
                "a 1x1 convolution stands on the shortcut although neither size nor channels "
                "change; an Architecture has the identity there"
            )
            raise make_refusal(block.where, message)
        if changes and not seen.projects:
            raise make_refusal(block.where, "the shape changes, but the shortcut is the identity")
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
            slots |= _slots_by_name(f"{at}.{name}", part)
        channels = seen.width
    # What a stage of identities would project with is of no matter: say what the others do.
    others = [stage.block.shortcut for i, stage in enumerate(stages) if i not in identities]
    for i in identities if others else []:
        stages[i] = replace(stages[i], block=replace(stages[i].block, shortcut=others[0]))
    return tuple(stages)


def _have_biases(convolutions: Sequence[ConvolutionPart]) -> bool:
    biased = ["bias" in convolution.slots for convolution in convolutions]
    if any(biased) and not all(biased):
        odd = convolutions[biased.index(not biased[0])]
        raise make_refusal(odd.where, "some convolutions have biases and some have none")
    return biased[0]


def _norm_spec(norms: Sequence[BatchNormPart]) -> Norm:
    first = norms[0]
    for norm in norms:
        if abs(norm.epsilon - first.epsilon) > 1e-12 or abs(norm.decay - first.decay) > 1e-9:
            message = (
                f"epsilon {norm.epsilon:g}, decay {norm.decay:g}, but {first.where} has "
                f"{first.epsilon:g} and {first.decay:g}; an Architecture has one for all"
            )
            raise make_refusal(norm.where, message)
    return Norm(epsilon=first.epsilon, decay=first.decay)
