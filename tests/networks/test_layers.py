"""Shapes, names and costs from the description alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnets.errors import InvalidDescription
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.tracing import tensors, trace
from strategies import architectures


def test_table_1_of_the_resnet_paper() -> None:
    steps = trace(catalog.get("resnet50_v1"), 224).by_name
    shapes = {name: steps[name].shape for name in ("conv1", "maxpool", "avgpool", "fc")}
    shapes |= {f"layer{i}": steps[f"layer{i}.0.relu"].shape for i in range(1, 5)}
    assert shapes == {
        "conv1": (64, 112, 112),
        "maxpool": (64, 56, 56),
        "layer1": (256, 56, 56),
        "layer2": (512, 28, 28),
        "layer3": (1024, 14, 14),
        "layer4": (2048, 7, 7),
        "avgpool": (2048,),
        "fc": (1000,),
    }


def test_canonical_names_and_shapes() -> None:
    named = {tensor.name: tensor.shape for tensor in tensors(catalog.get("resnext50_32x4d"))}
    assert named["conv1.weight"] == (64, 3, 7, 7)
    assert named["layer1.0.conv2.weight"] == (128, 4, 3, 3)
    assert named["layer2.0.downsample.0.weight"] == (512, 256, 1, 1)
    assert named["layer2.0.downsample.1.running_var"] == (512,)
    assert named["layer4.2.bn3.bias"] == (2048,)
    assert named["fc.weight"] == (1000, 2048)
    assert "layer2.1.downsample.0.weight" not in named
    assert "conv1.bias" not in named


def test_v1_and_v15_differ_in_where_the_stride_is() -> None:
    v1, v15 = (trace(catalog.get(name), 224).by_name for name in ("resnet50_v1", "resnet50"))
    assert (v1["layer2.0.conv1"].stride, v1["layer2.0.conv2"].stride) == (2, 1)
    assert (v15["layer2.0.conv1"].stride, v15["layer2.0.conv2"].stride) == (1, 2)


def test_activations_of_a_network_counted_by_hand() -> None:
    # resnet18_small at 8×8, 1 channel: what a backward pass needs, layer by layer.
    steps = trace(catalog.get("resnet18_small", channels=1, classes=10), 8)
    stem = 1 * 64 + 2 * 64 * 64  # input, conv1's output, the ReLU's
    stage1 = 2 * 4 * 64 * 64  # two blocks: conv1, relu1, conv2, relu
    later = 0
    for width, pixels in ((128, 16), (256, 4), (512, 1)):
        later += 2 * 4 * width * pixels + width * pixels  # and the projection's output
    assert steps.activations == stem + stage1 + later + 512
    # What convolutions put out, and the ten logits.
    assert steps.conv_activations == 10 + 64 * 64 * 5 + sum(
        width * pixels * 5 for width, pixels in ((128, 16), (256, 4), (512, 1))
    )


@given(architectures(), st.integers(1, 40), st.integers(1, 40))
def test_a_trace_is_a_program(architecture: Architecture, height: int, width: int) -> None:
    steps = trace(architecture, (height, width))
    seen: set[str] = set()
    for layer in steps.layers:
        assert set(layer.inputs) <= seen, "a layer reads only what is computed before it"
        assert layer.name not in seen
        assert all(extent >= 1 for extent in layer.shape)
        seen.add(layer.name)
    named = [tensor.name for layer in steps.layers for tensor in layer.tensors]
    assert len(named) == len(set(named))
    assert [t.name for t in tensors(architecture)] == named


@pytest.mark.parametrize("size", [0, -1, 2**15 + 1, (0, 8)])
def test_a_size_that_is_none(size: int | tuple[int, int]) -> None:
    with pytest.raises(InvalidDescription, match="pixels"):
        trace(catalog.get("resnet18"), size)
