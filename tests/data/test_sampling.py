"""Which images an epoch takes, and which it leaves out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnets.data.augmentation import step_indices
from resnets.data.sampling import BEFORE, LATEST, UNSEEN, Sampler, select_hardest
from resnets.errors import InvalidDescription, WeightsError
from resnets.recipes.recipe import Recipe
from resnets.recipes.schedule import Schedule

RECIPE = Recipe(batch=8, skip=0.3)


def test_without_skip_it_is_a_function_of_seed_and_step() -> None:
    recipe = Recipe(batch=8)
    order = Sampler(recipe, 50)
    for step in (5, 0, 13):
        np.testing.assert_array_equal(order.indices(step), step_indices(recipe, 50, step=step))
        following = order.next_indices(step)
        assert following is not None
        np.testing.assert_array_equal(following, step_indices(recipe, 50, step=step + 1))
    order.record_losses(np.arange(8), np.ones(8, np.float32))
    assert order.state() == {}


@given(
    losses=st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, float(UNSEEN)]), min_size=1, max_size=40),
    data=st.data(),
)
def test_the_hardest_in_their_order(losses: list[float], data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(len(losses)))))
    count = data.draw(st.integers(0, len(losses)))
    array = np.array(losses, np.float32)
    found = select_hardest(order, array, count=count)
    assert len(set(found.tolist())) == len(found) == count
    place = np.argsort(order)
    assert (np.diff(place[found]) > 0).all()
    left = np.setdiff1d(order, found)
    if count and len(left):
        assert array[left].max() <= array[found].min()


@pytest.mark.parametrize("partial", [False, True])
def test_an_epoch_leaves_out_what_was_easiest(partial: bool) -> None:
    recipe = RECIPE.replace(partial_batch=partial)
    order, rng = Sampler(recipe, 100), np.random.default_rng(0)
    per_epoch = Schedule(recipe, 100).steps_per_epoch
    assert Schedule(recipe, 100).images_per_epoch == 70
    assert per_epoch == (9 if partial else 8)
    known = np.full(100, UNSEEN)
    for epoch in range(5):
        before, taken = known.copy(), []
        for step in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            index = order.indices(step)
            following = order.next_indices(step)
            assert (following is None) == (step + 1 == (epoch + 1) * per_epoch)
            known[index] = rng.random(len(index))
            order.record_losses(index, known[index].astype(np.float32))
            taken.extend(index.tolist())
        assert len(set(taken)) == len(taken) == (70 if partial else 64)
        easiest = np.sort(before)[29]
        assert (before[taken] >= easiest).all()


def test_an_order_can_be_saved_anywhere() -> None:
    whole, numbers = Sampler(RECIPE, 64), []
    states = []
    for step in range(20):
        states.append(whole.state())
        numbers.append(whole.indices(step))
        whole.record_losses(numbers[-1], np.sin(numbers[-1] + step).astype(np.float32) + 1)
    for start, state in enumerate(states):
        assert all(np.isfinite(array).all() for array in state.values())
        order = Sampler(RECIPE, 64)
        order.restore(state, start)
        for name, array in order.state().items():  # also where an epoch, or the run, has ended
            np.testing.assert_array_equal(array, state[name])
        for step in range(start, 20):
            np.testing.assert_array_equal(order.indices(step), numbers[step])
            order.record_losses(numbers[step], np.sin(numbers[step] + step).astype(np.float32) + 1)


def test_a_state_of_other_images_is_refused() -> None:
    order = Sampler(RECIPE, 64)
    with pytest.raises(WeightsError, match="lacks losses/before of 64 images"):
        order.restore({}, 3)
    short = {BEFORE: np.zeros(64, np.float32), LATEST: np.zeros(63, np.float32)}
    with pytest.raises(WeightsError, match="lacks losses/latest of 64 images"):
        order.restore(short, 3)
    Sampler(Recipe(), 64).restore({}, 3)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_shares_out_of_range_are_refused(share: float) -> None:
    with pytest.raises(InvalidDescription, match="skip"):
        Recipe(skip=share)
