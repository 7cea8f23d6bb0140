"""Architectures from tensors alone: what is told is right, what is not told is said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from backends.networks import images, random_weights
from resnets.convert.recognition.architecture import explain_mismatch, recognise
from resnets.errors import WeightsError
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.reference import forward
from resnets.networks.spec import Block, Norm, Stage, Stem
from resnets.networks.tracing import tensors
from strategies import SMALL_ARCHITECTURES, architectures


def shapes_of(a: Architecture) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in tensors(a)}


def as_assumed(a: Architecture, r: Architecture) -> Architecture:
    """``a`` with what tensors do not tell as it is in ``r``."""
    stages = []
    for own, other in zip(a.stages, r.stages, strict=True):
        block = replace(own.block, stride_in=other.block.stride_in)
        same_width = block.inner_width(own.width) == own.width
        if block.kind == "bottleneck" and same_width and block.squeezed_width(8) is not None:
            block = replace(block, squeeze_at=other.block.squeeze_at)
        if other.block.shortcut == "padding":  # no tensors: it is only known where channels change
            block = replace(block, shortcut="padding")
        stages.append(replace(own, stride=other.stride, block=block))
    stem = replace(a.stem, stride=r.stem.stride, pool=r.stem.pool)
    norm = replace(a.norm, epsilon=r.norm.epsilon, decay=r.norm.decay)
    return replace(
        a,
        name=r.name,
        stages=tuple(stages),
        stem=stem,
        norm=norm,
        activation=r.activation,
        output_stride=None,
    )


def assert_recognised(a: Architecture) -> None:
    shapes = shapes_of(a)
    if a.norm.kind == "group":  # nothing here has 32 groups
        with pytest.raises(WeightsError, match="group"):
            recognise(shapes)
        return
    found = recognise(shapes)
    assert found.notes
    r = found.architecture
    assert explain_mismatch(r, shapes) == ""
    assert recognise(shapes_of(r)).architecture == r
    told = as_assumed(a, r)
    assert shapes_of(told) == shapes
    weights, x = random_weights(told), images(told, 9, 8, n=1)
    one, other = (forward(network, weights, x).logits for network in (told, r))
    np.testing.assert_array_equal(one, other)


@settings(max_examples=60, deadline=None)
@given(architectures())
def test_any_network_is_recognised_up_to_what_tensors_do_not_tell(a: Architecture) -> None:
    assert_recognised(a)


@pytest.mark.parametrize("a", SMALL_ARCHITECTURES, ids=lambda a: a.name)
def test_every_kind_of_part_is_recognised(a: Architecture) -> None:
    assert_recognised(a)


@pytest.mark.parametrize("name", catalog.names())
def test_the_catalogs_networks_are_recognised_by_name(name: str) -> None:
    a = catalog.get(name, channels=2, classes=7)
    found = recognise(shapes_of(a))
    if not name.endswith("_v1"):
        assert found.architecture == a
        assert name in found.notes[0]
        return
    # v1 and v1.5 differ in strides alone: v1.5, and both are named.
    assert found.architecture == catalog.get(name.removesuffix("_v1"), channels=2, classes=7)
    assert f"those of {name} are the same" in found.notes[0]


def test_what_the_catalog_does_not_have_is_assumed_and_said() -> None:
    a = Architecture(stages=(Stage(depth=1, width=64), Stage(depth=2, width=128, stride=2)))
    found = recognise(shapes_of(a))
    assert found.architecture == a
    (note,) = found.notes
    for said in ("stride 2 with a max-pool", "strides 1, 2", "ReLU", "1e-05", "--network"):
        assert said in note


def test_thirty_two_groups_are_assumed_and_said() -> None:
    block = Block(kind="bottleneck", inner=32)
    a = Architecture(
        stem=Stem(width=64),
        stages=(Stage(depth=1, width=64, block=block),),
        norm=Norm(kind="group", groups=32),
    )
    found = recognise(shapes_of(a))
    assert found.architecture == a
    assert "32 groups" in found.notes[0]


def test_pre_activation_with_group_norms_may_be_bit_and_is_refused() -> None:
    a = replace(catalog.get("resnetv2_18"), norm=Norm(kind="group", groups=32))
    with pytest.raises(WeightsError, match=r"BiT.*--network"):
        recognise(shapes_of(a))


@pytest.mark.parametrize(
    ("name", "shape", "named"),
    [
        ("layer1.0.se.conv.weight", (1, 1, 5), "layer1.0.se.conv.weight"),  # ECA
        ("maxpool.0.weight", (64, 64, 3, 3), "maxpool.0.weight"),  # ResNet-RS
        ("layer2.0.downsample.0.weight", (128, 64, 3, 3), "(128, 64, 3, 3)"),  # SENet
        ("conv1.weight", (64, 3, 7, 5), "no square kernel"),
        ("conv1.weight", (64, 3), "no square kernel"),
        ("layer1.0.conv1.weight", (64, 64, 3, 3, 3), "no square kernel"),
        ("layer1.0.conv1.weight", (0, 64, 3, 3), "no square kernel"),
        ("conv1.weight", (64, 3, 4, 4), "even"),
        ("fc.weight", (1000,), "fc.weight"),
        ("extra", (1,), "extra"),
        ("layer4.1.conv2.weight", None, "layer4.1.conv2.weight"),
        ("conv1.weight", None, "conv1.weight"),
        ("layer1.0.conv2.weight", None, "layer1.0.conv2.weight"),
        ("fc.weight", None, "fc.weight"),
    ],
)
def test_other_networks_are_refused_by_name(
    name: str, shape: tuple[int, ...] | None, named: str
) -> None:
    shapes = shapes_of(catalog.get("resnet18"))
    if shape is None:
        del shapes[name]
    else:
        shapes[name] = shape
    with pytest.raises(WeightsError) as refusal:
        recognise(shapes)
    assert named in str(refusal.value)


@pytest.mark.parametrize("shapes", [{}, {"patch_embed.proj.weight": (192, 3, 16, 16)}])
def test_tensors_of_no_residual_network(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(WeightsError, match="no block of a residual network"):
        recognise(shapes)
