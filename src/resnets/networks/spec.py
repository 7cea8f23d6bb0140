"""The parts of a network's description: norm, stem, block and stage, as frozen values."""

from dataclasses import dataclass, field
from typing import Literal

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
