"""Pre-activation networks as plain ``torch.nn.Module``: images [n, channels, height, width].

He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027). Names and shapes
of the parameters are those of timm's ``resnetv2``.
"""

from collections import OrderedDict

from torch import Tensor, nn

from resnets.architecture import Architecture, Stage
from resnets.backends.torch.parts import convolution, norm, shortcut
from resnets.tracing import blocks


class ResNetV2(nn.Sequential):
    """Stem, stages of pre-activation blocks, last norm and ReLU, global average pool, 1×1 head.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too.
    """

    def __init__(self, a: Architecture) -> None:
        stem = OrderedDict[str, nn.Module](
            conv=convolution(a, a.channels, a.stem.width, a.stem.kernel, a.stem.stride)
        )
        if a.stem.pool:
            stem["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
        channels = [a.stem.width, *(stage.width for stage in a.stages)]
        stages = (_stage(a, stage, c) for stage, c in zip(a.stages, channels, strict=False))
        head = OrderedDict[str, nn.Module](
            global_pool=nn.AdaptiveAvgPool2d(1),
            fc=nn.Conv2d(channels[-1], a.classes, 1),
            flatten=nn.Flatten(),
        )
        parts = OrderedDict[str, nn.Module](
            stem=nn.Sequential(stem),
            stages=nn.Sequential(*stages),
            norm=norm(a, channels[-1]),
            relu=nn.ReLU(inplace=True),
            head=nn.Sequential(head),
        )
        super().__init__(parts)
        self.architecture = a

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Give ``stem``, ``stage1`` and so on [n, c, h, w], ``pooled`` [n, c], ``logits``."""
        x = self.stem(x)
        found = {"stem": x}
        for i, stage in enumerate(self.stages.children(), 1):
            x = found[f"stage{i}"] = stage(x)
        x = self.relu(self.norm(x))
        return {**found, "pooled": self.head.global_pool(x).flatten(1), "logits": self.head(x)}

    def __getitem__(self, index: int | slice) -> nn.Module:
        """Give one module, or a slice as a plain ``nn.Sequential`` under the same names."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)


def _stage(a: Architecture, stage: Stage, channels: int) -> nn.Module:
    kind = PreActivationBasic if stage.block.kind == "basic" else PreActivationBottleneck
    made = (kind(a, stage, c_in, stride) for c_in, stride, _ in blocks(stage, channels))
    return nn.Sequential(OrderedDict(blocks=nn.Sequential(*made)))


class PreActivationBasic(nn.Module):
    """Norm, ReLU, 3×3 twice, and the shortcut (He et al. 2016, Figure 1b)."""

    def __init__(self, a: Architecture, stage: Stage, c_in: int, stride: int) -> None:
        super().__init__()
        width, inner = stage.width, stage.block.inner_width(stage.width)
        self.norm1 = norm(a, c_in)
        self.conv1 = convolution(a, c_in, inner, 3, stride)
        self.norm2 = norm(a, inner)
        self.conv2 = convolution(a, inner, width, 3)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(a, stage, c_in, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(x))
        if self.downsample is not None:
            x = self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.norm2(y)))
        y += x
        return y


class PreActivationBottleneck(nn.Module):
    """Norm, ReLU and 1×1, 3×3, 1×1 in turn, and the shortcut (He et al. 2016, section 4)."""

    def __init__(self, a: Architecture, stage: Stage, c_in: int, stride: int) -> None:
        super().__init__()
        block, width = stage.block, stage.width
        inner = block.inner_width(width)
        first, second = (stride, 1) if block.stride_in == "1x1" else (1, stride)
        self.norm1 = norm(a, c_in)
        self.conv1 = convolution(a, c_in, inner, 1, first)
        self.norm2 = norm(a, inner)
        self.conv2 = convolution(a, inner, inner, 3, second, block.groups)
        self.norm3 = norm(a, inner)
        self.conv3 = convolution(a, inner, width, 1)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(a, stage, c_in, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(x))
        if self.downsample is not None:
            x = self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.norm2(y)))
        y = self.conv3(self.relu(self.norm3(y)))
        y += x
        return y
