"""Biases of convolutions that a batch norm follows: in training they do nothing.

The norm takes each channel's mean away, and with it the bias. So its gradient is zero, which in
floating point is noise that costs a pass over the whole output to compute, and adding it costs
another: a seventh of a step of the chapter's network on an H200 (benchmarks/README.md). Here a step
leaves them out, gives them the gradient zero, and adds them to what the norms remember of the mean,
where they count: in evaluation. The same function, without the noise.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from resnets.networks.folding import foldable
from resnets.networks.tracing import trace

if TYPE_CHECKING:
    from resnets.backends.torch.training_session import Model


class IdleBiases:
    """The idle biases of a model in training.

    Attributes:
        biases: the model's parameters.
    """

    def __init__(self, model: "Model") -> None:
        architecture = model.architecture
        pairs = foldable(trace(architecture, 32)) if architecture.norm.kind == "batch" else {}
        self.biases: list[nn.Parameter] = []
        self._convolutions: list[nn.Module] = []
        self._means: list[torch.Tensor] = []
        for norm, convolution in pairs.items():
            own = model.get_submodule(convolution)
            if own.bias is not None:
                self.biases.append(own.bias)
                self._convolutions.append(own)
                self._means.append(model.get_submodule(norm).running_mean)
        self._momentum = 1 - architecture.norm.decay
        self._gradients = [torch.zeros_like(bias) for bias in self.biases]

    @contextmanager
    def left_out(self) -> Generator[None]:
        """Let the model compute without them meanwhile."""
        for convolution in self._convolutions:
            convolution.bias = None
        try:
            yield
        finally:
            for convolution, bias in zip(self._convolutions, self.biases, strict=True):
                convolution.bias = bias

    @torch.no_grad()
    def settle(self) -> None:
        """After a forward and a backward pass without them: gradients, and what norms remember."""
        if not self.biases:
            return
        torch._foreach_add_(self._means, self.biases, alpha=self._momentum)
        for bias, gradient in zip(self.biases, self._gradients, strict=True):
            bias.grad = gradient
