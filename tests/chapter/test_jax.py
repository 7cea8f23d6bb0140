"""The JAX tab's own: modes are copies of a module, and a norm that stays behind is found."""
# ruff: noqa: N803, N806 (X and Y are the book's names)

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from resnets import chapter
from resnets.chapter import jax as d2l
from resnets.errors import InvalidDescription, ResnetsError


class Small(d2l.Classifier):
    lr: float = 0.1
    training: bool = True
    passed_on: bool = True

    def setup(self) -> None:
        mode = self.training if self.passed_on else True
        mean = lambda x: x.mean(axis=(1, 2))  # noqa: E731
        self.net = nn.Sequential([nn.BatchNorm(not mode), mean, nn.Dense(10)])


class Noise(d2l.DataModule):
    def get_dataloader(self, train: bool) -> Any:
        self.batch_size = 8
        rng = np.random.default_rng(0)
        X = rng.normal(3, 2, (16, 4, 4, 3)).astype(np.float32)
        return self.get_tensorloader([X, (np.arange(16) % 10).astype(np.int32)], train)


def test_norms_are_trained_and_then_left_alone() -> None:
    trainer = d2l.Trainer(max_epochs=30, gradient_clip_val=0.5, folder=None)
    trainer.fit(Small(), Noise())
    mean = trainer.variables["batch_stats"]["net"]["layers_0"]["mean"]
    assert np.allclose(mean, 3 * (1 - 0.99**60), atol=0.2)
    assert trainer.epochs[-1].training_loss < trainer.epochs[0].training_loss


def test_a_norm_that_validates_with_the_batch_is_found() -> None:
    trainer = d2l.Trainer(max_epochs=1, folder=None)
    with pytest.raises(ResnetsError, match=r"give training=self\.training on to every block"):
        trainer.fit(Small(passed_on=False), Noise())


def test_blocks_refuse_what_cannot_be_added() -> None:
    with pytest.raises(InvalidDescription, match="the input has 64 channels"):
        d2l.ResNet(((1, 8),)).layer_summary((1, 32, 32, 1))
    with pytest.raises(InvalidDescription, match="groups: 5 does not divide"):
        d2l.ResNeXtBlock(32, 5).init(d2l.get_key(), jnp.zeros((1, 6, 6, 32)))


def test_a_module_has_no_weights_in_it() -> None:
    with pytest.raises(ResnetsError, match="give ResNet18's variables too"):
        chapter.describe(d2l.ResNet18())


def test_keys_are_new_each_time() -> None:
    assert not np.array_equal(d2l.get_key(), d2l.get_key())


def test_a_gpu_that_is_not_here_is_a_sentence() -> None:
    with pytest.raises(ResnetsError, match=f"GPU {d2l.num_gpus()} is not here: JAX finds"):
        d2l.gpu(d2l.num_gpus())


def described(relu: Any, last: Any = None, **dense: Any) -> Any:
    norm = nn.BatchNorm(True, momentum=0.9)
    mean = partial(jnp.mean, axis=(1, 2))
    layers = [nn.Conv(8, (3, 3), padding=1), norm, relu, d2l.Residual(8, training=False), mean]
    net = nn.Sequential([*layers, *([last] if last else []), nn.Dense(10, **dense)])
    variables = jax.jit(net.init)(d2l.get_key(), jnp.zeros((1, 64, 64, 1)))
    return chapter.describe(net, variables)


def test_only_a_plain_relu_is_one() -> None:
    assert described(nn.relu).stem.width == 8
    for other in (nn.relu6, nn.leaky_relu, lambda x: jnp.maximum(x, 0.001)):
        with pytest.raises(InvalidDescription, match=r"\[2\]: .* is no layer of the chapter's"):
            described(other)


def test_what_fits_one_shape_or_lacks_something_is_a_sentence() -> None:
    words = r"\[5\]: <lambda> fails for features of shape \(3, 6, 6, 3\).*: write it for any shape"
    with pytest.raises(InvalidDescription, match=words):
        described(nn.relu, lambda x: x.reshape((-1, 8)))
    with pytest.raises(InvalidDescription, match=r"\[5\]: the dense layer has no bias"):
        described(nn.relu, use_bias=False)
    with pytest.raises(InvalidDescription, match=r"variables: params.* is missing"):
        chapter.describe(d2l.ResNet(((1, 64),)), {"params": {}, "batch_stats": {}})


class Book(Small):
    """Plots where it computes; validation gives nothing."""

    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        loss = super().loss(Y_hat, Y, averaged)
        self.plot("loss", loss, train=self.training)
        return loss

    def measures(self, Y_hat: Any, Y: Any) -> Any:
        self.loss(Y_hat, Y)
        self.plot("acc", self.accuracy(Y_hat, Y), train=False)


class NoMean(Small):
    def loss(self, Y_hat: Any, Y: Any, averaged: bool = False) -> Any:
        return super().loss(Y_hat, Y, averaged)


class Stepping(Small):
    def training_step(self, params: Any, batch: Any, state: Any) -> Any: ...


def test_a_model_plots_and_its_validation_gives_nothing() -> None:
    trainer = d2l.Trainer(max_epochs=2, folder=None)
    trainer.fit(Book(), Noise())
    assert set(trainer.board.lines) == {"train_loss", "val_loss", "val_acc"}
    epochs = trainer.epochs
    drawn = [y for _, y in trainer.board.lines["val_loss"]]
    assert drawn == pytest.approx([e.validation_loss for e in epochs])
    assert len(trainer.board.lines["train_loss"]) == trainer.train_batch_idx == 4
    assert epochs[0].validation_accuracy == pytest.approx(trainer.board.lines["val_acc"][0][1])
    with pytest.raises(InvalidDescription, match=r"the loss: it has the shape \[8\], not one num"):
        trainer.fit(NoMean(), Noise())
    with pytest.raises(InvalidDescription, match=r"training_step: is not called in this tab"):
        trainer.fit(Stepping(), Noise())
