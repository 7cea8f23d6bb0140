"""The description of a residual network: a frozen value, checked as a whole, JSON both ways.

Everything else follows from it: names and shapes of the tensors, costs, pictures, the NumPy
definition of the function and the native modules of each framework.

Sources: He et al. 2015, "Deep Residual Learning for Image Recognition" (arXiv:1512.03385);
He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027);
Xie et al. 2016, "Aggregated Residual Transformations for Deep Neural Networks"
(arXiv:1611.05431); Hu et al. 2017, "Squeeze-and-Excitation Networks" (arXiv:1709.01507);
T. He et al. 2018, "Bag of Tricks for Image Classification with Convolutional Neural Networks"
(arXiv:1812.01187); *Dive into Deep Learning*, chapter 8.6.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from resnets.description import from_json, read_text, shortened, to_json
from resnets.errors import InvalidDescription, Problem

FORMAT = 1
"""Version of the JSON form. A reader refuses a newer one and says so."""

LARGEST_WIDTH = 2**16
LARGEST_DEPTH = 2**12
MOST_STAGES = 32


@dataclass(frozen=True, kw_only=True)
class Norm:
    """Batch normalization, one definition for all frameworks.

    Attributes:
        epsilon: added to the variance.
        decay: share of the old running statistics kept at each training step; the new share is
            1 - decay (torch calls that ``momentum``, Keras calls the decay ``momentum``).

    Batches are normalised by the biased variance; the running variance is updated with the
    unbiased one (n / (n - 1)), as in torch, whichever framework trains.
    """

    epsilon: float = 1e-5
    decay: float = 0.9


@dataclass(frozen=True, kw_only=True)
class Stem:
    """What stands before the first stage: convolution, norm, ReLU and perhaps a max-pool.

    Attributes:
        width: channels.
        kernel: height and width of the convolution, odd, padded by kernel // 2.
        stride: of the convolution.
        pool: whether a 3×3 max-pool of stride 2 follows (ImageNet: yes, small images: no).
        deep: whether three 3×3 convolutions of width / 2, width / 2 and width channels stand in
            place of the one (ResNet-C, T. He et al. 2018, Figure 2b); the kernel must say 3.
    """

    width: int = 64
    kernel: int = 7
    stride: int = 2
    pool: bool = True
    deep: bool = False


@dataclass(frozen=True, kw_only=True)
class Block:
    """The residual block that a stage repeats.

    Attributes:
        kind: ``basic`` is 3×3, 3×3; ``bottleneck`` is 1×1, 3×3, 1×1 (He et al. 2015, Figure 5).
        inner: channels inside the block; for ``basic``, of the first convolution. None: the
            stage's width for ``basic``, a quarter of it for ``bottleneck``.
        groups: groups of the 3×3 convolution of a bottleneck (ResNeXt's cardinality).
        stride_in: which convolution of a strided bottleneck carries the stride: the first
            1×1 (``v1``: He et al. 2015) or the 3×3 (``v1.5``: torchvision, timm).
        shortcut: how the input reaches the sum where its shape changes: ``projection``, a
            strided 1×1 convolution with norm (option B); ``bare_projection``, the same
            without norm (the chapter's ``Residual``); ``padding``, subsampled and padded with
            zero channels (option A); ``average_projection``, a strided 2×2 average pool and a
            1×1 convolution with norm (ResNet-D, T. He et al. 2018, Figure 2c). Where the shape
            does not change: the identity.
        squeeze: channels to which squeeze-and-excitation squeezes the branch before it is
            scaled and added (Hu et al. 2017, Figure 3); None for no scaling.
    """

    kind: Literal["basic", "bottleneck"] = "basic"
    inner: int | None = None
    groups: int = 1
    stride_in: Literal["1x1", "3x3"] = "3x3"
    shortcut: Literal["projection", "bare_projection", "padding", "average_projection"] = (
        "projection"
    )
    squeeze: int | None = None

    def inner_width(self, width: int) -> int:
        """Channels inside a block whose output has ``width`` channels."""
        if self.inner is not None:
            return self.inner
        return width if self.kind == "basic" else width // 4


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks of one output shape.

    Attributes:
        depth: number of blocks.
        width: channels that every block puts out.
        stride: of the first block.
        block: the block repeated.
    """

    depth: int
    width: int
    stride: int = 1
    block: Block = field(default_factory=Block)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A residual network for image classification.

    Stem, stages, global average pool, dense layer.

    Attributes:
        name: what people call it; no part of the function.
        channels: of the input images, 1 for grey, 3 for colour.
        classes: logits put out.
        stem, stages: as above.
        preactivation: whether norm and ReLU come before each convolution (He et al. 2016): no
            norm in the stem, a sum left as it is, a last norm and ReLU before the pool. A
            projection then takes the activated input and has no norm.
        bias: whether convolutions have biases (only the chapter's do).
        norm: of every norm.

    Raises:
        InvalidDescription: on construction, listing every problem of the tree with its path.
    """

    name: str = ""
    channels: int = 3
    classes: int = 1000
    stem: Stem = field(default_factory=Stem)
    stages: tuple[Stage, ...]
    preactivation: bool = False
    bias: bool = False
    norm: Norm = field(default_factory=Norm)

    def __post_init__(self) -> None:
        problems = list(_problems(self))
        if problems:
            raise InvalidDescription("architecture", problems)

    def to_json(self) -> dict[str, Any]:
        """Give the description as JSON values, with the version of the form."""
        return {"format": FORMAT, **to_json(self)}

    @staticmethod
    def from_json(value: Any) -> "Architecture":
        """Read what ``to_json`` gave.

        Raises:
            InvalidDescription: with all problems of form; when there are none, with all
                problems of value.
        """
        if isinstance(value, dict):
            given: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
            version = given.pop("format", FORMAT)
            if version != FORMAT:
                message = f"{shortened(version)} is not known here; this version reads {FORMAT}"
                raise InvalidDescription("architecture", [Problem("format", message)])
            value = given
        return from_json(Architecture, value, "architecture")

    @staticmethod
    def from_text(text: str) -> "Architecture":
        """Read the JSON text of an architecture; raises InvalidDescription as ``from_json``."""
        return Architecture.from_json(read_text(text, "architecture"))


def _problems(a: Architecture) -> Iterator[Problem]:
    """Yield everything that keeps ``a`` from being a network."""
    if not isinstance(a.name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem("name", f"{shortened(a.name)} is not a string")
    yield from _whole(a.channels, "channels", 1, LARGEST_WIDTH)
    yield from _whole(a.classes, "classes", 1, 2**24)
    yield from _flag(a.bias, "bias")
    yield from _flag(a.preactivation, "preactivation")
    yield from _stem_problems(a.stem)
    if a.preactivation is True and getattr(a.stem, "deep", False):
        yield Problem("stem.deep", "a deep stem is not defined with preactivation")
    yield from _norm_problems(a.norm)
    if not isinstance(a.stages, tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem("stages", f"{shortened(a.stages)} is not a tuple of Stage")
        return
    if not 1 <= len(a.stages) <= MOST_STAGES:
        yield Problem("stages", f"{len(a.stages)} of them; a network has 1 to {MOST_STAGES}")
    depths = [getattr(stage, "depth", 0) for stage in a.stages]
    if all(map(_is_whole, depths)) and sum(depths) > LARGEST_DEPTH:
        yield Problem("stages", f"{sum(depths)} blocks in all; at most {LARGEST_DEPTH}")
    channels = a.stem.width if isinstance(a.stem, Stem) else 1  # pyright: ignore[reportUnnecessaryIsInstance]
    for i, stage in enumerate(a.stages):
        yield from _stage_problems(stage, channels, f"stages[{i}]")
        if a.preactivation and isinstance(getattr(stage, "block", None), Block):
            yield from _preactivation_problems(stage.block, f"stages[{i}].block")
        channels = getattr(stage, "width", channels)


def _preactivation_problems(block: Block, path: str) -> Iterator[Problem]:
    if block.shortcut == "bare_projection":
        message = "projections have no norm before activation anyway; use projection"
        yield Problem(f"{path}.shortcut", message)
    if block.shortcut == "average_projection":
        yield Problem(f"{path}.shortcut", "ResNet-D's is not defined with preactivation")
    if block.squeeze is not None:
        yield Problem(f"{path}.squeeze", "squeeze is not defined with preactivation")


def _stem_problems(stem: Stem) -> Iterator[Problem]:
    if not isinstance(stem, Stem):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem("stem", f"{shortened(stem)} is not a Stem")
        return
    yield from _whole(stem.width, "stem.width", 1, LARGEST_WIDTH)
    yield from _whole(stem.kernel, "stem.kernel", 1, 31)
    if _is_whole(stem.kernel) and stem.kernel % 2 == 0:
        yield Problem("stem.kernel", f"{stem.kernel} is even; the padding is kernel // 2")
    yield from _whole(stem.stride, "stem.stride", 1, 8)
    yield from _flag(stem.pool, "stem.pool")
    yield from _flag(stem.deep, "stem.deep")
    if stem.deep is True and stem.kernel != 3:
        yield Problem("stem.kernel", f"{stem.kernel}; a deep stem's kernels are 3")
    if stem.deep is True and _is_whole(stem.width) and stem.width % 2:
        yield Problem("stem.width", f"{stem.width} is odd; a deep stem begins with half of it")


def _norm_problems(norm: Norm) -> Iterator[Problem]:
    if not isinstance(norm, Norm):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem("norm", f"{shortened(norm)} is not a Norm")
        return
    if not (_is_number(norm.epsilon) and 0 < norm.epsilon < 1):
        yield Problem("norm.epsilon", f"{shortened(norm.epsilon)} is not between 0 and 1")
    if not (_is_number(norm.decay) and 0 <= norm.decay < 1):
        yield Problem("norm.decay", f"{shortened(norm.decay)} is not from 0 to below 1")


def _stage_problems(stage: Stage, channels: int, path: str) -> Iterator[Problem]:
    if not isinstance(stage, Stage):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem(path, f"{shortened(stage)} is not a Stage")
        return
    yield from _whole(stage.depth, f"{path}.depth", 1, LARGEST_DEPTH)
    yield from _whole(stage.width, f"{path}.width", 1, LARGEST_WIDTH)
    yield from _whole(stage.stride, f"{path}.stride", 1, 8)
    if not isinstance(stage.block, Block):  # pyright: ignore[reportUnnecessaryIsInstance]
        yield Problem(f"{path}.block", f"{shortened(stage.block)} is not a Block")
        return
    yield from _block_problems(stage, channels, f"{path}.block")


def _block_problems(stage: Stage, channels: int, path: str) -> Iterator[Problem]:
    block = stage.block
    choices = {
        "kind": ("basic", "bottleneck"),
        "stride_in": ("1x1", "3x3"),
        "shortcut": ("projection", "bare_projection", "padding", "average_projection"),
    }
    for name, allowed in choices.items():
        value = getattr(block, name)
        if value not in allowed:
            yield Problem(
                f"{path}.{name}", f"{shortened(value)} is not one of {', '.join(allowed)}"
            )
    wrong = list(_whole(block.groups, f"{path}.groups", 1, LARGEST_WIDTH))
    for name in ("inner", "squeeze"):
        if getattr(block, name) is not None:
            wrong += _whole(getattr(block, name), f"{path}.{name}", 1, LARGEST_WIDTH)
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
    if block.kind == "basic" and block.groups != 1:
        yield Problem(f"{path}.groups", "a basic block has no groups; use kind bottleneck")
    if block.kind == "basic" and block.stride_in != "3x3":
        yield Problem(f"{path}.stride_in", "a basic block has no 1x1; use 3x3")
    if block.shortcut == "padding" and _is_whole(channels) and stage.width < channels:
        message = f"padding cannot narrow {channels} channels to {stage.width}; use projection"
        yield Problem(f"{path}.shortcut", message)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(value: Any, path: str, least: int, most: int) -> list[Problem]:
    if _is_whole(value) and least <= value <= most:
        return []
    return [Problem(path, f"{shortened(value)} is not a whole number from {least} to {most}")]


def _flag(value: Any, path: str) -> list[Problem]:
    if isinstance(value, bool):
        return []
    return [Problem(path, f"{shortened(value)} is not true or false")]
