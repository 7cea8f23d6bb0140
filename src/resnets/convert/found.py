"""What a reader found in a file, before it is a network: the one result of all readers."""

from dataclasses import dataclass

from resnets.networks.architecture import Architecture
from resnets.networks.network import Preprocessing, Weights


@dataclass(frozen=True, kw_only=True)
class Found:
    """Arrays under canonical names, and whatever else the file told.

    Attributes:
        weights: arrays by canonical name, canonical layout (kernels [out, in / groups, height,
            width], dense [out, in]); floats of any width.
        kind: what the file is, in words, such as ``PyTorch file``.
        architecture: if the file names or implies it; None: it is recognised from the arrays.
        preprocessing: if the file tells it.
        class_names: if the file tells them.
        notes: what was assumed or left out, a sentence each, for the user to read.
    """

    weights: Weights
    kind: str
    architecture: Architecture | None = None
    preprocessing: Preprocessing | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
