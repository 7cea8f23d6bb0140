"""What happens in a training run: events, and the progress that is saved with a run.

``training.job`` and ``training.loop`` yield them; progress views, logs and trackers consume them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where training stands, beside the session's state; numbers only, saved as JSON.

    Attributes:
        step: steps taken.
        loss_sum, images: of the training images seen in the epoch under way.
        best_epoch: from 1; 0 where none has ended.
        best_accuracy, best_loss: of that epoch, on the validation images.
        stopped: whether patience ended training early.
        grown: how often the network has become deeper.
        multiply_adds: of all steps so far: three times those of the forward pass, for each image.
    """

    step: int = 0
    loss_sum: float = 0.0
    images: int = 0
    best_epoch: int = 0
    best_accuracy: float = 0.0
    best_loss: float = math.inf
    stopped: bool = False
    grown: int = 0
    multiply_adds: int = 0


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step was taken.

    Attributes:
        step: steps taken so far, from 1.
        epoch: the one under way, from 1.
        rate: its learning rate.
        loss: the batch's mean loss, of what was optimised.
        images: in the batch.
        progress: where training stands, if the session's state belongs to it; None while later
            steps are under way on the device.
    """

    step: int
    epoch: int
    rate: float
    loss: float
    images: int
    progress: Progress | None


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """An epoch has ended.

    Attributes:
        epoch: from 1.
        step: steps taken so far.
        rate: learning rate of its last step.
        training_loss: mean over its batches, of what was optimised.
        validation_loss, validation_accuracy: after it; None without a validation split.
        best: whether its weights are the best so far.
        seconds: that its steps took in this process, without validation.
        images_per_second: over those steps.
        progress: where training stands; the session's state belongs to it.
        multiply_adds: of the training so far, as in ``Progress``.
    """

    epoch: int
    step: int
    rate: float
    training_loss: float
    validation_loss: float | None
    validation_accuracy: float | None
    best: bool
    seconds: float
    images_per_second: float
    progress: Progress
    multiply_adds: int = 0


@dataclass(frozen=True, kw_only=True)
class Grown:
    """The network has become deeper.

    Attributes:
        number: of the recipe's growth, from 1.
        epoch, step: ended and taken before it.
        network: the new network's name.
        depths: its blocks in each stage.
        progress: where training stands; the session's state belongs to it.
    """

    number: int
    epoch: int
    step: int
    network: str
    depths: tuple[int, ...]
    progress: Progress


@dataclass(frozen=True, kw_only=True)
class Started:
    """A run begins or resumes: everything that is known before its first step.

    Attributes:
        title: the run in one line.
        network, parameters, multiply_adds: what is trained; multiply-adds are for one image.
        device, framework, precision: what trains it, in words.
        training_images, validation_images: in the data set; 0 if none are held out.
        epoch_images: how many of the training images one epoch uses.
        epochs, steps_per_epoch: to the end of the recipe.
        done_steps: steps taken before this process; above 0 if the run resumes.
        folder: of the run.
        history: epochs that earlier processes of the same run have ended.
    """

    title: str
    network: str
    parameters: int
    multiply_adds: int
    device: str
    framework: str
    precision: str
    training_images: int
    epoch_images: int
    validation_images: int
    epochs: int
    steps_per_epoch: int
    done_steps: int
    folder: str
    history: tuple[Epoch, ...] = ()

    @property
    def steps(self) -> int:
        """Number of steps in the whole run."""
        return self.epochs * self.steps_per_epoch


@dataclass(frozen=True, kw_only=True)
class Trained:
    """All epochs have ended; the test set is evaluated next.

    Attributes:
        network: the name of the network that the run began with.
        folder: of the run.
    """

    network: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The run has ended.

    Attributes:
        result: the content of result.json.
    """

    result: Mapping[str, Any]


LoopEvent = Step | Epoch | Grown
"""What the training loop yields."""

Event = Started | LoopEvent | Trained | Finished
"""What a run yields, in this order: ``Started`` once, loop events, ``Trained``, ``Finished``."""
