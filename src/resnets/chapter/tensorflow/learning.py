"""Models that learn, with TensorFlow: ``Module``, ``Classifier``, data and ``Trainer``."""
# ruff: noqa: N803, N806 (X and Y are the book's names)

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from resnets.backends.tensorflow.devices import describe_device
from resnets.chapter.arguments import explain_sums
from resnets.chapter.data import DataModule as _DataModule
from resnets.chapter.data import FashionMNIST as _FashionMNIST
from resnets.chapter.hyperparameters import HyperParameters
from resnets.chapter.measures import unwrap_scalar
from resnets.chapter.plotting import PER_EPOCH, Plots, add_figures, collect_figures
from resnets.chapter.trainer import Trainer as _Trainer
from resnets.errors import ResnetsError


@contextmanager
def _explain_sums() -> Generator[None]:
    """Say what a block cannot add, without Keras's guesses before it at what went wrong."""
    with explain_sums(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Layer '.*' looks like it has unbuilt state")
        warnings.filterwarnings("ignore", r"`build\(\)` was called on layer")
        yield


@contextmanager
def _unwrap_own_errors() -> Generator[None]:
    """Give an error of ours as it was raised, where TensorFlow wraps it in a report on tracing."""
    try:
        yield
    except Exception as error:
        inner: BaseException | None = error
        while inner is not None and not isinstance(inner, ResnetsError):
            inner = inner.__context__
        if inner is None or inner is error:
            raise
        raise inner from None


class Module(tf.keras.Model, Plots, HyperParameters):
    """A model with its loss and its optimiser; a subclass makes ``net`` or its own ``call``."""

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

    def call(self, X: Any, training: bool | None = None) -> Any:
        """Compute the network's output; in training, norms use the statistics of the batch."""
        return self.net(X, training=training)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; Keras starts with ``loss = None``, which would hide the method."""
        if name != "loss" or value is not None:
            super().__setattr__(name, value)

    def loss(self, Y_hat: Any, Y: Any) -> Any:
        """Give the mean loss of a batch."""
        raise NotImplementedError(f"{type(self).__name__} needs a method loss(Y_hat, Y)")

    def configure_optimizers(self) -> Any:
        """Plain stochastic gradient descent with the rate ``lr``."""
        return tf.keras.optimizers.SGD(self.lr)

    def training_step(self, batch: Sequence[Any]) -> Any:
        """Give the mean loss of a batch, to be differentiated."""
        return self.loss(self(*batch[:-1], training=True), batch[-1])

    def validation_step(self, batch: Sequence[Any]) -> Any:
        """Give the mean loss of a batch, and its accuracy or None; or only plot them."""
        return self.loss(self(*batch[:-1], training=False), batch[-1]), None


class Classifier(Module):
    """A model that gives logits [n, classes]."""

    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        """Give the cross-entropy in nats: the batch's mean, or [n]."""
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(Y, tf.int64), Y_hat)
        return tf.reduce_mean(each) if averaged else each

    def accuracy(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        """Give the share of images whose largest logit is their label's, or 1 and 0 for each."""
        right = tf.cast(tf.argmax(Y_hat, axis=-1) == tf.cast(Y, tf.int64), tf.float32)
        return tf.reduce_mean(right) if averaged else right

    def validation_step(self, batch: Sequence[Any]) -> tuple[Any, Any]:
        """Give the mean loss and the accuracy of a batch."""
        Y_hat = self(*batch[:-1], training=False)
        return self.loss(Y_hat, batch[-1]), self.accuracy(Y_hat, batch[-1])

    @_explain_sums()
    def layer_summary(self, X_shape: Sequence[int]) -> None:
        """Print the shape that each part of ``net`` puts out for random images of a shape."""
        X = tf.random.normal(X_shape)
        for layer in self.net.layers:
            X = layer(X)
            print(layer.__class__.__name__, "output shape:\t", X.shape)


class DataModule(_DataModule):
    """Gives batches of tensors."""

    array = staticmethod(tf.convert_to_tensor)


class FashionMNIST(_FashionMNIST, DataModule):
    """Fashion-MNIST as tensors: images [n, height, width, 1], labels int64 [n]."""

    channels_first = False


@keras.saving.register_keras_serializable("resnets")
class Within(keras.layers.Layer):
    """Something computed in a mode that reaches every layer inside.

    Keras drops ``training=`` where a model's ``call`` has no such argument, as the chapter's have
    none, and never says so. The layers inside ask the outermost layer for it: this one.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.built = True

    def call(self, *inputs: Any, training: bool | None = None) -> Any:
        return self.function(inputs)


class Trainer(_Trainer):
    """``Trainer`` with TensorFlow, on the device of the ``with`` around it, else on its own choice.

    As in the chapter, ``with d2l.try_gpu():`` chooses; ``num_gpus`` may stay 0.
    """

    framework = "tensorflow"

    def gpus(self) -> int:
        return len(tf.config.list_physical_devices("GPU"))

    def wants_gpu(self) -> bool:
        """In this tab ``try_gpu`` asks, and TensorFlow itself takes one that is there."""
        return True

    def device_in_words(self) -> str:
        where = tf.constant(0.0).device.rpartition("device:")[2] or "CPU:0"
        return describe_device(where)

    @_explain_sums()
    def prepare_model(self, model: Any, batch: tuple[Any, ...]) -> int:
        model(*batch[:-1], training=False)  # gives the layers their shapes
        self.optimizer = model.configure_optimizers()
        self.optimizer.build(model.trainable_variables)
        training, validation = (
            Within(_collect_figures(step)) for step in (model.training_step, model.validation_step)
        )
        self._train = tf.function(lambda *parts: self._compute_gradients(training, parts))
        self._validate = tf.function(lambda *parts: validation(*parts, training=False))
        return sum(int(tf.size(variable)) for variable in model.trainable_variables)

    def train_step(self, batch: tuple[Any, ...]) -> Any:
        with _unwrap_own_errors():
            loss, figures = self._train(*batch)
        add_figures(figures)
        return loss

    def validate(self, batch: tuple[Any, ...]) -> Any:
        with _unwrap_own_errors():
            given, figures = self._validate(*batch)
        add_figures(figures)
        return given

    def rate(self) -> float:
        return float(self.optimizer.learning_rate)

    def _compute_gradients(self, training: Any, parts: tuple[Any, ...]) -> Any:
        with tf.GradientTape() as tape:
            loss, figures = training(*parts, training=True)
            loss = tf.reshape(unwrap_scalar("the loss", loss), ())
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        if self.gradient_clip_val > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, self.gradient_clip_val)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss, figures


def _collect_figures(step: Callable[..., Any]) -> Callable[..., Any]:
    """Let a step give what it plots too: while it is traced, that has no value yet."""

    def call(parts: Any) -> Any:
        with collect_figures() as figures:
            given = step(parts)
        return given, figures

    return call
