"""The description of a residual network: a frozen value, checked as a whole, JSON both ways.

Everything else follows from it: names and shapes of the tensors, costs, pictures, the NumPy
definition of the function and the native modules of each framework.

Sources: He et al. 2015, "Deep Residual Learning for Image Recognition" (arXiv:1512.03385);
He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027);
Xie et al. 2016, "Aggregated Residual Transformations for Deep Neural Networks"
(arXiv:1611.05431); Hu et al. 2017, "Squeeze-and-Excitation Networks" (arXiv:1709.01507);
T. He et al. 2018, "Bag of Tricks for Image Classification with Convolutional Neural Networks"
(arXiv:1812.01187); Radosavovic et al. 2020, "Designing Network Design Spaces"
(arXiv:2003.13678); Wu et al. 2018, "Shift: A Zero FLOP, Zero Parameter Alternative to Spatial
Convolutions" (arXiv:1711.08141); Srivastava et al. 2015, "Highway Networks" (arXiv:1505.00387);
Wu and He 2018, "Group Normalization" (arXiv:1803.08494); *Dive into Deep Learning*, chapter 8.6.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from resnets.errors import InvalidDescription, Problem
from resnets.schema import from_json, read_text, shortened, to_json

FORMAT = 1
"""Version of the JSON form. A reader refuses a newer one and says so."""


Activation = Literal["relu", "leaky_relu", "elu", "silu", "gelu"]


@dataclass(frozen=True, kw_only=True)
class Norm:
    """What follows convolutions, one definition for all frameworks.

    Attributes:
        kind: ``batch``, over the images of a batch; ``group``, over groups of each image's
            channels, the same in training and after (Wu and He 2018); ``none``.
        epsilon: added to the variance.
        decay: of batch norms, the share of the old running statistics kept at each training
            step; the new share is 1 - decay (torch calls that ``momentum``, Keras calls the
            decay ``momentum``).
        groups: of group norms; must divide every number of channels.

    Values are normalised by the biased variance; a running variance is updated with the unbiased
    one (n / (n - 1)), as in torch, whichever framework trains.
    """

    kind: Literal["batch", "group", "none"] = "batch"
    epsilon: float = 1e-5
    decay: float = 0.9
    groups: int = 32


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
        kind: ``basic`` is 3×3, 3×3; ``bottleneck`` is 1×1, 3×3, 1×1 (He et al. 2015, Figure 5);
            ``shift`` is 1×1, a shift of each channel by one pixel in a direction of its own,
            strided 1×1 (Wu et al. 2018, Figure 4).
        inner: channels inside the block; for ``basic``, of the first convolution. None: the
            stage's width, for ``bottleneck`` a quarter of it.
        groups: groups of the 3×3 convolution of a bottleneck (ResNeXt's cardinality).
        stride_in: which convolution of a strided bottleneck carries the stride: the first
            1×1 (``v1``: He et al. 2015) or the 3×3 (``v1.5``: torchvision, timm).
        shortcut: how the input reaches the sum where its shape changes: ``projection``, a
            strided 1×1 convolution with norm (option B); ``bare_projection``, the same
            without norm (the chapter's ``Residual``); ``padding``, subsampled and padded with
            zero channels (option A); ``average_projection``, a strided 2×2 average pool and a
            1×1 convolution with norm (ResNet-D, T. He et al. 2018, Figure 2c). Where the shape
            does not change: the identity.
        squeeze: channels to which squeeze-and-excitation squeezes before channels are scaled
            (Hu et al. 2017, Figure 3); None for no scaling.
        squeeze_ratio: in place of ``squeeze``, its share of the block's input channels, rounded
            (Radosavovic et al. 2020, section 5: a quarter).
        squeeze_at: what is scaled: the ``branch`` before it is added (Hu et al. 2017), or what
            the ``3x3`` of a bottleneck puts out (Radosavovic et al. 2020).
        gated: whether a highway gate weighs the sum: T * branch + (1 - T) * shortcut, where T
            is the sigmoid of a 1×1 convolution of the block's input (Srivastava et al. 2015,
            equation 3; He et al. 2016, section 3.1, "exclusive gating").
    """

    kind: Literal["basic", "bottleneck", "shift"] = "basic"
    inner: int | None = None
    groups: int = 1
    stride_in: Literal["1x1", "3x3"] = "3x3"
    shortcut: Literal["projection", "bare_projection", "padding", "average_projection"] = (
        "projection"
    )
    squeeze: int | None = None
    squeeze_ratio: float | None = None
    squeeze_at: Literal["branch", "3x3"] = "branch"
    gated: bool = False

    def inner_width(self, width: int) -> int:
        """Channels inside a block whose output has ``width`` channels."""
        if self.inner is not None:
            return self.inner
        return width // 4 if self.kind == "bottleneck" else width

    def squeezed_width(self, channels: int) -> int | None:
        """Channels squeezed to in a block that reads ``channels``; None for no scaling."""
        return self.squeeze if self.squeeze_ratio is None else round(self.squeeze_ratio * channels)


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
        activation: what stands wherever this text says ReLU.
        output_stride: how much smaller than the image the last maps may get, such as 8 or 16;
            later stages keep their size and dilate their 3×3 convolutions instead (torchvision's
            ``replace_stride_with_dilation``, timm's ``output_stride``). None: no limit.
        naming: whose tensor names the weights have, no part of the function: ``resnet``,
            torchvision's and timm's (with ``preactivation``, timm's ``resnetv2``), or
            ``regnet``, torchvision's.

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
    activation: Activation = "relu"
    output_stride: int | None = None
    naming: Literal["resnet", "regnet"] = "resnet"

    def __post_init__(self) -> None:
        from resnets.networks import validation  # which needs the classes of this file

        problems = list(validation.problems(self))
        if problems:
            raise InvalidDescription("architecture", problems)

    def to_json(self) -> dict[str, Any]:
        """Give the description as JSON values, with the version of the form."""
        return {"format": FORMAT, **to_json(self)}

    @staticmethod
    def from_json(value: Any, subject: str = "architecture") -> "Architecture":
        """Read what ``to_json`` gave; ``subject`` is where it comes from.

        Raises:
            InvalidDescription: with all problems of form and of value.
        """
        if isinstance(value, dict):
            given: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
            version = given.pop("format", FORMAT)
            if version != FORMAT:
                message = f"{shortened(version)} is not known here; this version reads {FORMAT}"
                raise InvalidDescription(subject, [Problem("format", message)])
            value = given
        return from_json(Architecture, value, subject)

    @staticmethod
    def from_text(text: str, subject: str = "architecture") -> "Architecture":
        """Read the JSON text of an architecture; raises InvalidDescription as ``from_json``."""
        return Architecture.from_json(read_text(text, subject), subject)
