"""The description: checked as a whole, and the same after a round trip through JSON."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnets.errors import InvalidDescription
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.spec import Block, Norm, Stage, Stem
from strategies import architectures


@given(architectures())
def test_json_round_trip(architecture: Architecture) -> None:
    text = json.dumps(architecture.to_json())
    assert Architecture.from_text(text) == architecture


@pytest.mark.parametrize("name", catalog.names())
def test_catalog_round_trips(name: str) -> None:
    architecture = catalog.get(name)
    assert Architecture.from_text(json.dumps(architecture.to_json())) == architecture


def _paths(error: InvalidDescription) -> list[str]:
    return [problem.path for problem in error.problems]


def test_every_problem_of_form_at_once_with_its_path() -> None:
    value = {
        "classes": "ten",
        "stages": [
            {"depth": 2, "widht": 8},
            {"depth": 1, "width": 8, "block": {"kind": "fancy", "groups": 2.5}},
            7,
        ],
        "colour": True,
    }
    with pytest.raises(InvalidDescription) as caught:
        Architecture.from_json(value)
    assert set(_paths(caught.value)) == {
        "colour",
        "classes",
        "stages[0].widht",
        "stages[0].width",
        "stages[1].block.kind",
        "stages[1].block.groups",
        "stages[2]",
    }
    message = str(caught.value)
    assert "stages[0].widht: unknown (did you mean width?)" in message
    assert "Stage has depth, width, stride, block" in message


def test_problems_of_form_and_of_value_at_once() -> None:
    value = {
        "clases": 3,
        "channels": 0,
        "stem": {"kernel": "big", "deep": True, "width": 5},
        "norm": {"kind": "group", "groups": 3},
        "stages": [
            {"width": 6, "block": {"kind": "fancy", "groups": 5}},
            {"depth": 1, "width": "wide", "block": {"shortcut": "padding"}},
            {"depth": 1, "width": 4, "block": {"shortcut": "padding"}},
            {"depth": 0, "width": 2, "block": {"shortcut": "padding", "inner": 3}},
        ],
        "output_stride": 8,
    }
    with pytest.raises(InvalidDescription) as caught:
        Architecture.from_json(value, "mine.json")
    assert sorted(_paths(caught.value)) == [
        "channels",
        "clases",
        *5 * ["norm.groups"],  # the stem's 5 and 2 channels; 4 and 4, and 2 of the last stages
        "output_stride",
        "stages[0].block.kind",
        "stages[0].depth",
        "stages[1].width",
        "stages[3].block.shortcut",
        "stages[3].depth",
        "stem.kernel",
        "stem.width",
    ]
    assert str(caught.value).startswith("mine.json is not valid:")


@given(architectures(), st.data())
def test_what_cannot_be_read_is_the_only_problem(architecture: Architecture, data: Any) -> None:
    value = architecture.to_json()
    parts: list[dict[str, Any]] = [value, value["stem"], value["norm"]]
    for stage in value["stages"]:
        parts += [stage, stage["block"]]
    unreadable = data.draw(st.lists(st.sampled_from(parts), min_size=1, max_size=3))
    spoilt = set()
    for part in unreadable:
        name = data.draw(st.sampled_from(sorted(part.keys() - {"format"})))
        part[name] = object()
        spoilt.add((id(part), name))
    with pytest.raises(InvalidDescription) as caught:
        Architecture.from_json(value)
    assert len(caught.value.problems) <= len(spoilt)
    assert all("object" in problem.message for problem in caught.value.problems)


def test_every_problem_of_value_at_once_with_its_path() -> None:
    with pytest.raises(InvalidDescription) as caught:
        Architecture(
            channels=0,
            stem=Stem(kernel=4),
            norm=Norm(decay=1.0),
            stages=(
                Stage(depth=0, width=8),
                Stage(depth=1, width=12, block=Block(kind="bottleneck", groups=2)),
                Stage(depth=1, width=4, block=Block(shortcut="padding")),
                Stage(depth=1, width=4, block=Block(groups=2, inner=3)),
            ),
        )
    assert _paths(caught.value) == [
        "channels",
        "stem.kernel",
        "norm.decay",
        "stages[0].depth",
        "stages[1].block.groups",
        "stages[2].block.shortcut",
        "stages[3].block.groups",
        "stages[3].block.groups",
    ]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"classes": True}, "classes"),
        ({"bias": 1}, "bias"),
        ({"norm": {"epsilon": 0.0}}, "norm.epsilon"),
        ({"norm": {"epsilon": float("nan")}}, "norm.epsilon"),
        ({"stages": []}, "stages"),
        ({"stages": {}}, "stages"),
        ({"stages": None}, "stages"),
        ({"stem": {"stride": 10**30}}, "stem.stride"),
        ({"format": 2}, "format"),
        (
            {"stages": [{"depth": 1, "width": 2, "block": {"kind": "bottleneck"}}]},
            "stages[0].block.inner",
        ),
    ],
)
def test_refused(change: dict[str, Any], path: str) -> None:
    value = {"stages": [{"depth": 1, "width": 8}], **change}
    with pytest.raises(InvalidDescription) as caught:
        Architecture.from_json(value)
    assert path in _paths(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["stages", "stem", "depth", "width", "block", "kind", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused_by_the_one_error(value: Any) -> None:
    try:
        Architecture.from_json(value)
    except InvalidDescription as error:
        assert error.problems


@pytest.mark.parametrize(
    "text",
    [
        '{"classes": 3, "classes": 5, "stages": [{"depth": 1, "width": 8}]}',
        "",
        "{",
        "[" * 100_000,
        "\x00",
        "null",
        "[]",
    ],
)
def test_text_that_is_no_architecture(text: str) -> None:
    with pytest.raises(InvalidDescription):
        Architecture.from_text(text)


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        catalog.get("resnet18").classes = 10  # type: ignore[misc]
