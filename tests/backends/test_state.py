"""What the sessions of all frameworks share: saved states and settings of the optimisers."""

from dataclasses import replace

import numpy as np
import pytest

from resnets.backends.state import OptimiserSettings, SavedState, check_features, ema_decay
from resnets.errors import WeightsError
from resnets.networks import catalog
from resnets.networks.network import Weights
from resnets.networks.tracing import tensors
from resnets.recipes.recipe import Recipe

NETWORK = catalog.get("resnet8_slim")
RECIPE = Recipe(optimiser="adamw", rate=1e-3, average=0.9)
SHAPES = {tensor.name: tensor.shape for tensor in tensors(NETWORK)}
LEARNED = [tensor.name for tensor in tensors(NETWORK) if tensor.is_parameter]


def saved_state() -> SavedState:
    whole = {name: np.full(shape, 0.5, np.float32) for name, shape in SHAPES.items()}
    learned = {name: whole[name] for name in LEARNED}
    groups = {"weights": whole, "average": whole, "mean": learned, "square": learned}
    return SavedState(steps=7, groups=groups, first_steps={"fc.bias": 4})


def read(arrays: Weights, recipe: Recipe = RECIPE) -> SavedState:
    return SavedState.from_arrays(arrays, NETWORK, recipe=recipe)


def test_a_state_is_read_as_it_was_written() -> None:
    arrays = saved_state().to_arrays()
    assert arrays["born/fc.bias"] == 4 and arrays["steps"] == 7
    found = read(arrays)
    assert found.steps == 7 and found.first_steps == {"fc.bias": 4}
    assert found.groups.keys() == {"weights", "average", "mean", "square"}
    assert found.to_arrays().keys() == arrays.keys()
    for name, array in found.to_arrays().items():
        assert np.array_equal(array, arrays[name])


@pytest.mark.parametrize(
    "name",
    ["steps", "weights/bn1.running_var", "average/fc.weight", "mean/fc.bias", "square/fc.bias"],
)
def test_a_missing_or_misshapen_entry_is_named(name: str) -> None:
    arrays = saved_state().to_arrays()
    for wrong in ({n: a for n, a in arrays.items() if n != name}, arrays | {name: np.ones((2, 3))}):
        with pytest.raises(WeightsError, match=name.replace("steps", "number of steps")):
            read(wrong)


def test_unexpected_entries_are_named() -> None:
    arrays = saved_state().to_arrays()
    with pytest.raises(WeightsError, match=r"average/fc\.bias"):
        read(arrays, replace(RECIPE, average=None))
    with pytest.raises(WeightsError, match=r"born/fc\.bias.*mean/fc\.bias"):
        read(arrays, RECIPE.replace(optimiser="sgd"))
    with pytest.raises(WeightsError, match=r"mean/bn1\.running_mean"):
        read(arrays | {"mean/bn1.running_mean": np.ones(16)})


def test_before_the_first_step_there_are_no_buffers() -> None:
    arrays = {n: a for n, a in saved_state().to_arrays().items() if not n.startswith("born")}
    begin = {n: a for n, a in arrays.items() if n.startswith(("weights", "average"))}
    assert read(begin | {"steps": np.array(0)}).groups.keys() == {"weights", "average"}
    with pytest.raises(WeightsError, match="mean/"):
        read(arrays | {"steps": np.array(0)})


@pytest.mark.parametrize(
    ("changes", "buffers"),
    [
        ({}, ()),
        ({"momentum": 0.9}, ("momentum",)),
        ({"optimiser": "adamw"}, ("mean", "square")),
    ],
)
def test_buffers_of_an_optimiser(changes: dict[str, object], buffers: tuple[str, ...]) -> None:
    assert OptimiserSettings.of(Recipe().replace(**changes)).buffers == buffers


def test_weight_decay_spares_vectors_unless_all_decay() -> None:
    recipe = Recipe(weight_decay=0.1)
    settings = OptimiserSettings.of(recipe)
    assert [settings.decay(shape) for shape in [(8, 4, 3, 3), (10, 8), (8,)]] == [0.1, 0.1, 0]
    assert OptimiserSettings.of(recipe.replace(decay_all=True)).decay((8,)) == 0.1


def test_bias_corrections_of_numbers_and_arrays() -> None:
    settings = OptimiserSettings.of(RECIPE.replace(betas=(0.5, 0.75)))
    assert settings.bias_corrections(2) == (0.75, 0.4375)
    first, second = settings.bias_corrections(np.array([1, 2]))
    assert first.tolist() == [0.5, 0.75] and second.tolist() == [0.25, 0.4375]


def test_the_average_follows_fast_at_first() -> None:
    assert ema_decay(RECIPE, 1) == 2 / 11
    assert ema_decay(RECIPE, 1000) == 0.9
    assert ema_decay(Recipe(), 1) is None


def test_unknown_features_are_listed() -> None:
    check_features(["stem"], ["stem", "logits"])
    with pytest.raises(KeyError, match="stage7, stage8; there are stem, logits"):
        check_features(["stage7", "stem", "stage8"], ["stem", "logits"])
