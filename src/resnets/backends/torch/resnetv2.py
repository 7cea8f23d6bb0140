"""Pre-activation networks as plain ``torch.nn.Module``: images [n, channels, height, width].

He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027). Names and shapes
of the parameters are those of timm's ``resnetv2``.
"""

from collections import OrderedDict

from torch import Tensor, nn

from resnets.backends.torch.parts import activation, convolution, norm, pool, scale_branch, shortcut
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import BlockGeometry, ConvolutionSpec, block_geometries, convolutions
from resnets.networks.spec import Stage


class ResNetV2(nn.Sequential):
    """Stem, stages of pre-activation blocks, last norm and ReLU, global average pool, 1×1 head.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too.
    """

    def __init__(self, a: Architecture) -> None:
        plan = ConvolutionSpec(width=a.stem.width, kernel=a.stem.kernel, stride=a.stem.stride)
        stem = OrderedDict[str, nn.Module](conv=convolution(a, a.channels, plan))
        if a.stem.pool:
            stem["pool"] = pool(a)
        kinds = {"basic": PreActivationBasic, "bottleneck": PreActivationBottleneck}
        stages: list[nn.Module] = []
        for stage, row in zip(a.stages, block_geometries(a), strict=True):
            blocks = (kinds[stage.block.kind](a, stage, place) for place in row)
            stages.append(nn.Sequential(OrderedDict(blocks=nn.Sequential(*blocks))))
        channels = a.stages[-1].width
        head = OrderedDict[str, nn.Module](
            global_pool=nn.AdaptiveAvgPool2d(1),
            fc=nn.Conv2d(channels, a.classes, 1),
            flatten=nn.Flatten(),
        )
        parts = OrderedDict[str, nn.Module](
            stem=nn.Sequential(stem),
            stages=nn.Sequential(*stages),
            norm=norm(a, channels),
            relu=activation(a),
            head=nn.Sequential(head),
        )
        super().__init__(parts)
        self.architecture = a

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Return ``stem``, ``stage1`` and so on [n, c, h, w], ``pooled`` [n, c], ``logits``."""
        x = self.stem(x)
        found = {"stem": x}
        for i, stage in enumerate(self.stages.children(), 1):
            x = found[f"stage{i}"] = stage(x)
        x = self.relu(self.norm(x))
        return {**found, "pooled": self.head.global_pool(x).flatten(1), "logits": self.head(x)}

    def __getitem__(self, index: int | slice) -> nn.Module:
        """Return one module, or a slice as a plain ``nn.Sequential`` under the same names."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)


class PreActivationBasic(nn.Module):
    """Norm, ReLU, 3×3 twice, and the shortcut (He et al. 2016, Figure 1b).

    Attributes:
        branch_scale: what each image's branch is multiplied by, [n]; set in training with
            stochastic depth.
    """

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry) -> None:
        super().__init__()
        self.branch_scale: Tensor | None = None
        first, second = convolutions(stage, place)
        self.norm1 = norm(a, place.channels)
        self.conv1 = convolution(a, place.channels, first)
        self.norm2 = norm(a, first.width)
        self.conv2 = convolution(a, first.width, second)
        self.relu = activation(a)
        self.downsample = shortcut(a, stage, place)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(x))
        if self.downsample is not None:
            x = self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.norm2(y)))
        y = scale_branch(y, self.branch_scale)
        y += x
        return y


class PreActivationBottleneck(nn.Module):
    """Norm, ReLU and 1×1, 3×3, 1×1 in turn, and the shortcut (He et al. 2016, section 4).

    Attributes:
        branch_scale: what each image's branch is multiplied by, [n]; set in training with
            stochastic depth.
    """

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry) -> None:
        super().__init__()
        self.branch_scale: Tensor | None = None
        first, second, third = convolutions(stage, place)
        self.norm1 = norm(a, place.channels)
        self.conv1 = convolution(a, place.channels, first)
        self.norm2 = norm(a, first.width)
        self.conv2 = convolution(a, first.width, second)
        self.norm3 = norm(a, second.width)
        self.conv3 = convolution(a, second.width, third)
        self.relu = activation(a)
        self.downsample = shortcut(a, stage, place)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm1(x))
        if self.downsample is not None:
            x = self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.norm2(y)))
        y = self.conv3(self.relu(self.norm3(y)))
        y = scale_branch(y, self.branch_scale)
        y += x
        return y
