"""Draws: pure functions of seed and step, and what they promise."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnets.data.augmentation import draw_parameters, split, step_indices
from resnets.recipes.recipe import Recipe
from resnets.recipes.schedule import Schedule

ALL = Recipe(flip=True, crop=4, erase=0.5, mixup=0.3, cutmix=1.0, batch=32)


def test_a_step_is_a_pure_function_of_seed_and_step() -> None:
    again = [draw_parameters(ALL, step, count=32, size=(28, 28)) for step in (5, 3, 5)]
    np.testing.assert_array_equal(again[0].offsets, again[2].offsets)
    np.testing.assert_array_equal(again[0].erased_boxes, again[2].erased_boxes)
    assert (again[0].offsets != again[1].offsets).any()
    other = draw_parameters(ALL.replace(seed=1), 5, count=32, size=(28, 28))
    assert (again[0].offsets != other.offsets).any()


@pytest.mark.parametrize("partial", [False, True])
def test_an_epoch_takes_every_image_once_in_an_order_of_its_own(partial: bool) -> None:
    recipe = Recipe(batch=16, partial_batch=partial)
    per_epoch = Schedule(recipe, 100).steps_per_epoch
    orders = []
    for epoch in range(3):
        steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
        orders.append(np.concatenate([step_indices(recipe, 100, step=step) for step in steps]))
    for order in orders:
        assert len(set(order.tolist())) == len(order) == (100 if partial else 96)
    assert (orders[0] != orders[1]).any()
    # Any step by itself, later and alone, is the same.
    np.testing.assert_array_equal(step_indices(recipe, 100, step=per_epoch), orders[1][:16])


def test_branches_are_dropped_more_often_the_deeper_they_are() -> None:
    recipe = Recipe(stochastic_depth=0.5)
    kept = 1 - 0.5 * np.arange(1, 5)[:, None] / 4
    found = np.concatenate([_branches(recipe, step, 64, 4) for step in range(100)], axis=1)
    assert found.shape == (4, 6400)
    assert set(np.unique(found[3]).tolist()) == {0.0, 2.0}
    for row, share in zip(found, kept[:, 0], strict=True):
        assert set(np.unique(row).tolist()) == {0.0, float(1 / share)}
    np.testing.assert_allclose((found > 0).mean(axis=1), kept[:, 0], atol=0.025)
    np.testing.assert_allclose(found.mean(axis=1), 1, atol=0.06)
    assert (found[2] != found[3]).any() and (found[3, :64] != found[3, 64:128]).any()


def test_branches_leave_the_other_draws_as_they_are() -> None:
    with_depth = draw_parameters(
        ALL.replace(stochastic_depth=0.2), 5, count=32, size=(28, 28), blocks=8
    )
    without = draw_parameters(ALL, 5, count=32, size=(28, 28), blocks=8)
    np.testing.assert_array_equal(with_depth.offsets, without.offsets)
    assert with_depth.mix is not None and without.mix is not None
    np.testing.assert_array_equal(with_depth.mix.partner, without.mix.partner)
    assert without.drop_path_scales is None and with_depth.drop_path_scales is not None
    again = _branches(ALL.replace(stochastic_depth=0.2), 5, 32, 8)
    np.testing.assert_array_equal(with_depth.drop_path_scales, again)


def _branches(recipe: Recipe, step: int, count: int, blocks: int) -> npt.NDArray[np.float64]:
    found = draw_parameters(
        recipe, step, count=count, size=(28, 28), blocks=blocks
    ).drop_path_scales
    assert found is not None
    return found


def test_a_batch_larger_than_the_data_takes_all_of_it() -> None:
    assert sorted(step_indices(Recipe(batch=128), 10, step=4).tolist()) == list(range(10))


@given(st.integers(0, 500), st.integers(1, 40), st.integers(1, 40))
def test_rectangles_and_boxes_lie_inside(step: int, height: int, width: int) -> None:
    draws = draw_parameters(ALL, step, count=32, size=(height, width))
    assert draws.erased_boxes is not None and draws.offsets is not None and draws.mix is not None
    top, left, tall, wide = draws.erased_boxes.T
    assert (top >= 0).all() and (top + tall <= height).all()
    assert (left >= 0).all() and (left + wide <= width).all()
    assert draws.offsets.min() >= 0 and draws.offsets.max() <= 8
    assert sorted(draws.mix.partner.tolist()) == list(range(32))
    assert 0 <= draws.mix.share <= 1
    if draws.mix.box is not None:
        y0, x0, y1, x1 = draws.mix.box
        assert 0 <= y0 <= y1 <= height and 0 <= x0 <= x1 <= width
        covered = (y1 - y0) * (x1 - x0) / (height * width)
        assert draws.mix.share == pytest.approx(1 - covered)


def test_shares_are_as_stated() -> None:
    recipe = Recipe(flip=True, erase=0.25)
    draws = [draw_parameters(recipe, step, count=128, size=(28, 28)) for step in range(40)]
    flips = np.concatenate([d.flipped for d in draws if d.flipped is not None])
    assert flips.mean() == pytest.approx(0.5, abs=0.03)
    erased = np.concatenate([d.erased_boxes for d in draws if d.erased_boxes is not None])
    assert (erased[:, 2] > 0).mean() == pytest.approx(0.25, abs=0.03)
    area = (erased[:, 2] * erased[:, 3])[erased[:, 2] > 0] / 28**2
    assert area.min() > 0.01 and area.max() < 0.45


def test_mixup_and_cutmix_take_turns() -> None:
    boxes = [draw_parameters(ALL, step, count=8, size=(28, 28)).mix for step in range(200)]
    share = np.mean([mix is not None and mix.box is not None for mix in boxes])
    assert share == pytest.approx(0.5, abs=0.1)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=200),
    st.floats(0, 0.9),
    st.integers(0, 3),
)
def test_a_split_is_stratified_and_loses_nothing(
    labels: list[int], share: float, seed: int
) -> None:
    array = np.array(labels)
    kept, held = split(array, share, seed=seed)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(labels)))
    for label in set(labels):
        members = int((array == label).sum())
        out = int((array[held] == label).sum())
        assert out == 0 if share == 0 or members == 1 else 1 <= out < members
        if share and members > 1:
            assert abs(out - members * share) <= 1
    again = split(array, share, seed=seed)
    np.testing.assert_array_equal(again[1], held)


def test_the_split_follows_the_seed() -> None:
    labels = np.repeat(np.arange(10), 50)
    assert (split(labels, 0.1, seed=0)[1] != split(labels, 0.1, seed=1)[1]).any()
