"""The chapter's blocks and network, with JAX and Flax: images [n, height, width, channels].

They are the functions of the other tabs. The chapter's own pad ``same``, which at stride 2 puts
the odd pixel of padding behind: with the same weights they give other outputs.
"""
# ruff: noqa: N803, N806 (X and Y are the book's names)

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn

from resnets.chapter.arguments import block_widths, check_same_channels, check_whole, parse_stages
from resnets.chapter.jax.learning import Classifier

Strides = int | tuple[int, int]


def conv(width: int, kernel: int, strides: Strides = 1, groups: int = 1) -> nn.Conv:
    """A convolution padded by the same number of pixels on all sides."""
    return nn.Conv(
        width,
        (kernel, kernel),
        strides=(strides, strides) if isinstance(strides, int) else tuple(strides),
        padding=kernel // 2,
        feature_group_count=groups,
    )


def norm(training: bool) -> nn.BatchNorm:
    """A batch norm with the other tabs' numbers; Flax's own decay is 0.99."""
    return nn.BatchNorm(not training, momentum=0.9, use_fast_variance=False)


class Residual(nn.Module):
    """The chapter's residual block: 3×3, 3×3, and the input added before the last ReLU.

    Its 1×1 convolution on the shortcut has no norm after it, and its convolutions have biases.
    He et al. 2015 (section 3.4) have a norm after every convolution: ``norm_shortcut=True``.

    Images [n, h, w, c] become [n, ceil(h / strides), ceil(w / strides), num_channels].

    Raises:
        InvalidDescription: where an identity shortcut cannot be added: other channels, a stride.
    """

    num_channels: int
    use_1x1conv: bool = False
    strides: Strides = (1, 1)
    training: bool = True
    norm_shortcut: bool = False

    def setup(self) -> None:
        width = check_whole("Residual", "num_channels", value=self.num_channels)
        self.conv1, self.conv2 = conv(width, 3, self.strides), conv(width, 3)
        self.conv3 = conv(width, 1, self.strides) if self.use_1x1conv else None
        self.bn1, self.bn2 = norm(self.training), norm(self.training)
        self.bn3 = norm(self.training) if self.use_1x1conv and self.norm_shortcut else None

    def __call__(self, X: Any) -> Any:
        if self.conv3 is None:
            check_same_channels(
                "Residual", X.shape[-1], width=self.num_channels, strides=self.strides
            )
        Y = nn.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        if self.conv3 is not None:
            X = self.conv3(X)
        if self.bn3 is not None:
            X = self.bn3(X)
        return nn.relu(Y + X)


class ResNeXtBlock(nn.Module):
    """The chapter's ResNeXt block: 1×1, grouped 3×3, 1×1, norms on both ways.

    The chapter gives its convolution ``bot_channels // groups`` groups, so that its ``groups`` is
    the number of channels in a group: ``ResNeXtBlock(32, 16, 1)`` has 2 groups. Kept for its
    cells; ``ResNeXtBlock(32, cardinality=16)`` has 16 groups, as Xie et al. 2016 (Figure 3c)
    count them.

    Raises:
        InvalidDescription: when it is first called, where groups do not divide the inner
            channels, or an identity shortcut cannot be added.
    """

    num_channels: int
    groups: int | None = None
    bot_mul: float = 1
    use_1x1conv: bool = False
    strides: Strides = (1, 1)
    training: bool = True
    cardinality: int | None = None

    def setup(self) -> None:
        inner, number = block_widths(
            self.num_channels, self.groups, bot_mul=self.bot_mul, cardinality=self.cardinality
        )
        self.conv1 = conv(inner, 1)
        self.conv2 = conv(inner, 3, self.strides, number)
        self.conv3 = conv(self.num_channels, 1)
        self.bn1, self.bn2, self.bn3 = (norm(self.training) for _ in range(3))
        self.conv4 = conv(self.num_channels, 1, self.strides) if self.use_1x1conv else None
        self.bn4 = norm(self.training) if self.use_1x1conv else None

    def __call__(self, X: Any) -> Any:
        if self.conv4 is None:
            check_same_channels(
                "ResNeXtBlock", X.shape[-1], width=self.num_channels, strides=self.strides
            )
        Y = nn.relu(self.bn1(self.conv1(X)))
        Y = nn.relu(self.bn2(self.conv2(Y)))
        Y = self.bn3(self.conv3(Y))
        if self.conv4 is not None and self.bn4 is not None:
            X = self.bn4(self.conv4(X))
        return nn.relu(Y + X)


class ResNet(Classifier):
    """The chapter's network: ``arch`` lists (blocks, channels) of each stage.

    A 7×7 stem of stride 2 with a max-pool, stages of ``Residual``, of which all but the first
    halve height and width, the mean over the maps, a dense layer.
    """

    arch: tuple[tuple[int, int], ...]
    lr: float = 0.1
    num_classes: int = 10
    training: bool = True

    def setup(self) -> None:
        self.net = self.create_net()

    def create_net(self) -> nn.Sequential:
        """All parts in order."""
        parts = [
            self.block(depth, width, first_block=i == 0)
            for i, (depth, width) in enumerate(parse_stages(self.arch))
        ]
        last = nn.Sequential([partial(jnp.mean, axis=(1, 2)), nn.Dense(self.num_classes)])
        return nn.Sequential([self.b1(), *parts, last])

    def b1(self) -> nn.Sequential:
        """The stem."""
        pool = partial(nn.max_pool, window_shape=(3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        return nn.Sequential([conv(64, 7, 2), norm(self.training), nn.relu, pool])

    def block(
        self, num_residuals: int, num_channels: int, first_block: bool = False
    ) -> nn.Sequential:
        """A stage; the first keeps height and width, which the stem's pool has halved already."""
        blocks = [Residual(num_channels, training=self.training) for _ in range(num_residuals)]
        if not first_block:
            blocks[0] = Residual(num_channels, use_1x1conv=True, strides=2, training=self.training)
        return nn.Sequential(blocks)


class ResNet18(ResNet):
    """The chapter's ResNet-18: 11,178,378 parameters for grey images and ten classes."""

    arch: tuple[tuple[int, int], ...] = ((2, 64), (2, 128), (2, 256), (2, 512))
