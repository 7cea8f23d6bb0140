"""What makes a step fast must not change what it computes."""

import platform
import subprocess
import sys

import numpy as np
import pytest
import torch

from backends.networks import random_weights
from resnets.backends import Batch
from resnets.backends import torch as backend
from resnets.backends.torch.kernels import convolution
from resnets.backends.torch.kernels.convolution import FastConvolutions
from resnets.data.augmentation import draw_parameters
from resnets.data.images import Images
from resnets.networks import catalog
from resnets.networks.architecture import Architecture
from resnets.networks.network import Preprocessing
from resnets.recipes.recipe import Recipe


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (4, 6), (9, 11), (11, 4)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("large", [0, 1_000_000])
def test_fast_convolutions_against_float64(
    dtype: torch.dtype,
    stride: int,
    size: tuple[int, int],
    bias: bool,
    large: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(convolution, "LARGE", large)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 5, *size, generator=generator).bfloat16().double()
    conv = torch.nn.Conv2d(5, 7, 3, stride, padding=1, bias=bias, dtype=torch.float64)
    with torch.no_grad():
        conv.weight.copy_(conv.weight.bfloat16())
    found = []
    for kind in (torch.float64, torch.float32):
        leaf = x.to(kind).to(memory_format=torch.channels_last).requires_grad_()
        conv = conv.to(kind, memory_format=torch.channels_last)
        conv.zero_grad()
        fast = kind == torch.float32
        with FastConvolutions(dtype) if fast else torch.enable_grad():
            y = conv(leaf)
        if dtype == torch.bfloat16:
            taken = y.shape[3] <= (4 if stride == 1 else 12)
            assert (y.dtype == torch.bfloat16) == (fast and taken)
        weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).to(y.dtype)
        (y * weights.view(y.shape)).sum().backward()
        found.append([y, leaf.grad, *(p.grad for p in conv.parameters())])
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-6
    for exact, fast in zip(*found, strict=True):
        assert (fast - exact).abs().max() <= tolerance * exact.abs().max()


def _ways(network: str, size: int, dtype: torch.dtype) -> dict[tuple[int, ...], str]:
    """Return how the gradient of each kernel's shape is computed."""
    model = backend.build(catalog.get(network, channels=1, classes=10))
    taken: dict[tuple[int, ...], str] = {}
    with pytest.MonkeyPatch.context() as patch:
        own = convolution._Convolution.apply

        def note_own(x: torch.Tensor, weight: torch.Tensor, *rest: object) -> torch.Tensor:
            taken[tuple(weight.shape[:2])] = rest[-1].__name__
            return own(x, weight, *rest)

        patch.setattr(convolution._Convolution, "apply", note_own)
        bf16 = dtype == torch.bfloat16
        with FastConvolutions(dtype), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            model(torch.zeros(2, 1, size, size))
    return taken


def test_only_the_convolutions_that_gain_are_taken() -> None:
    # The three that halve the image, and the three others of the last stage at 3×3 pixels.
    assert _ways("resnet18", 96, torch.bfloat16) == {
        (128, 64): "by_patches",
        (256, 128): "by_patches",
        (512, 256): "by_patches",
        (512, 512): "by_taps",
    }
    assert _ways("resnet18", 96, torch.float32) == {
        (512, 256): "by_taps",
        (512, 512): "by_taps",
    }
    # The last two stages at 2×2 and 1×1 pixels.
    small = {(256, 256): "by_taps", (512, 512): "by_taps"}
    assert _ways("resnet18", 32, torch.float32) == {**small, (512, 256): "by_taps"}
    assert small.items() <= _ways("resnet18", 32, torch.bfloat16).items()


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (2, {"groups": 4}),
        (2, {"dilation": 2, "padding": 2}),
        (3, {"groups": 4}),
        (3, {"dilation": 2}),
        (3, {"padding": 0}),
    ],
)
def test_other_convolutions_are_left_alone(
    size: int, changes: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "LARGE", 0)
    conv = torch.nn.Conv2d(8, 8, 3, **{"padding": 1, **changes})
    x = torch.randn(2, 8, size, size)
    expected = conv(x)
    with FastConvolutions(torch.float32):
        assert torch.equal(conv(x), expected)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_a_step_of_any_network_on_small_maps(small: Architecture, size: int) -> None:
    """Blocks without norms, too, which add their shortcut in place to what a convolution gives."""
    channels = small.channels
    preprocessing = Preprocessing(size=size, mean=(0.5,) * channels, std=(0.5,) * channels)
    pixels = np.random.default_rng(0).integers(0, 256, (6, size, size, channels), np.uint8)
    images = Images(pixels, np.arange(6) % small.classes)
    losses = {}
    for precision in ("fp64", "fp32", "bf16"):
        recipe = Recipe(precision=precision, rate=0.1)
        model = backend.build(small, weights=random_weights(small))
        session = backend.session(model, recipe, preprocessing=preprocessing, device="cpu")
        batch = Batch(images, draw_parameters(recipe, 0, count=6, size=(size, size)))
        losses[precision] = session.train_step(batch, 0.1).loss
    assert losses["fp32"] == pytest.approx(losses["fp64"], rel=1e-4)
    assert losses["bf16"] == pytest.approx(losses["fp64"], rel=5e-2)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_freed_memory_is_kept() -> None:
    """In a process of its own: the setting cannot be taken back."""
    program = (
        "import resource, numpy as np\n"
        "from resnets.backends.malloc import keep_pages\n"
        "assert keep_pages()\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    np.ones(100_000_000, np.uint8)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "faults()\n"
        "print(faults())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 100
