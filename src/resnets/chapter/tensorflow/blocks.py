"""The chapter's blocks and network, with TensorFlow: images [n, height, width, channels].

They are the functions of the other tabs. The chapter's own pad ``same``, which at stride 2 puts
Keras's odd pixel of padding behind: with the same weights they give other outputs.
"""
# ruff: noqa: N803, N806 (X and Y are the book's names)

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from resnets.backends.tensorflow.layers import Convolution, MaxPool
from resnets.chapter.arguments import block_widths, check_same_channels, check_whole, parse_stages
from resnets.chapter.tensorflow.learning import Classifier


def conv(width: int, kernel: int, strides: int = 1, groups: int = 1) -> Any:
    """A convolution padded by the same number of pixels on all sides."""
    # The layer pads on both sides alike; what it is called for Keras gives the size put out.
    return Convolution(width, kernel, strides=strides, padding="same", groups=groups)


def norm() -> Any:
    """A batch norm with the other tabs' numbers; Keras's own are 0.001 and 0.99."""
    return tf.keras.layers.BatchNormalization(epsilon=1e-5, momentum=0.9)


def build_in_turn(layers: Iterable[Any], shape: Any) -> None:
    """Give layers that follow each other their shapes; None stands for no layer.

    Keras calls ``build`` before ``call``, and leaves errors there as they are.
    """
    for layer in layers:
        if layer is not None:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)


class Residual(tf.keras.Model):
    """The chapter's residual block: 3×3, 3×3, and the input added before the last ReLU.

    Its 1×1 convolution on the shortcut has no norm after it, and its convolutions have biases.
    He et al. 2015 (section 3.4) have a norm after every convolution: ``norm_shortcut=True``.

    Images [n, h, w, c] become [n, ceil(h / strides), ceil(w / strides), num_channels].

    Raises:
        InvalidDescription: where an identity shortcut cannot be added: other channels, a stride.
    """

    def __init__(
        self,
        num_channels: int,
        use_1x1conv: bool = False,
        strides: int = 1,
        *,
        norm_shortcut: bool = False,
    ) -> None:
        super().__init__()
        num_channels = check_whole("Residual", "num_channels", value=num_channels)
        self.conv1 = conv(num_channels, 3, strides=strides)
        self.conv2 = conv(num_channels, 3)
        self.conv3 = conv(num_channels, 1, strides=strides) if use_1x1conv else None
        self.bn1, self.bn2 = norm(), norm()
        self.bn3 = norm() if use_1x1conv and norm_shortcut else None

    def build(self, input_shape: Any) -> None:
        if self.conv3 is None:
            check_same_channels(
                "Residual", input_shape[-1], width=self.conv1.filters, strides=self.conv1.strides
            )
        build_in_turn([self.conv1, self.bn1, self.conv2, self.bn2], input_shape)
        build_in_turn([self.conv3, self.bn3], input_shape)

    def call(self, X: Any) -> Any:
        Y = tf.nn.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        if self.conv3 is not None:
            X = self.conv3(X)
        if self.bn3 is not None:
            X = self.bn3(X)
        return tf.nn.relu(Y + X)


class ResNeXtBlock(tf.keras.Model):
    """The chapter's ResNeXt block: 1×1, grouped 3×3, 1×1, norms on both ways.

    The chapter gives its convolution ``bot_channels // groups`` groups, so that its ``groups`` is
    the number of channels in a group: ``ResNeXtBlock(32, 16, 1)`` has 2 groups. Kept for its
    cells; ``ResNeXtBlock(32, cardinality=16)`` has 16 groups, as Xie et al. 2016 (Figure 3c)
    count them.

    Raises:
        InvalidDescription: where groups do not divide the inner channels, or an identity shortcut
            cannot be added.
    """

    def __init__(
        self,
        num_channels: int,
        groups: int | None = None,
        bot_mul: float = 1,
        use_1x1conv: bool = False,
        strides: int = 1,
        *,
        cardinality: int | None = None,
    ) -> None:
        super().__init__()
        inner, number = block_widths(num_channels, groups, bot_mul=bot_mul, cardinality=cardinality)
        self.conv1 = conv(inner, 1)
        self.conv2 = conv(inner, 3, strides=strides, groups=number)
        self.conv3 = conv(num_channels, 1)
        self.bn1, self.bn2, self.bn3 = norm(), norm(), norm()
        self.conv4 = conv(num_channels, 1, strides=strides) if use_1x1conv else None
        self.bn4 = norm() if use_1x1conv else None

    def build(self, input_shape: Any) -> None:
        if self.conv4 is None:
            check_same_channels(
                "ResNeXtBlock",
                input_shape[-1],
                width=self.conv3.filters,
                strides=self.conv2.strides,
            )
        branch = [self.conv1, self.bn1, self.conv2, self.bn2, self.conv3, self.bn3]
        build_in_turn(branch, input_shape)
        build_in_turn([self.conv4, self.bn4], input_shape)

    def call(self, X: Any) -> Any:
        Y = tf.nn.relu(self.bn1(self.conv1(X)))
        Y = tf.nn.relu(self.bn2(self.conv2(Y)))
        Y = self.bn3(self.conv3(Y))
        if self.conv4 is not None and self.bn4 is not None:
            X = self.bn4(self.conv4(X))
        return tf.nn.relu(Y + X)


class ResNet(Classifier):
    """The chapter's network: ``arch`` lists (blocks, channels) of each stage.

    A 7×7 stem of stride 2 with a max-pool, stages of ``Residual``, of which all but the first
    halve height and width, the mean over the maps, a dense layer.
    """

    def __init__(
        self, arch: Sequence[tuple[int, int]], lr: float = 0.1, num_classes: int = 10
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = tf.keras.Sequential([self.b1()])
        for i, (depth, width) in enumerate(parse_stages(arch)):
            self.net.add(self.block(depth, width, first_block=i == 0))
        last = [tf.keras.layers.GlobalAvgPool2D(), tf.keras.layers.Dense(num_classes)]
        self.net.add(tf.keras.Sequential(last))

    def b1(self) -> Any:
        """The stem."""
        relu = tf.keras.layers.Activation("relu")
        return tf.keras.Sequential([conv(64, 7, strides=2), norm(), relu, MaxPool()])

    def block(self, num_residuals: int, num_channels: int, first_block: bool = False) -> Any:
        """A stage; the first keeps height and width, which the stem's pool has halved already."""
        blocks = [Residual(num_channels) for _ in range(num_residuals)]
        if not first_block:
            blocks[0] = Residual(num_channels, use_1x1conv=True, strides=2)
        return tf.keras.Sequential(blocks)


class ResNet18(ResNet):
    """The chapter's ResNet-18: 11,178,378 parameters for grey images and ten classes."""

    def __init__(self, lr: float = 0.1, num_classes: int = 10) -> None:
        super().__init__(((2, 64), (2, 128), (2, 256), (2, 512)), lr, num_classes)
