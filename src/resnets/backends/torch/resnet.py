"""ResNet and ResNeXt as plain ``torch.nn.Module``: images [n, channels, height, width].

Names and shapes of the parameters are torchvision's, so ``state_dict()`` is the canonical
weights, plus torch's own ``num_batches_tracked`` counters.
"""

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from resnets.backends.torch.parts import (
    Shift,
    SqueezeExcitation,
    activation,
    convolution,
    norm,
    pool,
    scale_branch,
    shortcut,
)
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import BlockGeometry, ConvolutionSpec, block_geometries, convolutions
from resnets.networks.spec import Stage


class ResNet(nn.Sequential):
    """Stem, stages of residual blocks, global average pool, dense layer.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(OrderedDict(_children(architecture)))
        self.architecture = architecture

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Return ``stem``, ``stage1`` and so on [n, c, h, w], ``pooled`` [n, c], ``logits``."""
        found: dict[str, Tensor] = {}
        for name, module in self.named_children():
            x = module(x)
            if name in _FEATURES or name.startswith("layer"):
                found[_FEATURES.get(name, name.replace("layer", "stage"))] = x
        return found

    def __getitem__(self, index: int | slice) -> nn.Module:
        """Return one module, or a slice as a plain ``nn.Sequential`` under the same names."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)


_FEATURES = {"maxpool": "stem", "flatten": "pooled", "fc": "logits"}


def _children(a: Architecture) -> Iterator[tuple[str, nn.Module]]:
    yield "conv1", _stem(a)
    yield "bn1", norm(a, a.stem.width)
    yield "relu", activation(a)
    yield "maxpool", pool(a)
    kinds = {"basic": BasicBlock, "bottleneck": Bottleneck, "shift": ShiftBlock}
    for i, (stage, row) in enumerate(zip(a.stages, block_geometries(a), strict=True)):
        kind = kinds[stage.block.kind]
        yield f"layer{i + 1}", nn.Sequential(*(kind(a, stage, place) for place in row))
    yield "avgpool", nn.AdaptiveAvgPool2d(1)
    yield "flatten", nn.Flatten()
    yield "fc", nn.Linear(a.stages[-1].width, a.classes)


def _stem(a: Architecture) -> nn.Module:
    """One convolution, or ResNet-C's three (T. He et al. 2018, Figure 2b)."""
    stem, half = a.stem, a.stem.width // 2
    if not stem.deep:
        plan = ConvolutionSpec(width=stem.width, kernel=stem.kernel, stride=stem.stride)
        return convolution(a, a.channels, plan)
    return nn.Sequential(
        convolution(a, a.channels, ConvolutionSpec(width=half, kernel=3, stride=stem.stride)),
        norm(a, half),
        activation(a),
        convolution(a, half, ConvolutionSpec(width=half, kernel=3)),
        norm(a, half),
        activation(a),
        convolution(a, half, ConvolutionSpec(width=stem.width, kernel=3)),
    )


class _Block(nn.Module):
    """What the kinds share: scaling, the shortcut, the sum and the ReLU after it.

    Attributes:
        branch_scale: what each image's branch is multiplied by, [n]; set in training with
            stochastic depth.
    """

    def finish(self, a: Architecture, stage: Stage, place: BlockGeometry) -> None:
        """Register the shared parts; after a kind's own, for the usual order of parameters."""
        self.branch_scale: Tensor | None = None
        block, squeeze = stage.block, stage.block.squeezed_width(place.channels)
        excited = stage.width if block.squeeze_at == "branch" else block.inner_width(stage.width)
        self.se = None if squeeze is None else SqueezeExcitation(a, excited, squeeze)
        self.downsample = shortcut(a, stage, place)
        self.gate = None
        if block.gated:
            plan = ConvolutionSpec(width=stage.width, kernel=1, stride=place.stride)
            self.gate = convolution(a, place.channels, plan, bias=True)
        self.relu = activation(a)

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        """Add the branch ``y`` to the shortcut of the block's input ``x``."""
        gate = None if self.gate is None else self.gate(x).sigmoid()
        if self.downsample is not None:
            x = self.downsample(x)
        if gate is not None:  # Srivastava et al. 2015, equation 3
            return self.relu(torch.lerp(x, y, scale_branch(gate, self.branch_scale)))
        y = scale_branch(y, self.branch_scale)
        y += x
        return self.relu(y)


class BasicBlock(_Block):
    """3×3, 3×3, and the shortcut (He et al. 2015, Figure 5 left)."""

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry) -> None:
        super().__init__()
        first, second = convolutions(stage, place)
        self.conv1 = convolution(a, place.channels, first)
        self.bn1 = norm(a, first.width)
        self.conv2 = convolution(a, first.width, second)
        self.bn2 = norm(a, second.width)
        self.finish(a, stage, place)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.se is not None:
            y = self.se(y)
        return self.join(x, y)


class Bottleneck(_Block):
    """1×1, 3×3, 1×1, and the shortcut (He et al. 2015, Figure 5 right).

    With groups it is ResNeXt's block (Xie et al. 2016, Figure 3c).
    """

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry) -> None:
        super().__init__()
        first, second, third = convolutions(stage, place)
        self.conv1 = convolution(a, place.channels, first)
        self.bn1 = norm(a, first.width)
        self.conv2 = convolution(a, first.width, second)
        self.bn2 = norm(a, second.width)
        self.conv3 = convolution(a, second.width, third)
        self.bn3 = norm(a, third.width)
        self.squeeze_at = stage.block.squeeze_at
        self.finish(a, stage, place)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        if self.se is not None and self.squeeze_at == "3x3":
            y = self.se(y)
        y = self.bn3(self.conv3(y))
        if self.se is not None and self.squeeze_at == "branch":
            y = self.se(y)
        return self.join(x, y)


class ShiftBlock(_Block):
    """1×1, shift, 1×1, and the shortcut (Wu et al. 2018, Figure 4)."""

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry) -> None:
        super().__init__()
        first, second = convolutions(stage, place)
        self.conv1 = convolution(a, place.channels, first)
        self.bn1 = norm(a, first.width)
        self.shift = Shift(place.dilations[0])
        self.conv2 = convolution(a, first.width, second)
        self.bn2 = norm(a, second.width)
        self.finish(a, stage, place)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(self.shift(y)))
        if self.se is not None:
            y = self.se(y)
        return self.join(x, y)
