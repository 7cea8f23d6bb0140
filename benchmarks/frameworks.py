"""Images per second of a training step in every framework: ours, and written by hand.

By hand means what a careful user of that framework would write for the same network (the chapter's
ResNet-18): its own layers, a compiled step, its own SGD, images prepared before; TensorFlow also
in mixed bf16. Processes take turns as in ``training_step.py``; each of ours is compared with its
framework's peer, round by round.

    python benchmarks/frameworks.py [--rounds 7] [--only torch jax …]
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from training_step import Prepare, Work, chapter, images_of, measure, ours, show, summary, write

WIDTHS = (64, 128, 256, 512)


def keras_by_hand(work: Work, *, policy: str) -> Callable[[], Any]:
    """A functional Keras model, ``tf.function`` around tape and optimiser."""
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers

    keras.config.set_dtype_policy(policy)

    def convolution(x: Any, width: int, kernel: int, stride: int = 1) -> Any:
        if kernel > 1 and stride > 1:
            x = layers.ZeroPadding2D(kernel // 2)(x)
        padding = "same" if stride == 1 else "valid"
        return layers.Conv2D(width, kernel, stride, padding=padding)(x)

    def norm(x: Any) -> Any:
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)

    def block(x: Any, width: int, stride: int) -> Any:
        y = layers.ReLU()(norm(convolution(x, width, 3, stride)))
        y = norm(convolution(y, width, 3))
        if stride > 1:
            x = convolution(x, width, 1, stride)
        return layers.ReLU()(layers.Add()([y, x]))

    inputs = keras.Input((work.size, work.size, 1))
    x = layers.ReLU()(norm(convolution(inputs, 64, 7, 2)))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for i, width in enumerate(WIDTHS):
        x = block(block(x, width, 1 if i == 0 else 2), width, 1)
    x = layers.Dense(10, dtype="float32")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x)
    optimiser = keras.optimizers.SGD(0.01)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def train(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimiser.apply(gradients, model.trainable_variables)
        return loss

    pixels, labels = images_of(work)
    images = pixels.astype(np.float32) / 255
    return _in_turn(work, lambda own: float(train(images[own], labels[own])))


def flax_by_hand(work: Work) -> Callable[[], Any]:
    """An nnx module, ``nnx.jit`` around gradient and ``nnx.Optimizer``."""
    import jax.numpy as jnp
    import numpy as np
    import optax
    from flax import nnx

    rngs = nnx.Rngs(0)

    def norm(width: int) -> Any:
        return nnx.BatchNorm(width, momentum=0.9, epsilon=1e-5, rngs=rngs)

    class Block(nnx.Module):
        def __init__(self, c_in: int, width: int, stride: int) -> None:
            self.conv1 = nnx.Conv(c_in, width, (3, 3), stride, padding=1, rngs=rngs)
            self.conv2 = nnx.Conv(width, width, (3, 3), padding=1, rngs=rngs)
            self.bn1, self.bn2 = norm(width), norm(width)
            projection = nnx.Conv(c_in, width, (1, 1), stride, padding=0, rngs=rngs)
            self.conv3 = nnx.data(projection if stride > 1 else None)

        def __call__(self, x: Any) -> Any:
            y = nnx.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            return nnx.relu(y + (x if self.conv3 is None else self.conv3(x)))

    class Network(nnx.Module):
        def __init__(self) -> None:
            self.conv1 = nnx.Conv(1, 64, (7, 7), 2, padding=3, rngs=rngs)
            self.bn1 = norm(64)
            before = (64, *WIDTHS)
            blocks = [
                Block(*sizes)
                for i, width in enumerate(WIDTHS)
                for sizes in ((before[i], width, 1 if i == 0 else 2), (width, width, 1))
            ]
            self.blocks = nnx.List(blocks)
            self.fc = nnx.Linear(512, 10, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            x = nnx.relu(self.bn1(self.conv1(x)))
            x = nnx.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
            for block in self.blocks:
                x = block(x)
            return self.fc(x.mean((1, 2)))

    model = Network()
    optimiser = nnx.Optimizer(model, optax.sgd(0.01), wrt=nnx.Param)

    @nnx.jit
    def train(model: Any, optimiser: Any, x: Any, y: Any) -> Any:
        def loss_of(model: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

        loss, gradients = nnx.value_and_grad(loss_of)(model)
        optimiser.update(model, gradients)
        return loss

    pixels, labels = images_of(work)
    images, targets = pixels.astype(np.float32) / 255, labels.astype(np.int32)

    def step(own: slice) -> float:
        return float(train(model, optimiser, jnp.asarray(images[own]), jnp.asarray(targets[own])))

    return _in_turn(work, step)


def gluon_by_hand(work: Work) -> Callable[[], Any]:
    """A hybridized HybridBlock and ``gluon.Trainer``."""
    import numpy as np

    from resnets.backends.mxnet.importing import mx

    nn = mx.gluon.nn

    class Block(nn.HybridBlock):
        def __init__(self, width: int, stride: int) -> None:
            super().__init__()
            self.branch = nn.HybridSequential()
            self.branch.add(
                nn.Conv2D(width, 3, stride, 1),
                nn.BatchNorm(),
                nn.Activation("relu"),
                nn.Conv2D(width, 3, 1, 1),
                nn.BatchNorm(),
            )
            self.shortcut = nn.Conv2D(width, 1, stride) if stride > 1 else None

        def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
            y = self.branch(x)
            return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    net = nn.HybridSequential()
    net.add(nn.Conv2D(64, 7, 2, 3), nn.BatchNorm(), nn.Activation("relu"), nn.MaxPool2D(3, 2, 1))
    for i, width in enumerate(WIDTHS):
        net.add(Block(width, 1 if i == 0 else 2), Block(width, 1))
    net.add(nn.GlobalAvgPool2D(), nn.Dense(10))
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True, static_shape=True)
    trainer = mx.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01})
    loss_of = mx.gluon.loss.SoftmaxCrossEntropyLoss()
    pixels, labels = images_of(work)
    images = pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255

    def step(own: slice) -> float:
        x, y = mx.nd.array(images[own]), mx.nd.array(labels[own])
        with mx.autograd.record():
            loss = loss_of(net(x), y)
        loss.backward()
        trainer.step(work.batch)
        return float(loss.mean().asscalar())

    return _in_turn(work, step)


def _in_turn(work: Work, step: Callable[[slice], Any]) -> Callable[[], Any]:
    state = {"step": 0}

    def taken() -> Any:
        first = state["step"] % 8 * work.batch
        state["step"] += 1
        return step(slice(first, first + work.batch))

    return taken


CONTENDERS: dict[str, dict[str, Prepare]] = {
    "torch": {
        "torch, by hand": chapter,
        "torch, resnets": partial(ours, precision="auto"),
    },
    "jax": {
        "jax, by hand": flax_by_hand,
        "jax, resnets": partial(ours, precision="auto", framework="jax"),
    },
    "tensorflow": {
        "tf, by hand": partial(keras_by_hand, policy="float32"),
        "tf, resnets fp32": partial(ours, precision="fp32", framework="tensorflow"),
        "tf bf16, by hand": partial(keras_by_hand, policy="mixed_bfloat16"),
        "tf, resnets auto": partial(ours, precision="auto", framework="tensorflow"),
    },
    "mxnet": {
        "mxnet, by hand": gluon_by_hand,
        "mxnet, resnets": partial(ours, precision="auto", framework="mxnet"),
    },
}


def main() -> None:
    """Measure, print the table, write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    given = parser.parse_args()
    chosen = [CONTENDERS[name] for name in given.only]
    contenders = {name: prepare for own in chosen for name, prepare in own.items()}
    names = list(contenders)
    # Ours stand behind their peers.
    peers = {name: names[i - 1] if "resnets" in name else name for i, name in enumerate(names)}
    work = Work("chapter_resnet18", given.size, given.batch, steps=3)
    figures = summary(measure(work, given.rounds, contenders), peers)
    show(work, figures)
    write("frameworks", {"work": vars(work), "figures": figures})


if __name__ == "__main__":
    main()
