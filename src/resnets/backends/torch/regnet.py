"""RegNet as plain ``torch.nn.Module``: images [n, channels, height, width].

Radosavovic et al. 2020, "Designing Network Design Spaces" (arXiv:2003.13678). Names and shapes of
the parameters are those of torchvision's ``regnet``.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from resnets.backends.torch.parts import (
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


class RegNet(nn.Sequential):
    """Stem, stages of bottleneck blocks, global average pool, dense layer.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too.
    """

    def __init__(self, a: Architecture) -> None:
        plan = ConvolutionSpec(width=a.stem.width, kernel=a.stem.kernel, stride=a.stem.stride)
        stages = OrderedDict[str, nn.Module]()
        for i, (stage, row) in enumerate(zip(a.stages, block_geometries(a), strict=True), 1):
            blocks = ((f"block{i}-{j}", Block(a, stage, place)) for j, place in enumerate(row))
            stages[f"block{i}"] = nn.Sequential(OrderedDict(blocks))
        parts = OrderedDict[str, nn.Module](
            stem=_unit(a, a.channels, plan),
            maxpool=pool(a),
            trunk_output=nn.Sequential(stages),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(a.stages[-1].width, a.classes),
        )
        super().__init__(parts)
        self.architecture = a

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Return ``stem``, ``stage1`` and so on [n, c, h, w], ``pooled`` [n, c], ``logits``."""
        x = self.maxpool(self.stem(x))
        found = {"stem": x}
        for i, stage in enumerate(self.trunk_output.children(), 1):
            x = found[f"stage{i}"] = stage(x)
        pooled = self.flatten(self.avgpool(x))
        return {**found, "pooled": pooled, "logits": self.fc(pooled)}

    def __getitem__(self, index: int | slice) -> nn.Module:
        """Return one module, or a slice as a plain ``nn.Sequential`` under the same names."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)


class Block(nn.Module):
    """1×1, 3×3 with squeeze-and-excitation, 1×1, and the shortcut (ibid., Figure 4 and 5.4).

    Attributes:
        branch_scale: what each image's branch is multiplied by, [n]; set in training with
            stochastic depth.
    """

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry) -> None:
        super().__init__()
        self.branch_scale: Tensor | None = None
        first, second, third = convolutions(stage, place)
        squeeze = stage.block.squeezed_width(place.channels)
        parts = OrderedDict[str, nn.Module](
            a=_unit(a, place.channels, first), b=_unit(a, first.width, second)
        )
        if squeeze is not None and stage.block.squeeze_at == "3x3":
            parts["se"] = SqueezeExcitation(a, second.width, squeeze)
        parts["c"] = nn.Sequential(convolution(a, second.width, third), norm(a, third.width))
        if squeeze is not None and stage.block.squeeze_at == "branch":
            parts["se"] = SqueezeExcitation(a, third.width, squeeze)
        self.f = nn.Sequential(parts)
        self.proj = shortcut(a, stage, place)
        self.gate = None
        if stage.block.gated:
            plan = ConvolutionSpec(width=stage.width, kernel=1, stride=place.stride)
            self.gate = convolution(a, place.channels, plan, bias=True)
        self.activation = activation(a)

    def forward(self, x: Tensor) -> Tensor:
        y = self.f(x)
        gate = None if self.gate is None else self.gate(x).sigmoid()
        if self.proj is not None:
            x = self.proj(x)
        if gate is not None:  # Srivastava et al. 2015, equation 3
            return self.activation(torch.lerp(x, y, scale_branch(gate, self.branch_scale)))
        y = scale_branch(y, self.branch_scale)
        y += x
        return self.activation(y)


def _unit(a: Architecture, c_in: int, plan: ConvolutionSpec) -> nn.Sequential:
    return nn.Sequential(convolution(a, c_in, plan), norm(a, plan.width), activation(a))
