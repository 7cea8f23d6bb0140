"""Receptive fields against their definition: which pixels change which values."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from backends.networks import random_weights, to_float64
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.layers import ReceptiveField
from resnets.networks.reference import ForwardResult, forward
from resnets.networks.spec import Block, Stage, Stem
from resnets.networks.tracing import trace
from strategies import SMALL_ARCHITECTURES

HEIGHT = 9

# One of each way in which a layer reads its surroundings; with ELU, as a ReLU that is off would
# hide what reaches it.
SEEN = [
    replace(a, activation="elu")
    for a in SMALL_ARCHITECTURES
    if a.name
    in (
        *("basic", "bottleneck_v1", "bottleneck_v1.5", "resnext", "imagenet_stem"),
        *("one_pixel_stem", "deep_stem", "average_projection", "basic_option_a"),
        *("before_basic", "shift", "shift_dilated", "highway", "excited_basic", "excited_inside"),
        *(
            "group_norm",
            "dilated_basic",
            "dilated_v1",
            "dilated_late",
            "regnet_y",
            "stride_3_stages_3",
        ),
    )
]


def _changed_by_each_column(a: Architecture, width: int) -> dict[str, npt.NDArray[np.bool_]]:
    """By layer, [column of the image that was changed, column of the layer that then differs]."""
    weights, rng = to_float64(random_weights(a)), np.random.default_rng(1)
    image = rng.normal(size=(1, a.channels, HEIGHT, width))
    changed = np.repeat(image, width, axis=0)
    columns = np.arange(width)
    changed[columns, :, :, columns] += rng.normal(0, 20, size=(width, a.channels, HEIGHT))
    plain: ForwardResult = forward(a, weights, image)
    moved: ForwardResult = forward(a, weights, changed)
    return {
        name: (moved.outputs[name] != output).any(axis=(1, 2))
        for name, output in plain.outputs.items()
        if output.ndim == 4
    }


@pytest.mark.parametrize("a", SEEN, ids=lambda a: a.name)
def test_fields_are_the_columns_that_change_a_value(a: Architecture) -> None:
    fields = trace(a, HEIGHT).receptive_fields
    sized = [field for field in fields.values() if field]
    width = 2 * max(field.size for field in sized) + max(field.stride for field in sized)
    for name, changed in _changed_by_each_column(a, width).items():
        place = changed.shape[1] // 2
        reached = np.flatnonzero(changed[:, place])
        field = fields[name]
        if field is None:
            assert len(reached) == width, name
        else:
            start = field.stride * place
            assert (reached[0] - start, reached[-1] - start) == (field.first, field.last), name


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        # By hand: 7, then 11 after the pool; each 3×3 adds twice the stride it reads at.
        ("resnet18", [43, 99, 211, 435]),
        ("resnet34", [59, 179, 547, 899]),
        ("resnet50", [35, 91, 267, 427]),
        # With the stride in the 1×1 the 3×3 of a first block reads at the wider stride already.
        ("resnet50_v1", [35, 99, 291, 483]),
    ],
)
def test_fields_of_stages(name: str, sizes: list[int]) -> None:
    steps = trace(catalog.get(name))
    found = [steps.receptive_fields[steps.features[f"stage{i}"]] for i in range(1, 5)]
    assert [field and field.size for field in found] == sizes
    assert [field and field.stride for field in found] == [4, 8, 16, 32]
    assert steps.receptive_field == found[-1]
    assert steps.receptive_fields["avgpool"] is steps.receptive_fields["fc"] is None


def test_a_field_is_named_by_its_outermost_pixels() -> None:
    steps = trace(catalog.get("resnet18"))
    assert steps.receptive_fields["input"] == ReceptiveField(0, 0, 1)
    assert steps.receptive_fields["conv1"] == ReceptiveField(-3, 3, 2)
    assert steps.receptive_fields["maxpool"] == ReceptiveField(-5, 5, 4)
    assert steps.receptive_fields["conv1"].size == 7


def test_squeezing_and_group_norms_read_the_whole_image() -> None:
    for name in ("seresnet50", "resnet50_gn", "regnet_y_400mf"):
        assert trace(catalog.get(name)).receptive_field is None
    steps = trace(catalog.get("seresnet50"))
    assert steps.receptive_fields["layer1.0.bn3"] == ReceptiveField(-9, 9, 4)
    assert steps.receptive_fields["layer1.0.se.scale"] is None


def test_a_shift_of_few_channels_moves_none() -> None:
    block = Block(kind="shift", inner=8)
    stem = Stem(width=4, kernel=3, stride=1, pool=False)
    a = Architecture(stem=stem, stages=(Stage(depth=1, width=4, block=block),), classes=3)
    assert trace(a, 8).receptive_field == ReceptiveField(-1, 1, 1)
    wider = replace(a, stages=(Stage(depth=1, width=4, block=replace(block, inner=9)),))
    assert trace(wider, 8).receptive_field == ReceptiveField(-2, 2, 1)
