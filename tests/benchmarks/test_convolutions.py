"""The convolutions that are timed alone are the network's."""

import importlib

import numpy as np
import pytest

import convolutions
from convolutions import Convolution, count_convolutions, name_passes
from resnets import backends
from resnets.bench.work import Work
from resnets.networks import catalog
from resnets.networks.tracing import trace


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d", "cifar_resnet20", "resnet50d"])
def test_they_are_all_there(name: str) -> None:
    steps = trace(catalog.get(name), 64)
    found = count_convolutions(steps)
    layers = [layer for layer in steps.layers if layer.operation == "convolution"]
    dense = sum(layer.multiply_adds for layer in steps.layers if layer.operation == "dense")
    assert sum(found.values()) == len(layers)
    assert sum(c.multiply_adds * n for c, n in found.items()) == steps.multiply_adds - dense
    assert len({c.name for c in found}) == len(found)


def test_resnet18s_at_96_pixels() -> None:
    found = {c.name: n for c, n in count_convolutions(trace(catalog.get("resnet18"), 96)).items()}
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
    first, second = list(count_convolutions(steps))[:2]
    assert name_passes(first, training=True) == ("forward", "kernel")
    assert name_passes(second, training=True) == ("forward", "input", "kernel")
    assert name_passes(second, training=False) == ("forward",)


CONVOLUTION = Convolution(
    channels=8, filters=16, height=9, width=7, kernel=3, stride=2, padding=1, groups=2,
    dilation=1, first=False,
)  # fmt: skip


@pytest.mark.parametrize("framework", backends.NAMES)
def test_every_pass_gives_an_array_of_the_right_size(framework: str) -> None:
    backends.load(framework)
    calls = importlib.import_module(f"convolution_calls.{framework}").Calls("cpu")
    found = calls.passes(CONVOLUTION, 3, "fp32")
    sizes = {"forward": 3 * 16 * 5 * 4, "input": 3 * 8 * 9 * 7, "kernel": 16 * 4 * 9}
    if framework == "tensorflow":  # its input has the border in memory
        sizes["input"] = 3 * 8 * 11 * 9
    for name, size in sizes.items():
        for call in found[name]:
            result = call()
            calls.wait(result)
            arrays = result if isinstance(result, (tuple, list)) else [result]
            found_sizes = [int(np.prod(array.shape)) for array in arrays if array is not None]
            if len(found_sizes) == CONVOLUTION.groups:  # one by one
                assert sum(found_sizes) == size, name
            else:
                assert found_sizes == [size], name


def test_a_step_of_the_convolutions_alone() -> None:
    work = Work(architecture=catalog.get("resnet8_slim"), size=8, batch=2, purpose="training")
    prepared = convolutions.prepare(work, framework="torch", precision="fp32")
    taken = prepared.tasks["batch 2"].take(1)
    assert taken is not None and taken["seconds"] > 0
    rows = convolutions.make_contenders("torch", "training", "cpu")
    assert rows[0].options["precision"] == "fp32"
    assert rows[0].maker == "convolutions:prepare"
