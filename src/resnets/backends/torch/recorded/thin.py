"""The convolution that reads grey images, as one matrix product.

cuDNN is made for many channels: for one it copies the images into other layouts and takes about
0.5 ms for the chapter's stem and its gradient on an H200, a seventh of the whole step, where laying
the patches out (Chellapilla et al. 2006) and two products take 0.13 (benchmarks/README.md).
"""

from torch import Tensor, nn
from torch.nn.functional import linear, pad

MULTIPLE = 8
"""Products run at full speed where rows are of so many numbers."""


class ThinConvolution(nn.Module):
    """Computes what a convolution does, for images that need no gradient; it shares its weights."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.kernel, self.stride = convolution.kernel_size, convolution.stride
        self.padding = convolution.padding

    def forward(self, x: Tensor) -> Tensor:
        (height, width), (down, right) = self.kernel, self.stride
        above, left = self.padding
        weight = self.weight
        x = pad(x.to(weight.dtype), (left, left, above, above))
        patches = x.unfold(2, height, down).unfold(3, width, right).permute(0, 2, 3, 1, 4, 5)
        rows = patches.flatten(3)
        missing = (0, -rows.shape[-1] % MULTIPLE)
        y = linear(pad(rows, missing), pad(weight.flatten(1), missing), self.bias)
        return y.permute(0, 3, 1, 2)


def use_thin_convolution(network: nn.Module) -> None:
    """Put it in the place of the convolution that reads the images, if they have one channel."""
    convolutions = ((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    name, first = next(convolutions)
    if first.in_channels == 1 and first.dilation == (1, 1) and first.padding_mode == "zeros":
        network.set_submodule(name, ThinConvolution(first))
