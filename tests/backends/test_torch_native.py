"""What a user of torch expects of a module."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch

from backends.networks import images, random_weights
from resnets.backends import torch as backend
from resnets.backends.torch import parts
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.naming import block_names
from resnets.networks.tracing import trace


def _model_and_input(a: Architecture) -> tuple[torch.nn.Module, torch.Tensor]:
    model = backend.build(a, weights=random_weights(a)).eval()
    return model, torch.from_numpy(images(a, 17, 16))


def test_torchscript(small: Architecture) -> None:
    model, x = _model_and_input(small)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(model)
    with torch.no_grad():
        torch.testing.assert_close(scripted(x), model(x))


@pytest.mark.slow
def test_export(small: Architecture) -> None:
    model, x = _model_and_input(small)
    exported = torch.export.export(model, (x,)).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(x), model(x))


@pytest.mark.slow
def test_compile_without_a_break_in_the_graph(small: Architecture) -> None:
    model, x = _model_and_input(small)
    torch.compiler.reset()  # graphs of the other cases count towards a limit
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x))


def test_hooks_slices_copies_and_children() -> None:
    model, x = _model_and_input(catalog.get("resnet8_slim"))
    seen: list[torch.Size] = []
    model.layer2[0].conv1.register_forward_hook(lambda _m, _i, y: seen.append(y.shape))
    with torch.no_grad():
        logits = model(x)
        torch.testing.assert_close(model[-1](model[:-1](x)), logits)
        torch.testing.assert_close(copy.deepcopy(model)(x), logits)
        torch.testing.assert_close(model.features(x)["logits"], logits)
    assert seen[0] == (2, 64, 5, 4)
    names = [name for name, _ in model.named_children()]
    assert names == [
        "conv1",
        "bn1",
        "relu",
        "maxpool",
        "layer1",
        "layer2",
        "layer3",
        "avgpool",
        "flatten",
        "fc",
    ]


def test_hooks_on_blocks_and_stages_see_what_they_gave(small: Architecture) -> None:
    """Nothing overwrites it later, and gradients arrive; inside a block that is not so."""
    model, x = _model_and_input(small)
    names = [owner for row in block_names(model.architecture) for owner in row]
    names += {owner.rpartition(".")[0] for owner in names}
    kept: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    gradients: set[str] = set()
    for owner in names:
        module = model.get_submodule(owner)
        module.register_forward_hook(
            lambda _m, _i, y, owner=owner: kept.update({owner: (y, y.detach().clone())})
        )
        module.register_full_backward_hook(lambda *_, owner=owner: gradients.add(owner))
    model(x.requires_grad_()).sum().backward()
    assert gradients == kept.keys() == set(names)
    for owner, (value, copied) in kept.items():
        torch.testing.assert_close(value.detach(), copied, rtol=0, atol=0, msg=owner)


def test_weights_in_bf16_are_given_in_fp32() -> None:
    model = backend.build(catalog.get("resnet8_slim"))
    found = backend.dump(model.bfloat16())
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    backend.load(model, found)
    np.testing.assert_array_equal(backend.dump(model)["fc.weight"], found["fc.weight"])


def test_state_dict_round_trip_strictly() -> None:
    a = catalog.get("resnet18", classes=4)
    one, other = backend.build(a, seed=1), backend.build(a, seed=2)
    other.load_state_dict(one.state_dict(), strict=True)
    without_counters = {n: torch.from_numpy(v) for n, v in backend.dump(one).items()}
    other.load_state_dict(without_counters, strict=True)
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=0, atol=0)


def test_gradients_reach_every_parameter(small: Architecture) -> None:
    model, x = _model_and_input(small)
    # classes=1 has no loss of its own: the sum of squares serves all.
    model.train()(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_activations_are_what_autograd_keeps(small: Architecture) -> None:
    """The layout's activation memory, against the arrays that a training step really saves."""
    model, x = _model_and_input(small)
    kept: dict[int, int] = {}
    own = {p.data_ptr() for p in model.state_dict().values()}

    def note(value: torch.Tensor) -> torch.Tensor:
        # Of the images' size: not the norms' vectors, weights, or the max-pool's integer indices.
        image_like = value.dim() in (2, 4) and len(value) == len(x) and value.is_floating_point()
        of_groups = small.norm.kind == "group" and value.shape == (len(x), small.norm.groups)
        image_like = image_like and not of_groups
        if image_like and value.data_ptr() not in own:
            kept[value.data_ptr()] = value.numel()
        held.append(value)  # so that no address is used twice
        return value

    held: list[torch.Tensor] = []
    x.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        model.train()(x).sum().backward()
    assert sum(kept.values()) == trace(small, (17, 16)).activations * len(x)


def test_memory_formats_and_precisions_agree() -> None:
    model, x = _model_and_input(catalog.get("resnet8_slim"))
    with torch.no_grad():
        expected = model.double()(x.double())
        model = model.float()
        last = model.to(memory_format=torch.channels_last)
        found = last(x.to(memory_format=torch.channels_last))
    assert (found - expected).abs().max() / expected.abs().max() < 1e-5


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_initial_weights_keep_the_signal(name: str) -> None:
    a = catalog.get(name, classes=10)
    model = backend.build(a).train()
    with torch.no_grad():
        logits = model(torch.from_numpy(images(a, 64, 64, n=4)))
    assert 0.01 < float(logits.std()) < 10
    std = backend.dump(model)["layer1.0.conv1.weight"].std()
    fan_out = np.prod(model.layer1[0].conv1.weight.shape) / model.layer1[0].conv1.in_channels
    assert std == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)


def test_a_group_of_one_value_is_its_shift() -> None:
    """As in the other frameworks; torch's own refuses it."""
    norm = parts.GroupNorm(4, 4)
    with torch.no_grad():
        norm.bias.copy_(torch.arange(4.0))
    torch.testing.assert_close(
        norm(torch.randn(1, 4, 1, 1)).flatten(), torch.arange(4.0), atol=1e-4, rtol=0
    )
