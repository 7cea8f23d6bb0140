"""Models that learn, with PyTorch: ``Module``, ``Classifier``, data and ``Trainer``."""
# ruff: noqa: N803, N806 (X and Y are the book's names)

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from resnets.backends.torch.devices import describe_device
from resnets.chapter.arguments import explain_sums
from resnets.chapter.data import DataModule as _DataModule
from resnets.chapter.data import FashionMNIST as _FashionMNIST
from resnets.chapter.hyperparameters import HyperParameters
from resnets.chapter.measures import unwrap_scalar
from resnets.chapter.plotting import PER_EPOCH, Plots
from resnets.chapter.torch.devices import cpu, num_gpus, try_gpu
from resnets.chapter.trainer import Trainer as _Trainer


class Module(nn.Module, Plots, HyperParameters):
    """A model with its loss and its optimiser; a subclass makes ``net`` or its own ``forward``."""

    net: nn.Module
    lr: float

    def __init__(
        self,
        plot_train_per_epoch: int = PER_EPOCH[0],
        plot_valid_per_epoch: int = PER_EPOCH[1],
    ) -> None:
        super().__init__()
        self.set_points(plot_train_per_epoch, plot_valid_per_epoch)

    def forward(self, *inputs: Any) -> Any:
        """Compute the network's output."""
        return self.net(*inputs)

    def loss(self, Y_hat: Any, Y: Any) -> Any:
        """Give the mean loss of a batch."""
        raise NotImplementedError(f"{type(self).__name__} needs a method loss(Y_hat, Y)")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain stochastic gradient descent with the rate ``lr``."""
        return torch.optim.SGD(self.parameters(), lr=self.lr)

    def training_step(self, batch: Sequence[Any]) -> Any:
        """Give the mean loss of a batch, to be differentiated."""
        return self.loss(self(*batch[:-1]), batch[-1])

    def validation_step(self, batch: Sequence[Any]) -> Any:
        """Give the mean loss of a batch, and its accuracy or None; or only plot them."""
        return self.loss(self(*batch[:-1]), batch[-1]), None

    @explain_sums()
    def apply_init(self, inputs: Sequence[Any], init: Callable[..., Any] | None = None) -> None:
        """Give lazy layers their shapes by ``inputs``, then draw the weights by ``init``.

        The norms' running statistics stay as they are.
        """
        call_in_eval_mode(self, self, *inputs)
        if init is not None:
            self.net.apply(init)


class Classifier(Module):
    """A model that gives logits [n, classes]."""

    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        """Give the cross-entropy in nats: the batch's mean, or [n]."""
        return F.cross_entropy(Y_hat, Y, reduction="mean" if averaged else "none")

    def accuracy(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        """Give the share of images whose largest logit is their label's, or 1 and 0 for each."""
        right = (Y_hat.reshape(-1, Y_hat.shape[-1]).argmax(dim=1) == Y.reshape(-1)).float()
        return right.mean() if averaged else right

    def validation_step(self, batch: Sequence[Any]) -> tuple[Any, Any]:
        """Give the mean loss and the accuracy of a batch."""
        Y_hat = self(*batch[:-1])
        return self.loss(Y_hat, batch[-1]), self.accuracy(Y_hat, batch[-1])

    @explain_sums()
    def layer_summary(self, X_shape: Sequence[int]) -> None:
        """Print the shape that each part of ``net`` puts out for random images of a shape."""
        X = torch.randn(*X_shape)
        for layer in self.net.children():
            X = call_in_eval_mode(layer, layer, X)
            print(layer.__class__.__name__, "output shape:\t", X.shape)


def call_in_eval_mode(module: nn.Module, call: Callable[..., Any], *inputs: Any) -> Any:
    """Call in evaluation mode and without gradients; leave the modes as they were."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            return call(*inputs)
    finally:
        for part, mode in modes:
            part.training = mode


class DataModule(_DataModule):
    """Gives batches of tensors."""

    array = staticmethod(torch.from_numpy)


class FashionMNIST(_FashionMNIST, DataModule):
    """Fashion-MNIST as tensors: images [n, 1, height, width], labels int64 [n]."""


class Trainer(_Trainer):
    """``Trainer`` with PyTorch."""

    framework = "torch"

    def gpus(self) -> int:
        return num_gpus()

    def device_in_words(self) -> str:
        return describe_device(self.device)

    @explain_sums()
    def prepare_model(self, model: Any, batch: tuple[Any, ...]) -> int:
        self.device = try_gpu() if self.num_gpus else cpu()
        model.to(self.device)
        if any(map(nn.parameter.is_lazy, model.parameters())):
            call_in_eval_mode(model, model, *self._to_device(batch)[:-1])
        self.optimizer = model.configure_optimizers()
        return sum(parameter.numel() for parameter in model.parameters())

    def train_step(self, batch: tuple[Any, ...]) -> Any:
        self.model.train()
        loss = unwrap_scalar("the loss", self.model.training_step(self._to_device(batch)))
        self.optimizer.zero_grad()
        loss.backward()
        if self.gradient_clip_val > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.gradient_clip_val)
        self.optimizer.step()
        return loss.detach()

    def validate(self, batch: tuple[Any, ...]) -> Any:
        self.model.eval()
        with torch.no_grad():
            return self.model.validation_step(self._to_device(batch))

    def rate(self) -> float:
        return self.optimizer.param_groups[0]["lr"]

    def _to_device(self, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(part.to(self.device) for part in batch)
