"""What a training step holds, counted by hand; against PyTorch: backends/test_torch_memory.py."""

import pytest

from resnets.errors import InvalidDescription
from resnets.networks import catalog
from resnets.networks.memory import training_memories, training_memory
from resnets.networks.tracing import trace


def test_memory_of_resnet18_by_hand() -> None:
    steps = trace(catalog.get("resnet18"))
    found = training_memory(steps, 32)
    parameters, norms = 11_689_512, 4_800
    assert found.weights == 4 * (parameters + 2 * norms)
    assert found.gradients == found.buffers == 4 * parameters
    pooled = 64 * 56 * 56
    assert found.activations == 32 * (4 * 5_143_552 + 8 * pooled) + 4 * 2 * norms
    assert found.total == found.weights + 2 * found.gradients + found.activations


def test_bf16_halves_the_activations_and_copies_the_kernels() -> None:
    steps = trace(catalog.get("cifar_resnet20"), 32)
    single, half = training_memory(steps, 1), training_memory(steps, 1, precision="bf16")
    # Two norms' worth of vectors for each of 19 convolutions, scales and shifts are no kernels.
    norms = 7 * 16 + 6 * 32 + 6 * 64
    kernels = steps.parameters - 2 * norms - 10
    assert half.activations == 2 * steps.activations + 4 * 2 * norms + 2 * kernels
    assert (half.weights, half.gradients, half.buffers) == (
        single.weights,
        single.gradients,
        single.buffers,
    )
    more = training_memory(steps, 11, precision="bf16")
    assert more.activations - half.activations == 10 * 2 * steps.activations


def test_adamw_keeps_two_values_a_parameter() -> None:
    steps = trace(catalog.get("resnet8_slim"), 28)
    sgd, adamw = (
        training_memory(steps, 1, precision="fp32", optimiser=kind) for kind in ("sgd", "adamw")
    )
    assert adamw.buffers == 2 * sgd.buffers == 8 * steps.parameters
    assert adamw.total - sgd.total == sgd.buffers


def test_group_norms_keep_a_mean_and_a_deviation_for_each_group_and_image() -> None:
    steps = trace(catalog.get("resnet50_gn"), 64)
    norms = sum(layer.operation == "group_norm" for layer in steps.layers)
    pooled = 64 * 16 * 16
    found = training_memory(steps, 3).activations
    assert found == 3 * (4 * steps.activations + 8 * pooled + 4 * 2 * 32 * norms)


def test_every_batch_precision_and_optimiser() -> None:
    steps = trace(catalog.get("resnet8_slim"), 28)
    found = training_memories(steps, (2, 7))
    kinds = [(one.batch, one.precision, one.optimiser) for one in found]
    assert len(kinds) == len(set(kinds)) == 8
    for one in found:
        assert one == training_memory(
            steps, one.batch, precision=one.precision, optimiser=one.optimiser
        )


@pytest.mark.parametrize("batch", [0, -3])
def test_a_batch_that_is_none(batch: int) -> None:
    with pytest.raises(InvalidDescription, match=f"batch: {batch} is not a number of images"):
        training_memory(trace(catalog.get("resnet8_slim"), 28), batch)
