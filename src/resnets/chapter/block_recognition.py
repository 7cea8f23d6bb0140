"""From a block's parts to its description: which of the chapter's two blocks it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from resnets.chapter.parts import BatchNormPart, BlockPart, ConvolutionPart, make_refusal
from resnets.networks import spec as described
from resnets.networks.naming import RESNET, RESNET_V2, NamingScheme


@dataclass(frozen=True)
class RecognisedBlock:
    """What a block is, and which of its parts is which.

    Attributes:
        stride, width: of the block; ``channels`` that it reads.
        block: its description; of an identity's, the shortcut is not known.
        names: canonical names of its parts.
        projects: whether its shortcut is a convolution.
    """

    channels: int
    width: int
    stride: int
    block: described.Block
    names: dict[str, ConvolutionPart | BatchNormPart]
    projects: bool


def _branch(block: BlockPart) -> tuple[list[ConvolutionPart], list[BatchNormPart]]:
    """Give the convolutions and norms of one of the chapter's two blocks, as they are counted."""
    count = 2
    try:
        if block.convolutions["conv1"].kernel != 3:
            count = 3
        numbers = range(1, count + 1)
        branch = [block.convolutions[f"conv{k}"] for k in numbers]
        norms = [block.norms[f"bn{k}"] for k in numbers]
    except KeyError as missing:
        message = f"has no {missing.args[0]}, as the chapter's blocks have"
        raise make_refusal(block.where, message) from None
    kernels = [convolution.kernel for convolution in branch]
    if kernels not in ([3, 3], [1, 3, 1]):
        raise make_refusal(
            block.where, f"kernels {kernels} are neither Residual's nor ResNeXtBlock's"
        )
    return branch, norms


def recognise_block(block: BlockPart, family: NamingScheme) -> RecognisedBlock:
    """Tell the chapter's two blocks apart, and see that each part is as it must be."""
    where, (branch, norms) = block.where, _branch(block)
    _expect_norms(where, branch, norms=norms, family=family)
    names: dict[str, ConvolutionPart | BatchNormPart] = {}
    for k, (convolution, norm) in enumerate(zip(branch, norms, strict=True), 1):
        names[family.convolution.format(k=k)], names[family.norm.format(k=k)] = convolution, norm
    first, second, last, number = branch[0], branch[1], branch[-1], len(branch) + 1
    projection, norm = block.convolutions.get(f"conv{number}"), block.norms.get(f"bn{number}")
    known = {f"{kind}{k}" for k in range(1, number + 1) for kind in ("conv", "bn")}
    # No norm stands on the shortcut of a pre-activation block, nor on an identity.
    bare_only = family is RESNET_V2 or projection is None
    _refuse_other_parts(block, known - {f"bn{number}"} if bare_only else known)
    for convolution in (*branch, *([projection] if projection else [])):
        expect_symmetric(convolution)
    if projection:
        names[family.projection] = projection
    if norm:
        names[family.projection_norm] = norm
    stride = _stride(where, branch, projection=projection)
    grouped, bare = len(branch) == 3, projection and not norm and family is RESNET
    inner = None if first.width == (last.width // 4 if grouped else last.width) else first.width
    return RecognisedBlock(
        channels=first.channels,
        width=last.width,
        stride=stride,
        block=described.Block(
            kind="bottleneck" if grouped else "basic",
            inner=inner,
            groups=second.groups if grouped else 1,
            stride_in="1x1" if grouped and first.stride > 1 else "3x3",
            shortcut="bare_projection" if bare else "projection",
        ),
        names=names,
        projects=projection is not None,
    )


def _expect_norms(
    where: str,
    branch: Sequence[ConvolutionPart],
    *,
    norms: Sequence[BatchNormPart],
    family: NamingScheme,
) -> None:
    """See that the norms fit what stands before them."""
    given = [norm.width for norm in norms]
    read, put_out = [c.channels for c in branch], [c.width for c in branch]
    needed = read if family is RESNET_V2 else put_out
    if given == needed:
        return
    if given == read:
        message = (
            "the block is pre-activation, and the network around it is not: an Architecture of "
            "such blocks has a convolution alone, perhaps with a max-pool, before them, and a "
            "batch norm and a ReLU after them"
        )
        raise make_refusal(where, message)
    raise make_refusal(where, f"its norms have {given} channels; its convolutions need {needed}")


def _refuse_other_parts(block: BlockPart, known: set[str]) -> None:
    for name in (*block.convolutions, *block.norms):
        if name not in known:
            raise make_refusal(block.where, f"its {name} has no place in the chapter's blocks")


def _stride(
    where: str, branch: Sequence[ConvolutionPart], *, projection: ConvolutionPart | None
) -> int:
    """Give the block's stride, which one convolution of the branch has, and the projection."""
    strides = [convolution.stride for convolution in branch]
    stride = max(strides)
    if strides.count(1) < len(strides) - 1 or branch[-1].stride > 1:
        raise make_refusal(
            where, f"strides {strides}: one convolution before the last may have one"
        )
    if any(c.groups > 1 for i, c in enumerate(branch) if (i, len(branch)) != (1, 3)):
        raise make_refusal(where, "groups are for the 3x3 convolution of three")
    if projection and (projection.kernel != 1 or projection.stride != stride):
        message = f"the shortcut has kernel {projection.kernel} and stride {projection.stride}"
        raise make_refusal(where, f"{message}, the block's stride is {stride}")
    return stride


def expect_symmetric(convolution: ConvolutionPart) -> None:
    if convolution.padding != convolution.kernel // 2:
        message = (
            f"kernel {convolution.kernel} with padding {convolution.padding}; an Architecture "
            f"pads by {convolution.kernel // 2}"
        )
        raise make_refusal(convolution.where, message)
