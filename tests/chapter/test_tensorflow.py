"""The TensorFlow tab's own: the mode reaches every norm, whatever arguments ``call`` has."""
# ruff: noqa: N803, N806 (X and Y are the book's names)

from typing import Any

import numpy as np
import pytest

from resnets import chapter
from resnets.chapter import tensorflow as d2l
from resnets.errors import InvalidDescription, ResnetsError

import tensorflow as tf  # isort: skip  (the helper keeps its greetings quiet)


class Deaf(d2l.Classifier):
    """A model whose ``call``, like the chapter's blocks', knows no mode."""

    def __init__(self) -> None:
        super().__init__()
        self.lr = 0.1
        self.norm = tf.keras.layers.BatchNormalization()
        self.dense = tf.keras.layers.Dense(10)

    def call(self, X: Any) -> Any:
        return self.dense(tf.reduce_mean(self.norm(X), (1, 2)))


class Noise(d2l.DataModule):
    def get_dataloader(self, train: bool) -> Any:
        self.batch_size = 8
        rng = np.random.default_rng(0)
        X = rng.normal(3, 2, (16, 4, 4, 3)).astype(np.float32)
        return self.get_tensorloader([X, np.arange(16) % 10], train)


def test_training_and_validation_reach_norms_that_no_argument_reaches() -> None:
    model = Deaf()
    d2l.Trainer(max_epochs=30, folder=None).fit(model, Noise())
    mean = model.norm.moving_mean.numpy()
    assert np.allclose(mean, 3 * (1 - 0.99**60), atol=0.2)
    (X, Y), *_ = Noise().get_dataloader(False)
    trainer = d2l.Trainer(max_epochs=1, folder=None)
    trainer.model = model
    trainer.prepare_model(model, (X, Y))
    loss, _ = trainer.validate((X, Y))
    scale = model.norm.gamma / tf.sqrt(model.norm.moving_variance + model.norm.epsilon)
    normed = (X - model.norm.moving_mean) * scale + model.norm.beta
    expected = model.loss(model.dense(tf.reduce_mean(normed, (1, 2))), Y)
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)
    assert np.array_equal(model.norm.moving_mean.numpy(), mean)


def test_blocks_refuse_what_cannot_be_added_also_inside_others() -> None:
    model = d2l.ResNet(((1, 8),))
    with pytest.raises(InvalidDescription, match="the input has 64 channels"):
        model.layer_summary((1, 32, 32, 1))


def test_sequential_takes_a_layer_or_a_list() -> None:
    dense = tf.keras.layers.Dense(3)
    assert tf.keras.Sequential(dense).layers == tf.keras.Sequential([dense]).layers == [dense]
    whole = tf.keras.Sequential([tf.keras.layers.Input((2,)), dense], name="whole")
    again = tf.keras.Sequential.from_config(whole.get_config())
    assert (again.name, again(np.ones((1, 2))).shape) == ("whole", (1, 3))


def test_a_network_of_one_size_is_described_and_a_loaded_one_takes_any() -> None:
    model = d2l.ResNet(((1, 64), (1, 8)))
    model.layer_summary((1, 46, 46, 1))  # Keras's sequences refuse every other size from here on
    weights = chapter.weights(model)
    fresh = d2l.ResNet(((1, 64), (1, 8)))
    assert chapter.load(fresh, weights) is fresh
    assert np.allclose(fresh(np.ones((1, 46, 46, 1))), model(np.ones((1, 46, 46, 1))), rtol=1e-5)
    assert fresh(np.ones((2, 28, 32, 1)), training=True).shape == (2, 10)


def test_a_gpu_that_is_not_here_is_a_sentence() -> None:
    with pytest.raises(ResnetsError, match=f"GPU {d2l.num_gpus()} is not here: TensorFlow finds"):
        d2l.gpu(d2l.num_gpus())


def network(relu: Any, **dense: Any) -> Any:
    layers = tf.keras.layers
    stem = [layers.Conv2D(8, 3, padding="same"), layers.BatchNormalization(), relu]
    last = [layers.GlobalAvgPool2D(), layers.Dense(10, **dense)]
    net = tf.keras.Sequential([*stem, d2l.Residual(8), *last])
    for norm in net._flatten_layers():
        if isinstance(norm, layers.BatchNormalization):
            norm.epsilon, norm.momentum = 1e-5, 0.9
    net(np.ones((1, 32, 32, 1), np.float32))
    return net


def test_only_a_plain_relu_is_one() -> None:
    layers = tf.keras.layers
    assert chapter.describe(network(layers.ReLU())).stem.width == 8
    assert chapter.describe(network(layers.Activation(tf.nn.relu))).stem.width == 8
    others: list[dict[str, float]] = [{"max_value": 6}, {"threshold": 0.1}, {"negative_slope": 0.1}]
    for given in others:
        with pytest.raises(InvalidDescription, match=r"\[2\]: the ReLU has a max_value, a neg"):
            chapter.describe(network(layers.ReLU(**given)))


def test_a_dense_layer_without_bias_and_an_empty_sequence_are_a_sentence() -> None:
    for given in ({"use_bias": False}, {"activation": "softmax"}):
        with pytest.raises(InvalidDescription, match=r"\[5\]: the dense layer has no bias, or an"):
            chapter.describe(network(tf.keras.layers.ReLU(), **given))
    with pytest.raises(InvalidDescription, match="the end: a convolution has to stand here"):
        chapter.describe(tf.keras.Sequential([]))


class Book(d2l.Classifier):
    """Steps as the book writes them: they plot, and validation gives nothing."""

    def __init__(self) -> None:
        super().__init__(plot_train_per_epoch=1, plot_valid_per_epoch=1)
        self.save_hyperparameters()
        self.lr = 0.1
        self.net = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(10)])

    def training_step(self, batch: Any) -> Any:
        loss = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", loss, train=True)
        return loss

    def validation_step(self, batch: Any) -> Any:
        Y_hat = self(*batch[:-1])
        self.plot("loss", self.loss(Y_hat, batch[-1]), train=False)
        self.plot("acc", self.accuracy(Y_hat, batch[-1]), train=False)


class LossAlone(Book):
    def validation_step(self, batch: Any) -> Any:
        return self.loss(self(*batch[:-1]), batch[-1])


class NoMean(Book):
    def training_step(self, batch: Any) -> Any:
        return self.loss(self(*batch[:-1]), batch[-1], averaged=False)


def test_models_written_the_books_way_are_trained() -> None:
    trainer = d2l.Trainer(max_epochs=2, folder=None)
    trainer.fit(Book(), Noise())
    assert set(trainer.board.lines) == {"train_loss", "val_loss", "val_acc"}
    losses = [loss for _, loss in trainer.board.lines["train_loss"]]
    assert losses == pytest.approx([e.training_loss for e in trainer.epochs])
    found = [e.validation_accuracy for e in trainer.epochs]
    assert found == pytest.approx([y for _, y in trainer.board.lines["val_acc"]])
    assert trainer.optim is trainer.optimizer
    trainer.fit(LossAlone(), Noise())
    assert trainer.epochs[-1].validation_loss is not None
    assert trainer.epochs[-1].validation_accuracy is None
    with pytest.raises(InvalidDescription, match=r"the loss: it has the shape \[.*\], not one num"):
        trainer.fit(NoMean(), Noise())
