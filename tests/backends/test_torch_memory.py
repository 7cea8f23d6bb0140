"""The bytes that ``networks.memory`` counts, against what a step in PyTorch really keeps."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from backends.networks import images, random_weights
from resnets.backends import torch as backend
from resnets.networks.architecture import Architecture
from resnets.networks.memory import OPTIMISERS, Optimiser, Precision, training_memory
from resnets.networks.tracing import trace

BATCH, SIZE = 3, (17, 16)


@contextmanager
def bytes_kept(model: torch.nn.Module) -> Iterator[list[int]]:
    """Collect the sizes of the arrays that autograd saves, the model's own left out."""
    own = {value.data_ptr() for value in model.state_dict().values()}
    kept: dict[int, int] = {}
    held: list[torch.Tensor] = []  # so that no address is used twice
    sizes: list[int] = []

    def note(value: torch.Tensor) -> torch.Tensor:
        held.append(value)
        if value.data_ptr() not in own:
            kept[value.data_ptr()] = value.numel() * value.element_size()
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        yield sizes
    sizes.extend(kept.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_are_what_autograd_keeps_to_the_byte(
    small: Architecture, precision: Precision
) -> None:
    model = backend.build(small, weights=random_weights(small)).train()
    x = torch.from_numpy(images(small, *SIZE, n=BATCH)).requires_grad_()
    with (
        torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"),
        bytes_kept(model) as sizes,
    ):
        model(x).float().sum()
    assert sum(sizes) == training_memory(trace(small, SIZE), BATCH, precision=precision).activations


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_weights_gradients_and_buffers(small: Architecture, optimiser: Optimiser) -> None:
    model = backend.build(small, weights=random_weights(small)).train()
    parameters = list(model.parameters())
    kind = {
        "sgd": lambda: torch.optim.SGD(parameters, 0.1, momentum=0.9),
        "adamw": lambda: torch.optim.AdamW(parameters),
    }[optimiser]()
    model(torch.from_numpy(images(small, *SIZE, n=BATCH))).sum().backward()
    kind.step()
    found = training_memory(trace(small, SIZE), BATCH, precision="fp32", optimiser=optimiser)
    floats = [value for value in model.state_dict().values() if value.is_floating_point()]
    buffers = [v for state in kind.state.values() for v in state.values() if v is not None]
    assert _bytes(floats) == found.weights
    assert _bytes([p.grad for p in parameters]) == found.gradients
    # AdamW's count of steps is a scalar, not a buffer.
    assert _bytes([v for v in buffers if v.dim()]) == found.buffers


def _bytes(values: list[torch.Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in values)
