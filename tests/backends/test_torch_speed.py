"""What makes a step fast must not change what it computes."""

import platform
import subprocess
import sys

import pytest
import torch

from resnets import catalog
from resnets.backends import torch as backend
from resnets.backends.torch.convolution import PatchGradients


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 4, 9, 11])
@pytest.mark.parametrize("bias", [False, True])
def test_patch_gradients_against_float64(stride: int, size: int, bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 5, size, size + 2, generator=generator).bfloat16().double()
    conv = torch.nn.Conv2d(5, 7, 3, stride, padding=1, bias=bias, dtype=torch.float64)
    with torch.no_grad():
        conv.weight.copy_(conv.weight.bfloat16())
    gradients = []
    for dtype in (torch.float64, torch.float32):
        leaf = x.to(dtype).to(memory_format=torch.channels_last).requires_grad_()
        conv = conv.to(dtype, memory_format=torch.channels_last)
        conv.zero_grad()
        fast = dtype == torch.float32
        with PatchGradients() if fast else torch.enable_grad():
            y = conv(leaf)
        assert (y.dtype == torch.bfloat16) == (fast and y.shape[3] <= (4 if stride == 1 else 12))
        y.sum().backward()
        gradients.append([leaf.grad, *(p.grad for p in conv.parameters())])
    for exact, found in zip(*gradients, strict=True):
        assert (found - exact).abs().max() <= 1e-2 * exact.abs().max()


def test_only_the_convolutions_that_gain_are_taken() -> None:
    model = backend.build(catalog.get("resnet18", channels=1, classes=10))
    taken: list[tuple[int, ...]] = []
    import resnets.backends.torch.convolution as convolution

    original = convolution._Convolution.apply
    try:
        convolution._Convolution.apply = lambda x, w, *rest: (
            taken.append(tuple(w.shape)) or original(x, w, *rest)
        )
        with PatchGradients(), torch.autocast("cpu", torch.bfloat16):
            model(torch.zeros(2, 1, 96, 96))
    finally:
        convolution._Convolution.apply = original
    # The three that halve the image, and the three others of the last stage at 3×3 pixels.
    assert sorted(taken) == sorted(
        [(128, 64, 3, 3), (256, 128, 3, 3), (512, 256, 3, 3), *[(512, 512, 3, 3)] * 3]
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_freed_memory_is_kept() -> None:
    """In a process of its own: the setting cannot be taken back."""
    program = (
        "import resource, numpy as np\n"
        "from resnets.backends.pages import keep_pages\n"
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
