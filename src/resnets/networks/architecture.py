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
from resnets.networks import validation
from resnets.networks.spec import Activation, Norm, Stage, Stem
from resnets.schema import from_json, parse_json, shorten, to_json

FORMAT = 1
"""Version of the JSON form. A reader refuses a newer one and says so."""


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
        problems = list(validation.find_problems(self))
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
                message = f"{shorten(version)} is not known here; this version reads {FORMAT}"
                raise InvalidDescription(subject, [Problem("format", message)])
            value = given
        return from_json(Architecture, value, subject)

    @staticmethod
    def from_text(text: str, subject: str = "architecture") -> "Architecture":
        """Read the JSON text of an architecture; raises InvalidDescription as ``from_json``."""
        return Architecture.from_json(parse_json(text, subject), subject)
