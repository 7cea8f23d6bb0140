"""What a backend offers: the seam between the frameworks and everything else.

A backend is a module with the functions of ``Backend``. Its models are plain native modules.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from resnets.data.augmentation import AugmentationParameters, Index
from resnets.data.images import Images, Pixels
from resnets.networks.architecture import Architecture
from resnets.networks.network import Preprocessing, Weights
from resnets.recipes.recipe import Recipe


@dataclass(frozen=True)
class Batch:
    """The input of one training step: stored images and their augmentation parameters.

    A session may read ``images``, or keep ``source`` on its device and read ``index``.

    Attributes:
        source: images that batches are taken from, the same object in every step.
        augmentation: augmentation parameters of the images of this batch.
        index: positions of this batch's images in ``source``, [n]. None means all of them.
        following: positions of the next batch's images. ``source`` starts to read them when
            the images of this batch are read.
    """

    source: Images
    augmentation: AugmentationParameters
    index: Index | None = None
    following: Index | None = None

    def __len__(self) -> int:
        return len(self.source if self.index is None else self.index)

    @cached_property
    def images(self) -> Images:
        """The batch's images, gathered."""
        found = self.source if self.index is None else self.source[self.index]
        if self.following is not None:
            self.source.prefetch(self.following)
        return found


Evaluator = Callable[[Pixels], npt.NDArray[np.float32]]
"""A function from stored images to logits [n, classes] in fp32."""


class Measured(Protocol):
    """The losses of a step. Reading them may wait for the device."""

    @property
    def loss(self) -> float:
        """Mean loss of the batch, as optimised."""
        ...

    @property
    def losses(self) -> npt.NDArray[np.float32]:
        """Loss of each image, [n], as optimised. A mixed image has the loss of its mixture."""
        ...


class Session(Protocol):
    """A model in training on a device."""

    @property
    def architecture(self) -> Architecture:
        """Architecture of the model."""
        ...

    @property
    def device(self) -> str:
        """Description of the device for people."""
        ...

    @property
    def threads(self) -> int:
        """Number of processor threads. Another number rounds sums differently."""
        ...

    @property
    def max_in_flight(self) -> int:
        """Number of steps that may be in flight before a loss is read."""
        ...

    @property
    def preparing(self) -> float:
        """Seconds spent so far on compiling and recording steps ahead of running them.

        0.0 in sessions that do neither, or only as part of an ordinary step.
        """
        ...

    def train_step(
        self, batch: Batch, rate: float, *, lr_scales: Mapping[str, float] | None = None
    ) -> Measured:
        """Take one optimiser step at the learning rate ``rate``.

        ``lr_scales`` maps canonical names to factors: those tensors use ``rate`` times the factor.
        """
        ...

    def add_to_parameters(self, amounts: Weights) -> None:
        """Add ``amounts`` to parameters between two steps.

        Names and layout are canonical. Averaged weights follow in later steps.
        """
        ...

    def eval_step(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Return logits [n, classes] in fp32, of the averaged weights if the recipe has them."""
        ...

    def weights(self) -> Weights:
        """Return a copy of the weights that ``eval_step`` uses."""
        ...

    def state(self) -> Weights:
        """Return a copy of all that training needs to resume, named as in ``SavedState``."""
        ...

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load what ``state`` returned, in this framework or another.

        Raises:
            WeightsError: if entries are missing, misshapen or unexpected.
        """
        ...


class Backend(Protocol):
    """The functions of a backend's module."""

    def build(
        self, architecture: Architecture, *, weights: Weights | None = None, seed: int = 0
    ) -> Any:
        """Return the native module with the given weights, or initial ones drawn by ``seed``."""
        ...

    def dump(self, model: Any) -> Weights:
        """Return a copy of the module's canonical weights."""
        ...

    def load(self, model: Any, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        """Copy canonical weights into the module.

        Raises:
            WeightsError: listing missing, unknown and misshapen tensors.
        """
        ...

    def features(
        self,
        model: Any,
        images: npt.NDArray[Any],
        *,
        wanted: Sequence[str] = ("logits",),
        training: bool = False,
    ) -> dict[str, npt.NDArray[Any]]:
        """Return intermediate results for prepared images [n, channels, height, width].

        The model stays as it is: its mode, where the framework has one, and its running
        statistics.

        Args:
            model: a module that ``build`` made.
            images: normalised, as ``Preprocessing`` defines.
            wanted: names of results: ``stem``, ``stage1``, ``stage2`` and so on, ``pooled`` and
                ``logits``. Maps are [n, channels, height, width].
            training: whether batch norms use the statistics of these images. By default they
                use their running statistics, whatever mode the model is in.

        Raises:
            KeyError: if there is no such result.
        """
        ...

    def session(
        self, model: Any, recipe: Recipe, *, preprocessing: Preprocessing, device: str = "auto"
    ) -> Session:
        """Put the module on a device, ready to train and to evaluate."""
        ...

    def evaluator(
        self, model: Any, preprocessing: Preprocessing, *, device: str = "auto"
    ) -> Evaluator:
        """Put the module on a device, ready to evaluate."""
        ...

    def available_devices(self) -> list[str]:
        """Return the names of the devices that the framework finds, the fastest kind first."""
        ...

    def precision(self, recipe: Recipe, device: str = "auto") -> str:
        """Return the precision that a recipe trains in: ``fp32``, ``bf16`` or ``fp64``."""
        ...
