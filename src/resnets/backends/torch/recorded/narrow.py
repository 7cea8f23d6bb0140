"""A second view of a model that computes in bf16: its kernels are copied in one go.

Autocast converts each weight where it is used and each gradient back: two small kernels a layer,
some forty a step of ResNet-18. Here all weights are converted by one, to the same values.
"""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Narrow:
    """A network that shares all of ``model`` but the weights of convolutions and dense layers.

    Those it has in bf16, where ``narrow``. It lacks the parameters ``without``, and the counters
    of batches, which nobody reads and which each norm would raise by a kernel of its own.
    """

    def __init__(self, model: nn.Module, *, narrow: bool, without: Iterable[nn.Parameter]) -> None:
        lacking = set(map(id, without))
        self.network = copy.deepcopy(model).train()
        self.wide: list[nn.Parameter] = []
        self.thin: list[nn.Parameter] = []
        pairs = zip(model.modules(), self.network.modules(), strict=True)
        for own, other in pairs:
            converts = narrow and isinstance(own, nn.Conv2d | nn.Linear)
            for name, parameter in own.named_parameters(recurse=False):
                if id(parameter) in lacking:
                    setattr(other, name, None)
                    continue
                if converts:
                    self.wide.append(parameter)
                    self.thin.append(nn.Parameter(parameter.detach().to(torch.bfloat16)))
                setattr(other, name, self.thin[-1] if converts else parameter)
            for name, buffer in own.named_buffers(recurse=False):
                setattr(other, name, None if name == "num_batches_tracked" else buffer)
        self.gradients = [torch.zeros_like(parameter) for parameter in self.wide]

    @torch.no_grad()
    def refresh(self) -> None:
        """Take the model's weights, and drop the gradients of the step before."""
        for parameter in (*self.network.parameters(), *self.wide):
            parameter.grad = None
        if self.thin:
            torch._foreach_copy_(self.thin, self.wide)

    @torch.no_grad()
    def collect(self) -> None:
        """Set the model's gradients, in fp32."""
        if not self.thin:
            return
        torch._foreach_copy_(self.gradients, [_gradient(parameter) for parameter in self.thin])
        for parameter, gradient in zip(self.wide, self.gradients, strict=True):
            parameter.grad = gradient


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
