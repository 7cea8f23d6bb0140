"""Models that learn, with JAX and Flax's linen: ``Module``, ``Classifier``, data, ``Trainer``."""
# ruff: noqa: N803, N806 (X and Y are the book's names)

import math
from collections.abc import Sequence
from inspect import signature
from typing import Any

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from resnets.backends.jax.devices import describe_device
from resnets.chapter.arguments import explain_sums
from resnets.chapter.data import DataModule as _DataModule
from resnets.chapter.data import FashionMNIST as _FashionMNIST
from resnets.chapter.hyperparameters import HyperParameters
from resnets.chapter.jax.devices import cpu, get_key, num_gpus, try_gpu
from resnets.chapter.measures import unwrap_scalar
from resnets.chapter.plotting import Plots, add_figures, collect_figures
from resnets.chapter.trainer import Trainer as _Trainer
from resnets.errors import InvalidDescription, Problem, ResnetsError


class Module(nn.Module, Plots, HyperParameters):
    """A model with its loss and its optimiser, a dataclass; a subclass makes ``net`` in ``setup``.

    As linen's modules it has no weights in it: a trainer has them, in ``variables``. A field
    ``training`` says whether norms use the statistics of the batch; it is a constant of the
    module, so the trainer trains a copy that says True and validates one that says False.
    """

    def __call__(self, *inputs: Any) -> Any:
        """Compute the network's output."""
        return self.net(*inputs)

    def loss(self, Y_hat: Any, Y: Any) -> Any:
        """Give the mean loss of a batch."""
        raise NotImplementedError(f"{type(self).__name__} needs a method loss(Y_hat, Y)")

    def configure_optimizers(self) -> optax.GradientTransformation:
        """Plain stochastic gradient descent with the rate ``lr``."""
        return optax.sgd(self.lr)

    def apply_init(self, dummy_input: Sequence[Any], key: Any) -> Any:
        """Draw the variables for inputs of such shapes; the running statistics are fresh."""
        return self.init(key, *dummy_input)

    def measures(self, Y_hat: Any, Y: Any) -> Any:
        """Give the mean loss of a validated batch, and its accuracy or None; or only plot them."""
        return self.loss(Y_hat, Y), None


class Classifier(Module):
    """A model that gives logits [n, classes]."""

    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        """Give the cross-entropy in nats: the batch's mean, or [n]."""
        each = optax.softmax_cross_entropy_with_integer_labels(Y_hat, Y)
        return each.mean() if averaged else each

    def accuracy(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        """Give the share of images whose largest logit is their label's, or 1 and 0 for each."""
        right = (Y_hat.argmax(axis=-1) == Y).astype(jnp.float32)
        return right.mean() if averaged else right

    def measures(self, Y_hat: Any, Y: Any) -> tuple[Any, Any]:
        """Give the mean loss and the accuracy of a batch that is validated."""
        return self.loss(Y_hat, Y), self.accuracy(Y_hat, Y)

    @explain_sums()
    def layer_summary(self, X_shape: Sequence[int], key: Any = None) -> None:
        """Print the shape that each part of ``net`` puts out for an image of a shape."""
        model = with_training_mode(self, training=False)

        def follow(key: Any, X: Any) -> None:
            for layer in model.bind(model.init(key, X)).net.layers:
                X = layer(X)
                print(layer.__class__.__name__, "output shape:\t", X.shape)

        # Shapes alone: nothing is compiled.
        jax.eval_shape(follow, get_key() if key is None else key, jnp.zeros(X_shape))


def with_training_mode(model: Any, *, training: bool) -> Any:
    """Copy a module with its field ``training`` set; the module itself if it has no such field."""
    return model.clone(training=training) if "training" in model.__dataclass_fields__ else model


class DataModule(_DataModule):
    """Gives batches of NumPy arrays, which JAX takes to its device itself."""

    array = staticmethod(np.asarray)


class FashionMNIST(_FashionMNIST, DataModule):
    """Fashion-MNIST: images float32 [n, height, width, 1], labels int32 [n]."""

    channels_first = False

    @staticmethod
    def array(values: Any) -> Any:
        """JAX has no int64 unless it is asked to."""
        return values.astype(np.int32) if values.dtype == np.int64 else values


class Trainer(_Trainer):
    """``Trainer`` with JAX.

    Attributes:
        variables: of the network after ``fit``: ``params`` and ``batch_stats``.
    """

    framework = "jax"
    variables: dict[str, Any]

    def gpus(self) -> int:
        return num_gpus()

    def device_in_words(self) -> str:
        return describe_device(self.device)

    def fit(self, model: Any, data: Any, key: Any = None) -> None:
        """Train ``model`` on ``data``; ``key`` draws the initial weights and dropout."""
        self.key = get_key() if key is None else key
        super().fit(model, data)

    @explain_sums()
    def prepare_model(self, model: Any, batch: tuple[Any, ...]) -> int:
        _expect_steps(model)
        self.device = try_gpu() if self.num_gpus else cpu()
        start, self._dropout = jax.random.split(self.key)
        self.optimizer = model.configure_optimizers()
        if self.gradient_clip_val > 0:
            clip = optax.clip_by_global_norm(self.gradient_clip_val)
            self.optimizer = optax.chain(clip, self.optimizer)
        with jax.default_device(self.device):
            initial = jax.jit(with_training_mode(model, training=False).apply_init)
            variables = initial(batch[:-1], start)
            self._optimizer_state = self.optimizer.init(variables["params"])
        self.variables = jax.device_put(dict(variables), self.device)
        self._optimizer_state = jax.device_put(self._optimizer_state, self.device)
        self._take_step = self._compile_step(with_training_mode(model, training=True))
        self._measure = _compile_validation(with_training_mode(model, training=False))
        return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))

    def _compile_step(self, model: Any) -> Any:
        """Give (variables, optimiser state, key, inputs, Y) -> the new ones, loss and figures."""

        def step(variables: Any, state: Any, key: Any, inputs: Any, Y: Any) -> Any:
            rest = {name: value for name, value in variables.items() if name != "params"}

            def loss_of(params: Any) -> Any:
                with collect_figures() as figures:
                    Y_hat, updated = model.apply(
                        {"params": params, **rest}, *inputs, mutable=[*rest], rngs={"dropout": key}
                    )
                    loss = unwrap_scalar("the loss", model.loss(Y_hat, Y))
                return loss.reshape(()), (updated, figures)

            differentiated = jax.value_and_grad(loss_of, has_aux=True)
            (loss, (updated, figures)), gradients = differentiated(variables["params"])
            updates, state = self.optimizer.update(gradients, state, variables["params"])
            params = optax.apply_updates(variables["params"], updates)
            return {"params": params, **updated}, state, loss, figures

        return jax.jit(step, donate_argnums=(0, 1))

    def train_step(self, batch: tuple[Any, ...]) -> Any:
        *inputs, Y = jax.device_put(batch, self.device)
        key = jax.random.fold_in(self._dropout, self.train_batch_idx + 1)
        self.variables, self._optimizer_state, loss, figures = self._take_step(
            self.variables, self._optimizer_state, key, inputs, Y
        )
        add_figures(figures)
        return loss

    def validate(self, batch: tuple[Any, ...]) -> Any:
        *inputs, Y = jax.device_put(batch, self.device)
        try:
            given, figures = self._measure(self.variables, inputs, Y)
        except flax.errors.ModifyScopeVariableError as error:
            raise ResnetsError(
                "a norm still takes the statistics of the batch while the network is validated: "
                "give training=self.training on to every block, and not self.training to every "
                "BatchNorm"
            ) from error
        add_figures(figures)
        return given

    def rate(self) -> float:
        return float(getattr(self.model, "lr", math.nan))


def _expect_steps(model: Any) -> None:
    """Refuse methods of the book that would not be called, or not as they are.

    Raises:
        InvalidDescription: saying which method to write instead.
    """
    problems = [
        Problem(name, f"is not called in this tab: write {other} instead, and plot there")
        for name, other in (
            ("training_step", "loss(Y_hat, Y)"),
            ("validation_step", "measures(Y_hat, Y)"),
        )
        if hasattr(model, name)
    ]
    if "params" in signature(model.loss).parameters:
        message = "is called as loss(Y_hat, Y) in this tab, not with params and state"
        problems.append(Problem("loss", message))
    if problems:
        raise InvalidDescription(type(model).__name__, problems)


def _compile_validation(model: Any) -> Any:
    """Give (variables, inputs, Y) -> loss and accuracy, and what the model plots."""

    def validate(variables: Any, inputs: Any, Y: Any) -> Any:
        with collect_figures() as figures:
            given = model.measures(model.apply(variables, *inputs), Y)
        return given, figures

    return jax.jit(validate)
