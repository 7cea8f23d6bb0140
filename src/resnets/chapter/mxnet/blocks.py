"""The chapter's blocks and network, with MXNet: images [n, channels, height, width]."""
# ruff: noqa: N803, N806 (X and Y are the book's names)

from collections.abc import Sequence
from typing import Any

from resnets.backends.mxnet.importing import mx
from resnets.chapter.arguments import block_widths, check_same_channels, check_whole, parse_stages
from resnets.chapter.mxnet.learning import Classifier

nn, npx = mx.gluon.nn, mx.npx


class Residual(nn.Block):
    """The chapter's residual block: 3×3, 3×3, and the input added before the last ReLU.

    Its 1×1 convolution on the shortcut has no norm after it, and its convolutions have biases.
    He et al. 2015 (section 3.4) have a norm after every convolution: ``norm_shortcut=True``.

    Images [n, c, h, w] become [n, num_channels, ceil(h / strides), ceil(w / strides)].

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        num_channels = check_whole("Residual", "num_channels", value=num_channels)
        self.conv1 = nn.Conv2D(num_channels, 3, strides=strides, padding=1)
        self.conv2 = nn.Conv2D(num_channels, 3, padding=1)
        self.conv3 = nn.Conv2D(num_channels, 1, strides=strides) if use_1x1conv else None
        self.bn1, self.bn2 = nn.BatchNorm(), nn.BatchNorm()
        self.bn3 = nn.BatchNorm() if use_1x1conv and norm_shortcut else None

    def forward(self, X: Any) -> Any:
        if self.conv3 is None:
            check_same_channels(
                "Residual",
                X.shape[1],
                width=self.conv1._channels,
                strides=self.conv1._kwargs["stride"],
            )
        Y = npx.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        if self.conv3 is not None:
            X = self.conv3(X)
        if self.bn3 is not None:
            X = self.bn3(X)
        return npx.relu(Y + X)


class ResNeXtBlock(nn.Block):
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        inner, number = block_widths(num_channels, groups, bot_mul=bot_mul, cardinality=cardinality)
        self.conv1 = nn.Conv2D(inner, 1)
        self.conv2 = nn.Conv2D(inner, 3, strides=strides, padding=1, groups=number)
        self.conv3 = nn.Conv2D(num_channels, 1)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm(), nn.BatchNorm(), nn.BatchNorm()
        self.conv4 = nn.Conv2D(num_channels, 1, strides=strides) if use_1x1conv else None
        self.bn4 = nn.BatchNorm() if use_1x1conv else None

    def forward(self, X: Any) -> Any:
        if self.conv4 is None:
            check_same_channels(
                "ResNeXtBlock",
                X.shape[1],
                width=self.conv3._channels,
                strides=self.conv2._kwargs["stride"],
            )
        Y = npx.relu(self.bn1(self.conv1(X)))
        Y = npx.relu(self.bn2(self.conv2(Y)))
        Y = self.bn3(self.conv3(Y))
        if self.conv4 is not None and self.bn4 is not None:
            X = self.bn4(self.conv4(X))
        return npx.relu(Y + X)


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
        self.net = nn.Sequential()
        self.net.add(self.b1())
        for i, (depth, width) in enumerate(parse_stages(arch)):
            self.net.add(self.block(depth, width, first_block=i == 0))
        self.net.add(nn.GlobalAvgPool2D(), nn.Dense(num_classes))
        self.net.initialize(mx.init.Xavier())

    def b1(self) -> Any:
        """The stem."""
        stem = nn.Sequential()
        stem.add(
            nn.Conv2D(64, 7, strides=2, padding=3),
            nn.BatchNorm(),
            nn.Activation("relu"),
            nn.MaxPool2D(3, strides=2, padding=1),
        )
        return stem

    def block(self, num_residuals: int, num_channels: int, first_block: bool = False) -> Any:
        """A stage; the first keeps height and width, which the stem's pool has halved already."""
        stage = nn.Sequential()
        for i in range(num_residuals):
            halves = i == 0 and not first_block
            stage.add(Residual(num_channels, use_1x1conv=halves, strides=2 if halves else 1))
        return stage


class ResNet18(ResNet):
    """The chapter's ResNet-18: 11,178,378 parameters for grey images and ten classes."""

    def __init__(self, lr: float = 0.1, num_classes: int = 10) -> None:
        super().__init__(((2, 64), (2, 128), (2, 256), (2, 512)), lr, num_classes)
