"""Folding batch norms changes rounding and nothing else."""

import numpy as np
import pytest
import torch
from torch import nn

from backends.networks import relative_difference
from export.networks import network, pixels, preprocess, reference_logits
from resnets import backends
from resnets.backends.torch.folding import fold_norms
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.folding import fold_batch_norms, foldable_norms, to_program
from resnets.networks.tracing import trace


def test_convolution_and_norm_are_one_convolution() -> None:
    a = catalog.get("chapter_resnet18")
    steps = trace(a, 32)
    made = network(a)
    weights = {name: array.astype(np.float64) for name, array in made.weights.items()}
    program = fold_batch_norms(steps, weights)
    x = np.random.default_rng(0).normal(size=(2, 64, 5, 5))
    layer = steps.by_name["layer1.0.conv1"]
    own = [weights[tensor.name] for tensor in layer.tensors]
    y = reference.convolution(x, own[0], own[1], 1, 1, 1)
    norm = [weights[tensor.name] for tensor in steps.by_name["layer1.0.bn1"].tensors]
    y = reference.norm(y, norm, a.norm.epsilon)
    kernel, bias = (program.weights[f"layer1.0.conv1.{part}"] for part in ("weight", "bias"))
    assert relative_difference(reference.convolution(x, kernel, bias, 1, 1, 1), y) < 1e-14


def test_every_layer_reads_what_is_there(small: Architecture) -> None:
    steps, made = trace(small, 16), network(small)
    for program in (fold_batch_norms(steps, made.weights), to_program(steps, made.weights)):
        seen: set[str] = set()
        for layer in program.layers:
            assert set(layer.inputs) <= seen
            seen.add(layer.name)
            for tensor in layer.tensors:
                assert program.weights[tensor.name].shape == tensor.shape
                assert program.weights[tensor.name].dtype == np.float32
        named = {tensor.name for layer in program.layers for tensor in layer.tensors}
        assert named == set(program.weights)


def test_what_folds() -> None:
    after = trace(catalog.get("resnet18"), 32)
    assert (
        len(foldable_norms(after)) == sum(layer.operation == "norm" for layer in after.layers) == 20
    )
    before = trace(catalog.get("resnetv2_18"), 32)
    # A block's first norm reads a sum, or the stem's pool; its second a convolution.
    assert set(foldable_norms(before)) == {
        f"stages.{i}.blocks.{j}.norm2" for i in range(4) for j in (0, 1)
    }
    assert foldable_norms(trace(catalog.get("resnet50_gn"), 32)) == {}


def test_torch_module(small: Architecture) -> None:
    made, stored = network(small), pixels(small, 17, 17)
    model = backends.load("torch").build(small, weights=made.weights)
    inside = fold_norms(model)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in inside.modules())
    before = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert norms == before - len(foldable_norms(trace(small, 32)))
    assert not inside.training
    with torch.inference_mode():
        logits = inside(torch.from_numpy(preprocess(made, stored).astype(np.float32))).numpy()
    assert relative_difference(logits, reference_logits(made, stored)) < 1e-5
    for name, array in backends.load("torch").dump(model).items():
        np.testing.assert_array_equal(array, made.weights[name])


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_torch_module_keeps_its_precision(kind: torch.dtype) -> None:
    made = network(catalog.get("resnet8_slim"))
    model = backends.load("torch").build(made.architecture, weights=made.weights).to(kind)
    if kind is torch.bfloat16:
        model = model.to(memory_format=torch.channels_last)
    inside = fold_norms(model.float()).to(kind)
    assert {parameter.dtype for parameter in inside.parameters()} == {kind}
