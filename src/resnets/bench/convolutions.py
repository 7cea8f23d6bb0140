"""The convolutions of a network, each distinct one once: what the limit is measured with."""

from collections import Counter
from dataclasses import dataclass

from resnets.networks.layers import Trace

PASSES = ("forward", "input", "kernel")
"""The product itself, and the gradients of its input and of its kernel."""


@dataclass(frozen=True, order=True)
class Convolution:
    """A convolution's sizes; ``height`` and ``width`` are those of its input, in pixels.

    ``first`` is True for one that reads the images, whose gradient nobody needs.
    """

    channels: int
    filters: int
    height: int
    width: int
    kernel: int
    stride: int
    padding: int
    groups: int
    dilation: int
    first: bool

    @property
    def output(self) -> tuple[int, int, int]:
        """Channels, height and width of its output."""
        rows, columns = ((n - 1) // self.stride + 1 for n in (self.height, self.width))
        return self.filters, rows, columns

    @property
    def multiply_adds(self) -> int:
        """Of one pass over one image."""
        filters, rows, columns = self.output
        return filters * rows * columns * self.channels // self.groups * self.kernel**2

    @property
    def name(self) -> str:
        """In words: ``3x3 64>128 /2 24x24``."""
        more = f" /{self.stride}" if self.stride > 1 else ""
        more += f" g{self.groups}" if self.groups > 1 else ""
        more += f" d{self.dilation}" if self.dilation > 1 else ""
        sizes = f"{self.kernel}x{self.kernel} {self.channels}>{self.filters}"
        return f"{sizes}{more} {self.height}x{self.width}"


def distinct(trace: Trace) -> dict[Convolution, int]:
    """Give a network's convolutions and how often each occurs; dense layers are left out."""
    found: Counter[Convolution] = Counter()
    for layer in trace.layers:
        if layer.operation != "convolution":
            continue
        read = trace.named[layer.inputs[0]]
        channels, height, width = read.shape
        found[
            Convolution(
                channels=channels,
                filters=layer.shape[0],
                height=height,
                width=width,
                kernel=layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                groups=layer.groups,
                dilation=layer.dilation,
                first=read.operation == "input",
            )
        ] += 1
    return dict(found)


def passes(convolution: Convolution, *, training: bool) -> tuple[str, ...]:
    """Name the passes that a step makes of it."""
    if not training:
        return ("forward",)
    return ("forward", "kernel") if convolution.first else PASSES


def step_multiply_adds(trace: Trace, *, training: bool) -> int:
    """Multiply-adds of a step for one image: all passes of convolutions and dense layers."""
    if not training:
        return trace.multiply_adds
    spared = sum(c.multiply_adds * n for c, n in distinct(trace).items() if c.first)
    return 3 * trace.multiply_adds - spared
