"""Models that learn, with MXNet: ``Module``, ``Classifier``, data and ``Trainer``."""
# ruff: noqa: N803, N806 (X and Y are the book's names)

from collections.abc import Sequence
from typing import Any

import numpy as np

from resnets.backends.mxnet.devices import describe_device
from resnets.backends.mxnet.importing import mx
from resnets.chapter.arguments import explain_sums
from resnets.chapter.data import DataModule as _DataModule
from resnets.chapter.data import FashionMNIST as _FashionMNIST
from resnets.chapter.hyperparameters import HyperParameters
from resnets.chapter.measures import unwrap_scalar
from resnets.chapter.mxnet.devices import cpu, num_gpus, try_gpu
from resnets.chapter.plotting import PER_EPOCH, Plots
from resnets.chapter.trainer import Trainer as _Trainer
from resnets.errors import ResnetsError

autograd, gluon = mx.autograd, mx.gluon


class Module(gluon.nn.Block, Plots, HyperParameters):
    """A model with its loss and its optimiser; a subclass makes ``net`` or its own ``forward``."""

    net: Any
    lr: float

    def __init__(
        self,
        plot_train_per_epoch: int = PER_EPOCH[0],
        plot_valid_per_epoch: int = PER_EPOCH[1],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.set_points(plot_train_per_epoch, plot_valid_per_epoch)

    def forward(self, *inputs: Any) -> Any:
        """Compute the network's output."""
        return self.net(*inputs)

    def loss(self, Y_hat: Any, Y: Any) -> Any:
        """Give the mean loss of a batch."""
        raise NotImplementedError(f"{type(self).__name__} needs a method loss(Y_hat, Y)")

    def parameters(self) -> Any:
        """Give all parameters, as ``gluon.Trainer`` takes them."""
        return self.collect_params()

    def configure_optimizers(self) -> Any:
        """Plain stochastic gradient descent with the rate ``lr``."""
        return gluon.Trainer(self.parameters(), "sgd", {"learning_rate": self.lr})

    def training_step(self, batch: Sequence[Any]) -> Any:
        """Give the mean loss of a batch, to be differentiated."""
        return self.loss(self(*batch[:-1]), batch[-1])

    def validation_step(self, batch: Sequence[Any]) -> Any:
        """Give the mean loss of a batch, and its accuracy or None; or only plot them."""
        return self.loss(self(*batch[:-1]), batch[-1]), None


class Classifier(Module):
    """A model that gives logits [n, classes]."""

    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        """Give the cross-entropy in nats: the batch's mean, or [n]."""
        each = gluon.loss.SoftmaxCrossEntropyLoss()(Y_hat, Y)
        return each.mean() if averaged else each

    def accuracy(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        """Give the share of images whose largest logit is their label's, or 1 and 0 for each."""
        right = (Y_hat.argmax(axis=-1).astype("int64") == Y.astype("int64")).astype("float32")
        return right.mean() if averaged else right

    def validation_step(self, batch: Sequence[Any]) -> tuple[Any, Any]:
        """Give the mean loss and the accuracy of a batch."""
        Y_hat = self(*batch[:-1])
        return self.loss(Y_hat, batch[-1]), self.accuracy(Y_hat, batch[-1])

    @explain_sums()
    def layer_summary(self, X_shape: Sequence[int]) -> None:
        """Print the shape that each part of ``net`` puts out for random images of a shape."""
        expect_initialised(self)
        X = mx.np.random.randn(*X_shape)
        for layer in self.net:
            X = layer(X)
            print(layer.__class__.__name__, "output shape:\t", X.shape)


def expect_initialised(model: Any) -> None:
    """See that the layers will have weights.

    Raises:
        ResnetsError: where ``initialize`` was forgotten.
    """
    for parameter in model.collect_params().values():
        if parameter._data is None and not parameter._deferred_init:
            raise ResnetsError(
                f"{type(model).__name__} has no weights: call self.net.initialize() where its "
                f"layers are made ({parameter.name} is not initialized)"
            )


def _mean_loss(loss: Any) -> Any:
    """Take the mean of losses [n], which Gluon's own give."""
    return loss.mean() if len(getattr(loss, "shape", ())) == 1 else loss


class DataModule(_DataModule):
    """Gives batches of ``mxnet.np`` arrays."""

    @staticmethod
    def array(values: Any) -> Any:
        return mx.np.array(values, dtype=values.dtype)


class FashionMNIST(_FashionMNIST, DataModule):
    """Fashion-MNIST: images float32 [n, 1, height, width], labels int32 [n]."""

    @staticmethod
    def array(values: Any) -> Any:
        """Labels are int32, which MXNet's losses take."""
        dtype = np.int32 if values.dtype == np.int64 else values.dtype
        return mx.np.array(values, dtype=dtype)


class Trainer(_Trainer):
    """``Trainer`` with MXNet."""

    framework = "mxnet"

    def gpus(self) -> int:
        return num_gpus()

    def device_in_words(self) -> str:
        return describe_device(self.device)

    @explain_sums()
    def prepare_model(self, model: Any, batch: tuple[Any, ...]) -> int:
        expect_initialised(model)
        self.device = try_gpu() if self.num_gpus else cpu()
        model.collect_params().reset_ctx(self.device)
        model(*self._to_device(batch)[:-1])  # gives the layers their shapes; not in training mode
        self.optimizer = model.configure_optimizers()
        parameters = model.collect_params().values()
        return sum(int(np.prod(p.shape)) for p in parameters if p.grad_req != "null")

    def train_step(self, batch: tuple[Any, ...]) -> Any:
        with autograd.record():
            given = self.model.training_step(self._to_device(batch))
            loss = unwrap_scalar("the loss", _mean_loss(given))
        loss.backward()
        if self.gradient_clip_val > 0:
            self._clip_gradients()
        self.optimizer.step(1)  # the loss is a mean already
        return loss

    def validate(self, batch: tuple[Any, ...]) -> Any:
        given = self.model.validation_step(self._to_device(batch))
        return [*map(_mean_loss, given)] if isinstance(given, (tuple, list)) else _mean_loss(given)

    def rate(self) -> float:
        return float(self.optimizer.learning_rate)

    def _clip_gradients(self) -> None:
        """Cut the gradients to the norm that is allowed."""
        parameters = self.model.collect_params().values()
        gradients = [p.grad() for p in parameters if p.grad_req != "null"]
        norm = float(sum(float((gradient**2).sum()) for gradient in gradients)) ** 0.5
        if norm > self.gradient_clip_val:
            for gradient in gradients:
                gradient[:] *= self.gradient_clip_val / norm

    def _to_device(self, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(part.as_in_ctx(self.device) for part in batch)
