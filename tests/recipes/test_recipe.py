"""Recipes: contradictions, changes, names, and the learning rate of a step."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnets.cli.flags import NO_FLAGS, RecipeFlags, resolve
from resnets.errors import GrowthError, InvalidDescription, UnknownName
from resnets.recipes import presets
from resnets.recipes.recipe import Growth, Recipe
from resnets.recipes.schedule import Schedule
from resnets.schema import from_json, to_json


@pytest.mark.parametrize("name", presets.PRESETS)
def test_named_recipes_survive_json(name: str) -> None:
    recipe = presets.get_preset(name)
    assert recipe.name == name
    assert from_json(Recipe, json.loads(json.dumps(to_json(recipe))), "recipe") == recipe


def test_the_chapters_recipe_is_the_chapters() -> None:
    r = presets.get_preset("chapter")
    assert (r.size, r.batch, r.epochs, r.optimiser, r.rate) == (96, 128, 10, "sgd", 0.01)
    assert (r.momentum, r.weight_decay, r.schedule, r.warmup) == (None, 0.0, "constant", 0.0)
    assert not (r.flip or r.crop or r.erase or r.mixup or r.cutmix or r.label_smoothing)
    assert (r.network, r.initialisation, r.normalise, r.precision) == (
        "chapter_resnet18",
        "xavier",
        False,
        "fp32",
    )
    assert Schedule(r, 60_000).steps_per_epoch == 469


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        ({"epochs": 0, "batch": -1, "rate": 0.0}, {"epochs", "batch", "rate"}),
        ({"optimiser": "adamw", "momentum": 0.9, "nesterov": True}, {"momentum", "nesterov"}),
        ({"betas": (0.9, 0.99)}, {"betas"}),
        ({"optimiser": "adamw", "betas": (0.9,)}, {"betas"}),
        ({"nesterov": True}, {"nesterov"}),
        ({"schedule": "step"}, {"milestones"}),
        ({"schedule": "step", "milestones": (4.0, 2.0)}, {"milestones"}),
        ({"milestones": (1.0,), "drop": 0.5}, {"milestones", "drop"}),
        ({"schedule": "step", "milestones": (4.0, 10.0)}, {"milestones"}),
        ({"schedule": "one_cycle", "warmup": 0.1}, {"warmup"}),
        ({"final": 0.1}, {"final"}),
        ({"warmup": 1.0}, {"warmup"}),
        ({"patience": 3, "validation": 0.0}, {"patience"}),
        (
            {"momentum": 1.0, "average": 1.0, "label_smoothing": 1.0},
            {"momentum", "average", "label_smoothing"},
        ),
        ({"rate": math.nan, "weight_decay": math.inf}, {"rate", "weight_decay"}),
        ({"mixup": 0.0, "clip": 0.0}, {"mixup", "clip"}),
    ],
)
def test_refused(settings: dict[str, Any], paths: set[str]) -> None:
    with pytest.raises(InvalidDescription) as caught:
        Recipe(**settings)
    assert {problem.path for problem in caught.value.problems} == paths


def test_unknown_and_mistyped_settings_are_named() -> None:
    with pytest.raises(InvalidDescription) as caught:
        presets.recipe_from_json({"epocs": 3, "batch": 1.5, "flip": "yes", "optimiser": "lamb"})
    message = str(caught.value)
    assert "epocs: unknown (did you mean epochs?)" in message
    assert "batch: 1.5 is not a whole number" in message
    assert "flip: 'yes' is not true or false" in message
    assert "optimiser: 'lamb' is not one of sgd, adamw" in message


def _problems(settings: dict[str, Any], subject: str = "recipe") -> list[str]:
    try:
        presets.recipe_from_json(settings, subject)
    except InvalidDescription as error:
        assert error.subject == subject
        return list(map(str, error.problems))
    return []


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        (
            {"recipe": "quick", "epochs": 0, "batch": -1, "rte": 1, "nesterov": True}
            | {"optimiser": "adamw"},
            ["rte", "epochs", "batch", "nesterov"],
        ),
        (
            {"epochs": True, "batch": "12", "flip": 1, "rate": math.nan, "weight_decay": math.inf},
            ["epochs", "batch", "flip", "rate", "weight_decay"],
        ),
        ({"nesterov": True, "momentum": "much"}, ["momentum"]),
        ({"betas": [0.9, 0.99], "optimiser": "lamb"}, ["optimiser"]),
        ({"schedule": "step", "milestones": [200], "epochs": "all"}, ["epochs"]),
        ({"patience": 3, "validation": "none"}, ["validation"]),
        (
            {"grow": [{"to": "a", "depths": [1]}, {"epoch": 2}]},
            ["grow[0].epoch", "grow[0]", "grow[1]"],
        ),
    ],
)
def test_all_problems_of_a_file_at_once(settings: dict[str, Any], paths: list[str]) -> None:
    found = [line.partition(":")[0] for line in _problems(settings, "mine.toml")]
    assert sorted(found) == sorted(paths)


SETTINGS: dict[str, st.SearchStrategy[Any]] = {
    "optimiser": st.sampled_from(["sgd", "adamw"]),
    "momentum": st.sampled_from([None, 0.0, 0.9, 1.5]),
    "nesterov": st.booleans(),
    "betas": st.sampled_from([None, [0.9, 0.99], [0.9]]),
    "schedule": st.sampled_from(["constant", "step", "linear", "cosine", "one_cycle"]),
    "milestones": st.lists(st.sampled_from([0, 1, 4, 2000]), max_size=2),
    "drop": st.sampled_from([None, 0.5, 3]),
    "warmup": st.sampled_from([0.0, 0.2]),
    "final": st.sampled_from([0.0, 0.1]),
    "epochs": st.sampled_from([0, 3, 5000]),
    "validation": st.sampled_from([0.0, 0.1]),
    "patience": st.sampled_from([None, 2]),
    "start": st.sampled_from([None, "runs/one"]),
    "input": st.sampled_from([None, "sum"]),
    "grow": st.lists(
        st.fixed_dictionaries(
            {"epoch": st.sampled_from([0, 1, 2, 4000])},
            optional={"to": st.just("a"), "depths": st.just([1, 1])},
        ),
        max_size=2,
    ),
}


@given(
    st.fixed_dictionaries({}, optional=SETTINGS), st.sets(st.sampled_from([*SETTINGS])), st.data()
)
def test_what_cannot_be_read_hides_nothing_and_is_blamed_for_nothing(
    settings: dict[str, Any], unreadable: set[str], data: st.DataObject
) -> None:
    told = _problems(settings | dict.fromkeys(unreadable, object()))
    of_values = [line for line in told if line.partition(":")[0] not in unreadable]
    assert len(told) - len(of_values) == len(unreadable)
    # Whatever the unreadable ones had said: it stays wrong.
    other = settings | {name: data.draw(SETTINGS[name]) for name in sorted(unreadable)}
    assert set(of_values) <= set(_problems(other))
    if unreadable <= {"validation", "patience"}:
        hidden = [line for line in _problems(settings) if not line.startswith("patience")]
        assert set(hidden) <= set(told)


def test_a_setting_is_not_taken_for_python() -> None:
    assert _problems({"recipe": "quick", "self": 1, "subject": "x"}, "mine.toml")


def test_a_recipe_that_starts_from_a_named_one() -> None:
    assert presets.recipe_from_json({"recipe": "chapter", "epochs": 3}) == presets.get_preset(
        "chapter"
    ).replace(epochs=3)
    with pytest.raises(UnknownName, match=r"mine\.toml: no recipe .* did you mean chapter"):
        presets.recipe_from_json({"recipe": "chaptre"}, "mine.toml")


def test_another_optimiser_leaves_the_settings_of_the_old_one_behind() -> None:
    sgd = Recipe(momentum=0.9, nesterov=True)
    adamw = sgd.replace(optimiser="adamw", betas=[0.9, 0.95])
    assert (adamw.momentum, adamw.nesterov, adamw.betas) == (None, False, (0.9, 0.95))
    with pytest.raises(InvalidDescription, match="momentum"):
        sgd.replace(optimiser="adamw", momentum=0.9)


def _rates(recipe: Recipe, per_epoch: int = 10) -> list[float]:
    schedule = Schedule(recipe, per_epoch * recipe.batch)
    return [schedule.rate(step) for step in range(schedule.steps)]


def test_constant() -> None:
    assert set(_rates(Recipe(rate=0.3, epochs=2))) == {0.3}


def test_step() -> None:
    rates = _rates(Recipe(rate=1.0, epochs=4, schedule="step", milestones=(1.0, 2.5), drop=0.5))
    assert rates == [1.0] * 10 + [0.5] * 15 + [0.25] * 15


def test_linear_with_warmup_and_a_floor() -> None:
    rates = _rates(Recipe(rate=1.0, epochs=4, schedule="linear", warmup=0.25, final=0.1))
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[9] == pytest.approx(10 / 11)
    assert rates[10] == 1.0
    assert rates[25] == pytest.approx(0.1 + 0.9 * 0.5)
    assert 0.1 < rates[-1] < 0.14


def test_cosine() -> None:
    rates = _rates(Recipe(rate=2.0, epochs=10, schedule="cosine"))
    assert rates[0] == 2.0
    assert rates[50] == pytest.approx(1.0)
    assert rates[25] == pytest.approx(1 + math.cos(math.pi / 4))


@settings(deadline=None)
@given(st.integers(1, 10**30), st.lists(st.integers(0, 10**30), min_size=1, max_size=6))
def test_a_growth_reads_as_it_is_written_or_is_refused(epoch: int, depths: list[int]) -> None:
    text = f"{epoch}:{'-'.join(map(str, depths))}"
    try:
        (found,) = resolve("chapter", replace(NO_FLAGS, grow=(text,), epochs=100_000)).grow
    except (GrowthError, InvalidDescription):
        assert max(epoch, *depths) >= 10**19 or epoch >= 100_000
    else:
        assert str(found) == text and found.depths == tuple(depths)


def test_what_a_growth_added_rises_to_the_whole_rate() -> None:
    growth = Growth(epoch=2, to="a", warmup=0.3)
    schedule = Schedule(Recipe(epochs=4, batch=16, grow=(growth,)), 160)
    shares = [schedule.growth_warmup(growth, step) for step in range(20, 40)]
    assert shares[:12] == pytest.approx([(n + 1) / 13 for n in range(12)])
    assert set(shares[12:]) == {1.0}
    assert schedule.growth_warmup(Growth(epoch=2, to="a"), 20) == 1


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"stochastic_depth": 1.0}, "stochastic_depth: 1.0 is not from 0 below 1"),
        (
            {"grow": [{"epoch": 1, "to": "a", "warmup": 1}]},
            "grow[0].warmup: 1 is not from 0 below 1",
        ),
        (
            {"grow": [{"epoch": 1, "to": "a", "momentum": "keep"}]},
            "grow[0].momentum: 'keep' is not one of carry, clear",
        ),
        (
            {"grow": [{"epoch": 1, "to": "a", "fade_in": 1}]},
            "grow[0].fade_in: 1 is not from 0 below 1: it is a share of all steps",
        ),
        (
            {"grow": [{"epoch": 1, "to": "a", "scale_rate": 0}]},
            "grow[0].scale_rate: 0 is not above 0 and at most 1000",
        ),
        (
            {"grow": [{"epoch": 1, "to": "a", "scale_rate": 4, "start": "random"}]},
            "grow[0].scale_rate: is for scales that begin at zero",
        ),
    ],
)
def test_what_growth_and_depth_cannot_be(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidDescription) as caught:
        Recipe().replace(**settings)
    assert problem in str(caught.value)


def test_one_cycle() -> None:
    rates = _rates(Recipe(rate=1.0, epochs=10, schedule="one_cycle", final=0.01))
    assert rates[0] == pytest.approx(0.04)
    assert max(rates) == pytest.approx(1.0, abs=1e-3)
    assert rates.index(max(rates)) in (29, 30)
    assert rates[-1] == pytest.approx(0.01)


@given(
    st.sampled_from(["constant", "linear", "cosine", "one_cycle"]),
    st.integers(1, 30),
    st.integers(1, 50),
    st.floats(0, 0.9),
)
def test_rates_are_positive_and_never_above_the_highest(
    schedule: Any, epochs: int, per_epoch: int, warmup: float
) -> None:
    warm = 0.0 if schedule == "one_cycle" else warmup
    recipe = Recipe(schedule=schedule, epochs=epochs, warmup=warm, rate=0.5)
    rates = _rates(recipe, per_epoch)
    assert all(0 <= rate <= 0.5 + 1e-12 for rate in rates)
    assert sum(rate > 0 for rate in rates) >= len(rates) - 1


@pytest.mark.parametrize(
    ("images", "partial", "steps"),
    [(100, False, 6), (100, True, 7), (97, True, 6), (96, True, 6), (3, False, 1), (3, True, 1)],
)
def test_steps_per_epoch(images: int, partial: bool, steps: int) -> None:
    schedule = Schedule(Recipe(batch=16, partial_batch=partial), images)
    assert schedule.steps_per_epoch == steps


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({}, "quick"),
        ({"network": "resnet10d_narrow"}, "quick"),
        ({"network": "resnet18"}, "broad"),
        ({"data": "photos"}, "folder"),
        ({"data": "photos", "network": "resnet18"}, "folder"),
        ({"start": "runs/earlier"}, "finetune"),
        ({"data": "photos", "start": "timm/resnet18.a1_in1k"}, "finetune"),
        ({"data": "photos", "start": None}, "folder"),
    ],
)
def test_the_recipe_of_who_names_none(flags: dict[str, Any], name: str) -> None:
    assert resolve(None, RecipeFlags(**flags)).name == name
    assert resolve("chapter", RecipeFlags(data="photos")).name == "chapter"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3:resnet14_slim", Growth(epoch=3, to="resnet14_slim")),
        ("3:resnet14_slim:random", Growth(epoch=3, to="resnet14_slim", start="random")),
        ("2:2-2-2:copy", Growth(epoch=2, depths=(2, 2, 2), start="copy")),
        ("2:a:b.json", Growth(epoch=2, to="a:b.json")),
        ("2:a:rnd", Growth(epoch=2, to="a:rnd")),
    ],
)
def test_a_growth_as_a_flag(text: str, expected: Growth) -> None:
    assert resolve(None, RecipeFlags(grow=(text,))).grow == (expected,)


def test_a_growth_needs_a_target_before_its_start() -> None:
    with pytest.raises(InvalidDescription, match="is not EPOCH:NETWORK"):
        resolve(None, RecipeFlags(grow=("3::random",)))
