"""ResNet and ResNeXt as plain ``torch.nn.Module``: images [n, channels, height, width].

Names and shapes of the parameters are torchvision's, so ``state_dict()`` is the canonical
weights, plus torch's own ``num_batches_tracked`` counters.
"""

from collections import OrderedDict
from collections.abc import Iterator

from torch import Tensor, nn

from resnets.architecture import Architecture, Stage
from resnets.backends.torch.parts import SqueezeExcitation, convolution, norm, shortcut
from resnets.tracing import blocks


class ResNet(nn.Sequential):
    """Stem, stages of residual blocks, global average pool, dense layer.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(OrderedDict(_children(architecture)))
        self.architecture = architecture

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Give ``stem``, ``stage1`` and so on [n, c, h, w], ``pooled`` [n, c], ``logits``."""
        found: dict[str, Tensor] = {}
        for name, module in self.named_children():
            x = module(x)
            if name in _FEATURES or name.startswith("layer"):
                found[_FEATURES.get(name, name.replace("layer", "stage"))] = x
        return found

    def __getitem__(self, index: int | slice) -> nn.Module:
        """Give one module, or a slice as a plain ``nn.Sequential`` under the same names."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)


_FEATURES = {"maxpool": "stem", "flatten": "pooled", "fc": "logits"}


def _children(a: Architecture) -> Iterator[tuple[str, nn.Module]]:
    yield "conv1", _stem(a)
    yield "bn1", norm(a, a.stem.width)
    yield "relu", nn.ReLU(inplace=True)
    yield "maxpool", nn.MaxPool2d(3, stride=2, padding=1) if a.stem.pool else nn.Identity()
    channels = a.stem.width
    for i, stage in enumerate(a.stages):
        kind = BasicBlock if stage.block.kind == "basic" else Bottleneck
        made = (kind(a, stage, c_in, stride) for c_in, stride, _ in blocks(stage, channels))
        yield f"layer{i + 1}", nn.Sequential(*made)
        channels = stage.width
    yield "avgpool", nn.AdaptiveAvgPool2d(1)
    yield "flatten", nn.Flatten()
    yield "fc", nn.Linear(channels, a.classes)


def _stem(a: Architecture) -> nn.Module:
    """One convolution, or ResNet-C's three (T. He et al. 2018, Figure 2b)."""
    stem = a.stem
    if not stem.deep:
        return convolution(a, a.channels, stem.width, stem.kernel, stem.stride)
    half = stem.width // 2
    return nn.Sequential(
        convolution(a, a.channels, half, 3, stem.stride),
        norm(a, half),
        nn.ReLU(inplace=True),
        convolution(a, half, half, 3),
        norm(a, half),
        nn.ReLU(inplace=True),
        convolution(a, half, stem.width, 3),
    )


def _excitation(stage: Stage) -> nn.Module | None:
    squeeze = stage.block.squeeze
    return None if squeeze is None else SqueezeExcitation(stage.width, squeeze)


class BasicBlock(nn.Module):
    """3×3, 3×3, and the shortcut (He et al. 2015, Figure 5 left)."""

    def __init__(self, a: Architecture, stage: Stage, c_in: int, stride: int) -> None:
        super().__init__()
        width, inner = stage.width, stage.block.inner_width(stage.width)
        self.conv1 = convolution(a, c_in, inner, 3, stride)
        self.bn1 = norm(a, inner)
        self.conv2 = convolution(a, inner, width, 3)
        self.bn2 = norm(a, width)
        self.se = _excitation(stage)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(a, stage, c_in, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.se is not None:
            y = self.se(y)
        if self.downsample is not None:
            x = self.downsample(x)
        y += x
        return self.relu(y)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1, and the shortcut (He et al. 2015, Figure 5 right).

    With groups it is ResNeXt's block (Xie et al. 2016, Figure 3c).
    """

    def __init__(self, a: Architecture, stage: Stage, c_in: int, stride: int) -> None:
        super().__init__()
        block, width = stage.block, stage.width
        inner = block.inner_width(width)
        first, second = (stride, 1) if block.stride_in == "1x1" else (1, stride)
        self.conv1 = convolution(a, c_in, inner, 1, first)
        self.bn1 = norm(a, inner)
        self.conv2 = convolution(a, inner, inner, 3, second, block.groups)
        self.bn2 = norm(a, inner)
        self.conv3 = convolution(a, inner, width, 1)
        self.bn3 = norm(a, width)
        self.se = _excitation(stage)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(a, stage, c_in, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.se is not None:
            y = self.se(y)
        if self.downsample is not None:
            x = self.downsample(x)
        y += x
        return self.relu(y)
