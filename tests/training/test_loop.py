"""The loop, with a session that only counts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from resnets.backends import Batch
from resnets.data.images import Images, Pixels
from resnets.data.sampling import Sampler
from resnets.errors import Diverged
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.network import Weights
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe
from resnets.training.events import Epoch, Event, Grown, Progress, Step
from resnets.training.loop import TrainingData, train

SLIM = catalog.get("resnet8_slim", channels=1)


@dataclass
class Loss:
    loss: float
    losses: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))


@dataclass
class Counting:
    """A session whose loss is a function of the batch, and whose accuracy is scripted."""

    right: list[float]
    bad_step: int | None = None
    max_in_flight: int = 1
    device: str = "counter"
    threads: int = 1
    architecture: Architecture = SLIM
    taken: list[tuple[int, float]] = field(default_factory=list)
    lr_scales: list[Mapping[str, float] | None] = field(default_factory=list)
    lifted: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    evaluated: int = 0

    def train_step(
        self, batch: Batch, rate: float, *, lr_scales: Mapping[str, float] | None = None
    ) -> Loss:
        self.taken.append((len(batch.images), rate))
        self.lr_scales.append(lr_scales)
        if len(self.taken) == self.bad_step:
            return Loss(math.nan)
        return Loss(float(batch.images.pixels.mean()) / 10)

    def add_to_parameters(self, amounts: Weights) -> None:
        self.lifted.append((len(self.taken), {n: amount.item() for n, amount in amounts.items()}))

    def eval_step(self, pixels: Pixels) -> Any:
        share = self.right[min(self.evaluated, len(self.right) - 1)]
        self.evaluated += 1
        labels = pixels[:, 0, 0, 0].astype(int)
        logits = np.zeros((len(pixels), 2), np.float32)
        correct = np.arange(len(pixels)) < share * len(pixels)
        logits[np.arange(len(pixels)), np.where(correct, labels, 1 - labels)] = 2
        return logits

    def weights(self) -> dict[str, Any]:
        return {}

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        pass


def _images(n: int) -> Images:
    labels = np.arange(n) % 2
    pixels = np.broadcast_to(labels[:, None, None, None], (n, 2, 2, 1)).astype(np.uint8)
    return Images(pixels, labels)


DATA = TrainingData(_images(20), _images(10))
RECIPE = Recipe(batch=4, epochs=3, rate=0.5, schedule="linear")


def _events(
    session: Counting, recipe: Recipe = RECIPE, start: Progress | None = None
) -> list[Event]:
    return list(train(session, DATA, recipe=recipe, start=start))


def test_steps_and_epochs_in_order() -> None:
    session = Counting([0.6, 0.9, 0.7])
    events = _events(session)
    kinds = "".join("s" if isinstance(e, Step) else "E" for e in events)
    assert kinds == "sssssE" * 3
    epochs = [e for e in events if isinstance(e, Epoch)]
    assert [e.best for e in epochs] == [True, True, False]
    assert [e.validation_accuracy for e in epochs] == [0.6, 0.9, 0.7]
    assert epochs[-1].progress.best_epoch == 2
    assert [rate for _, rate in session.taken] == pytest.approx(
        [0.5 * (1 - s / 15) for s in range(15)]
    )
    steps = [e for e in events if isinstance(e, Step)]
    assert epochs[0].training_loss == pytest.approx(np.mean([s.loss for s in steps[:5]]))


def test_resuming_anywhere_gives_the_same_events() -> None:
    whole = _events(Counting([0.6, 0.9, 0.7]))
    for number, event in enumerate(whole[:-1]):
        assert event.progress is not None
        done = sum(isinstance(e, Epoch) for e in whole[: number + 1])
        rest = _events(Counting([0.6, 0.9, 0.7][done:]), start=event.progress)
        assert [_essence(e) for e in rest] == [_essence(e) for e in whole[number + 1 :]]


def test_growths_happen_between_epochs_and_resume_like_everything_else() -> None:
    recipe = RECIPE.replace(grow=[{"epoch": 1, "to": "a"}, {"epoch": 2, "to": "b"}])

    def events(right: list[float], start: Progress | None = None) -> list[Event]:
        session = Counting(right)
        return list(train(session, DATA, recipe=recipe, start=start, grow=lambda _: session))

    whole = events([0.6, 0.9, 0.7])
    kinds = "".join({Step: "s", Epoch: "E", Grown: "G"}[type(e)] for e in whole)
    assert kinds == "sssssEGsssssEGsssssE"
    grown = [e for e in whole if isinstance(e, Grown)]
    assert [(g.number, g.epoch, g.step) for g in grown] == [(1, 1, 5), (2, 2, 10)]
    assert grown[0].depths == (1, 1, 1)
    for number, event in enumerate(whole[:-1]):
        done = sum(isinstance(e, Epoch) for e in whole[: number + 1])
        rest = events([0.6, 0.9, 0.7][done:], event.progress)
        assert [_essence(e) for e in rest] == [_essence(e) for e in whole[number + 1 :]]


@pytest.mark.parametrize("max_in_flight", [1, 3])
def test_losses_of_images_choose_the_epochs_after_them(max_in_flight: int) -> None:
    """Images from 10 on are the hard ones here; resumed anywhere, the rest is the same."""

    class Telling(Counting):
        def train_step(
            self, batch: Batch, rate: float, *, lr_scales: Mapping[str, float] | None = None
        ) -> Loss:
            assert batch.index is not None
            numbers.append(batch.index.tolist())
            losses = np.where(batch.index < 10, 0.25, 1 + batch.index / 7)
            return Loss(float(losses.mean()), losses.astype(np.float32))

    recipe = RECIPE.replace(skip=0.4, epochs=5)
    numbers: list[list[int]] = []
    order, states = Sampler(recipe, 20), {}
    for event in train(
        Telling([0.5], max_in_flight=max_in_flight), DATA, recipe=recipe, sampler=order
    ):
        if event.progress is not None:
            states[len(numbers)] = (event.progress, order.state())
    whole = list(numbers)
    epochs = [[i for step in whole[e : e + 3] for i in step] for e in range(0, 15, 3)]
    assert {len(set(epoch)) for epoch in epochs} == {12}
    assert not (set(range(20)) - set(epochs[0])) - set(epochs[1])  # unseen ones come next
    assert all(set(epoch) >= set(range(10, 20)) for epoch in epochs[2:])
    assert len(states) >= 5
    for taken, (progress, arrays) in states.items():
        numbers.clear()
        again = Sampler(recipe, 20)
        again.restore(arrays, progress.step)
        list(
            train(
                Telling([0.5], max_in_flight=max_in_flight),
                DATA,
                recipe=recipe,
                start=progress,
                sampler=again,
            )
        )
        assert numbers == whole[taken:]


class Treated:
    """New tensors that are slowed in every step, and raised before every third."""

    def lr_scales(self, step: int) -> Mapping[str, float]:
        return {"fc.bias": step / 100}

    def parameter_additions(self, step: int) -> Weights:
        return {} if step % 3 else {"fc.weight": np.array(step)}


def test_compute_and_what_is_new_reach_where_they_belong() -> None:
    small, large = (catalog.get(f"resnet{n}_slim", channels=1) for n in (8, 14))
    recipe = RECIPE.replace(grow=[{"epoch": 1, "to": "a"}])
    sessions = [Counting([0.5], architecture=a) for a in (small, large)]
    lr_scales = [Treated().lr_scales(step) for step in range(15)]
    loop = train(
        sessions[0], DATA, recipe=recipe, grow=lambda _: sessions[1], new_tensors=Treated()
    )
    events = list(loop)
    assert sessions[0].lr_scales == lr_scales[:5]
    assert sessions[1].lr_scales == lr_scales[5:]
    assert sessions[0].lifted == [(n, {"fc.weight": n}) for n in (0, 3)]
    assert sessions[1].lifted == [(n - 5, {"fc.weight": n}) for n in (6, 9, 12)]
    costs = [3 * 20 * trace(a, 2).multiply_adds for a in (small, large, large)]
    epochs = [e for e in events if isinstance(e, Epoch)]
    assert [e.multiply_adds for e in epochs] == [sum(costs[: n + 1]) for n in range(3)]


def _essence(event: Event) -> Any:
    if not isinstance(event, Epoch):
        return event
    return (event.epoch, event.step, event.rate, event.training_loss, event.best, event.progress)


def test_a_lagging_device_gives_the_same_losses_and_settles_less_often() -> None:
    prompt, late = (
        _events(Counting([0.5], max_in_flight=max_in_flight)) for max_in_flight in (1, 3)
    )
    steps = [[e for e in events if isinstance(e, Step)] for events in (prompt, late)]
    assert [s.loss for s in steps[0]] == [s.loss for s in steps[1]]
    assert [s.progress is not None for s in steps[1]][:5] == [False, False, True, False, True]
    assert _essence(prompt[-1]) == _essence(late[-1])


@pytest.mark.parametrize("max_in_flight", [1, 4])
def test_a_loss_that_is_no_number_stops_and_names_the_step(max_in_flight: int) -> None:
    session = Counting([0.5], bad_step=7, max_in_flight=max_in_flight)
    seen: list[Event] = []
    with pytest.raises(Diverged, match="nan at step 7, epoch 2"):
        seen.extend(train(session, DATA, recipe=RECIPE))


def test_patience_ends_training_early() -> None:
    recipe = RECIPE.replace(epochs=10, patience=2, schedule="constant")
    events = _events(Counting([0.5, 0.8, 0.7, 0.8, 0.9]), recipe)
    epochs = [e for e in events if isinstance(e, Epoch)]
    assert [e.epoch for e in epochs] == [1, 2, 3, 4]
    assert epochs[-1].progress.stopped
    assert _events(Counting([0.5]), recipe, epochs[-1].progress) == []


def test_patience_waits_for_growths_and_begins_anew_after_each() -> None:
    recipe = RECIPE.replace(
        epochs=12,
        patience=2,
        schedule="constant",
        grow=[{"epoch": 4, "depths": [2]}, {"epoch": 5, "depths": [3]}],
    )
    # The best epoch is the first; without growths training would stop after the third.
    session = Counting([0.9, *[0.5] * 11])
    events = list(train(session, DATA, recipe=recipe, grow=lambda _: session))
    assert [e.epoch for e in events if isinstance(e, Grown)] == [4, 5]
    epochs = [e for e in events if isinstance(e, Epoch)]
    # The second is faded in by the end of epoch 7; then it has two epochs to pay.
    assert [e.epoch for e in epochs] == list(range(1, 10))
    assert [e.progress.stopped for e in epochs] == [False] * 8 + [True]


def test_without_validation_the_last_epoch_is_the_best() -> None:
    events = list(train(Counting([]), TrainingData(DATA.training, None), recipe=RECIPE))
    epochs = [e for e in events if isinstance(e, Epoch)]
    assert [e.best for e in epochs] == [True, True, True]
    assert epochs[-1].validation_accuracy is None
