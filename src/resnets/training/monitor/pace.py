"""How fast a run goes and when it will be done: arithmetic on the times of its events."""

import time
from collections import deque
from collections.abc import Callable

from resnets.training.events import Epoch, Started, Step

Clock = Callable[[], float]
"""Gives seconds that only grow."""


class Pace:
    """How fast this process trains, and what is left; pure arithmetic on the events' times.

    Speed is measured between steps whose results are in, over the last ``WINDOW`` seconds of
    training: pauses for validation do not count, nor does the time before the first step, in
    which frameworks compile. What is left is the steps at that speed, and for each epoch to end
    a pause as long as the last one.

    Attributes:
        step, epoch: of the last step whose result is in.
        validating: whether an epoch's last step is done and its validation under way.
        images_per_second: None before two measured steps.
    """

    WINDOW = 30.0
    INTERVAL = 0.1

    def __init__(self, run: Started, clock: Clock = time.perf_counter) -> None:
        self.run = run
        self.step = run.done_steps
        self.epoch = min(self.step // run.steps_per_epoch + 1, run.epochs)
        self.validating = False
        self.images_per_second: float | None = None
        self._clock = clock
        self._began = clock()
        self._images = 0
        self._loss_sum = self._loss_weight = 0.0
        self._paused = self._pause_began = 0.0
        self._last_pause: float | None = None
        self._samples: deque[tuple[float, int, int]] = deque()

    def record_step(self, event: Step) -> float | None:
        """Count a step; give the time if its result is in, else None (and cost next to nothing).

        Sessions read losses some steps late and in bursts; only the last step of a burst says
        how much was done by when.
        """
        self._images += event.images
        self._loss_sum = 0.95 * self._loss_sum + event.loss
        self._loss_weight = 0.95 * self._loss_weight + 1
        if event.progress is None:
            return None
        self.step, self.epoch = event.step, event.epoch
        now = self._clock()
        ended = event.step % self.run.steps_per_epoch == 0
        self._record_sample(now - self._paused, ended)
        if ended and self.run.validation_images:
            self.validating, self._pause_began = True, now
        return now

    def record_epoch(self, _event: Epoch) -> None:
        """Count the pause since the epoch's last step."""
        if self.validating:
            self._last_pause = self._clock() - self._pause_began
            self._paused += self._last_pause
            self.validating = False

    @property
    def loss(self) -> float | None:
        """Mean of the steps' losses, the latest counting most; None before the first."""
        return self._loss_sum / self._loss_weight if self._loss_weight else None

    @property
    def seconds(self) -> float:
        """Since this process began to train."""
        return self._clock() - self._began

    @property
    def seconds_left(self) -> float | None:
        """Until the last epoch's validation is done; None before two measured steps."""
        pause = self.pause
        if not self.images_per_second or pause is None:
            return None
        (began, first, _), (ended, last, _) = self._samples[0], self._samples[-1]
        training = (self.run.steps - self.step) * (ended - began) / (last - first)
        pauses = self.run.epochs - (self.step - self.validating) // self.run.steps_per_epoch
        waited = min(self._clock() - self._pause_began, pause) if self.validating else 0.0
        return training + pauses * pause - waited

    @property
    def pause(self) -> float | None:
        """Seconds that validation is going to take; None before two measured steps."""
        if not self.run.validation_images:
            return 0.0
        if self._last_pause is not None:
            return self._last_pause
        if not self.images_per_second:
            return None
        # A forward pass is a third of a step's work.
        return self.run.validation_images / self.images_per_second / 3

    def _record_sample(self, now: float, ended: bool) -> None:
        """Note how much was done by ``now``, in seconds of training; forget what is long ago."""
        if self._samples and now - self._samples[-1][0] < self.INTERVAL and not ended:
            return
        self._samples.append((now, self.step, self._images))
        while len(self._samples) > 2 and self._samples[1][0] <= now - self.WINDOW:
            self._samples.popleft()
        then, _, images = self._samples[0]
        if now > then:
            self.images_per_second = (self._images - images) / (now - then)
