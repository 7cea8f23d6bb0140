"""The convolutions that the limit is measured with are the network's."""

import pytest

from resnets.bench.convolutions import distinct, passes, step_multiply_adds
from resnets.networks import catalog
from resnets.networks.tracing import trace


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d", "cifar_resnet20", "resnet50d"])
def test_they_are_all_there(name: str) -> None:
    steps = trace(catalog.get(name), 64)
    found = distinct(steps)
    layers = [layer for layer in steps.layers if layer.operation == "convolution"]
    dense = sum(layer.multiply_adds for layer in steps.layers if layer.operation == "dense")
    assert sum(found.values()) == len(layers)
    assert sum(c.multiply_adds * n for c, n in found.items()) == steps.multiply_adds - dense
    assert len({c.name for c in found}) == len(found)


def test_resnet18s_at_96_pixels() -> None:
    found = {c.name: n for c, n in distinct(trace(catalog.get("resnet18"), 96)).items()}
    assert found == {
        "7x7 3>64 /2 96x96": 1,
        "3x3 64>64 24x24": 4,
        "3x3 64>128 /2 24x24": 1,
        "3x3 128>128 12x12": 3,
        "1x1 64>128 /2 24x24": 1,
        "3x3 128>256 /2 12x12": 1,
        "3x3 256>256 6x6": 3,
        "1x1 128>256 /2 12x12": 1,
        "3x3 256>512 /2 6x6": 1,
        "3x3 512>512 3x3": 3,
        "1x1 256>512 /2 6x6": 1,
    }


def test_nobody_needs_the_images_gradient() -> None:
    steps = trace(catalog.get("resnet18"), 96)
    first, second = list(distinct(steps))[:2]
    assert passes(first, training=True) == ("forward", "kernel")
    assert passes(second, training=True) == ("forward", "input", "kernel")
    assert passes(second, training=False) == ("forward",)
    assert step_multiply_adds(steps, training=False) == steps.multiply_adds
    stem = 64 * 48 * 48 * 3 * 49
    assert step_multiply_adds(steps, training=True) == 3 * steps.multiply_adds - stem
