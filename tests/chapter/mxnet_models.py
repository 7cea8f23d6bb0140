"""python tests/chapter/mxnet_models.py: what a reader's MXNet models meet, as JSON.

In a process of its own: the tab sets NumPy-like arrays, which the backend's tests do not want.
"""
# ruff: noqa: N803, N806 (X and Y are the book's names)

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from resnets import chapter
from resnets.chapter import mxnet as d2l
from resnets.errors import ResnetsError

from mxnet import gluon, np as mx_np  # isort: skip  (the helper comes first)
from mxnet.gluon import nn  # isort: skip


class Noise(d2l.DataModule):
    def get_dataloader(self, train: bool) -> Any:
        self.batch_size = 8
        X = np.random.default_rng(0).normal(3, 2, (16, 1, 8, 8)).astype(np.float32)
        return self.get_tensorloader([X, (np.arange(16) % 10).astype(np.int32)], train)


def small(**dense: Any) -> Any:
    net = nn.Sequential()
    net.add(nn.Conv2D(8, 3, padding=1), nn.BatchNorm(), nn.Activation("relu"))
    net.add(d2l.Residual(8), nn.GlobalAvgPool2D(), nn.Dense(10, **dense))
    return net


def make_batch(dtype: str = "float32", **dense: Any) -> Any:
    net = small(**dense)
    net.initialize()
    net(mx_np.zeros((1, 1, 32, 32)))
    net.cast(dtype)
    return net


class Book(d2l.Classifier):
    """Gluon's loss [n], and steps as the book writes them."""

    def __init__(self, forgotten: bool = False) -> None:
        super().__init__(plot_train_per_epoch=1, plot_valid_per_epoch=1)
        self.lr, self.net = 0.1, small()
        if not forgotten:
            self.net.initialize()

    def loss(self, Y_hat: Any, Y: Any, averaged: bool = False) -> Any:
        return gluon.loss.SoftmaxCrossEntropyLoss()(Y_hat, Y)

    def training_step(self, batch: Any) -> Any:
        loss = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", loss.mean(), train=True)
        return loss

    def validation_step(self, batch: Any) -> Any:
        self.plot("loss", self.loss(self(*batch[:-1]), batch[-1]).mean(), train=False)


class Square(Book):
    def training_step(self, batch: Any) -> Any:
        return self(*batch[:-1])


def fit_briefly(model: Any) -> Any:
    trainer = d2l.Trainer(max_epochs=2, folder=None)
    trainer.fit(model, Noise())
    losses = [[e.training_loss, e.validation_loss] for e in trainer.epochs]
    return [losses, {label: len(points) for label, points in trainer.board.lines.items()}]


def result_or_error(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ResnetsError as error:
        return str(error)


def width(net: Any) -> int:
    return chapter.describe(net).stem.width


if __name__ == "__main__":
    asked: dict[str, Callable[[], Any]] = {
        "float64": lambda: width(make_batch("float64")),
        "float16": lambda: width(make_batch("float16")),
        "empty": lambda: width(nn.Sequential()),
        "no bias": lambda: width(make_batch(use_bias=False)),
        "book": lambda: fit_briefly(Book()),
        "square": lambda: fit_briefly(Square()),
        "forgotten": lambda: fit_briefly(Book(forgotten=True)),
        "summary": lambda: Book(forgotten=True).layer_summary((1, 1, 8, 8)),
    }
    print(json.dumps({name: result_or_error(call) for name, call in asked.items()}))
