"""Biases of convolutions that a batch norm follows: they have no effect in training.

The norm subtracts each channel's mean, and with it the bias. So the bias's gradient is zero, which
in floating point is noise that costs a pass over the whole output to compute, and adding the bias
costs another: a seventh of a step of the chapter's network on an H200 (benchmarks/README.md). A
step leaves these biases out, sets their gradients to zero, and adds them to the running means,
where they count: in evaluation. The function is the same, without the noise.
"""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import nn

from resnets.backends.torch.models import Model
from resnets.networks.folding import foldable_norms
from resnets.networks.tracing import trace


class RedundantBiases:
    """The redundant biases of a model in training.

    Attributes:
        biases: the model's parameters.
    """

    def __init__(self, model: Model) -> None:
        architecture = model.architecture
        pairs = foldable_norms(trace(architecture, 32)) if architecture.norm.kind == "batch" else {}
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
    def leave_out(self) -> Generator[None]:
        """Compute without the biases inside this context."""
        for convolution in self._convolutions:
            convolution.bias = None
        try:
            yield
        finally:
            for convolution, bias in zip(self._convolutions, self.biases, strict=True):
                convolution.bias = bias

    @torch.no_grad()
    def settle(self) -> None:
        """Set gradients and correct running means after a pass without the biases."""
        if not self.biases:
            return
        torch._foreach_add_(self._means, self.biases, alpha=self._momentum)
        for bias, gradient in zip(self.biases, self._gradients, strict=True):
            bias.grad = gradient
