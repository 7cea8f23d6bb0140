"""What the blocks of all families are made of, by the architecture's definitions."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from resnets.networks.architecture import Architecture
from resnets.networks.geometry import BlockGeometry, ConvolutionSpec
from resnets.networks.spec import Stage

ACTIVATIONS = {
    "relu": lambda in_place: nn.ReLU(inplace=in_place),
    "leaky_relu": lambda in_place: nn.LeakyReLU(0.01, inplace=in_place),
    "elu": lambda in_place: nn.ELU(inplace=in_place),
    "silu": lambda _: nn.SiLU(),
    "gelu": lambda _: nn.GELU(),
}


def convolution(
    a: Architecture, c_in: int, plan: ConvolutionSpec, *, bias: bool = False
) -> nn.Conv2d:
    """A convolution whose output is the input's size over the stride, rounded up."""
    return nn.Conv2d(
        c_in,
        plan.width,
        plan.kernel,
        plan.stride,
        padding=plan.dilation * (plan.kernel // 2),
        dilation=plan.dilation,
        groups=plan.groups,
        bias=bias or a.bias,
    )


def norm(a: Architecture, channels: int) -> nn.Module:
    """A norm of the architecture's kind."""
    if a.norm.kind == "none":
        return nn.Identity()
    if a.norm.kind == "group":
        return GroupNorm(a.norm.groups, channels, eps=a.norm.epsilon)
    return nn.BatchNorm2d(channels, eps=a.norm.epsilon, momentum=1 - a.norm.decay)


def activation(a: Architecture) -> nn.Module:
    """What stands where papers have ReLU; in place where a norm has made what it reads."""
    return ACTIVATIONS[a.activation](a.norm.kind != "none")


def pool(a: Architecture) -> nn.Module:
    """The stem's max-pool, if it has one."""
    return nn.MaxPool2d(3, stride=2, padding=1) if a.stem.pool else nn.Identity()


def shortcut(a: Architecture, stage: Stage, place: BlockGeometry) -> nn.Module | None:
    """How a block's input reaches its sum; None for the identity."""
    if not place.changes_shape:
        return None
    c_in, stride = place.channels, place.stride
    plan = ConvolutionSpec(width=stage.width, kernel=1, stride=stride)
    if stage.block.shortcut == "padding":
        return PaddingShortcut(stage.width - c_in, stride)
    if stage.block.shortcut == "average_projection":
        window = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
        flat = ConvolutionSpec(width=stage.width, kernel=1)
        pooled = window if stride > 1 else nn.Identity()
        return nn.Sequential(pooled, convolution(a, c_in, flat), norm(a, stage.width))
    projection = convolution(a, c_in, plan)
    if a.preactivation:
        return nn.Sequential(OrderedDict(conv=projection))
    if stage.block.shortcut == "bare_projection":
        return nn.Sequential(projection)
    return nn.Sequential(projection, norm(a, stage.width))


def scale_branch(branch: Tensor, scale: Tensor | None) -> Tensor:
    """Multiply what a residual branch gives by each image's ``scale`` [n]; None leaves it."""
    return branch if scale is None else branch * scale.to(branch.dtype).view(-1, 1, 1, 1)


class GroupNorm(nn.GroupNorm):
    """torch's, without its refusal of groups of one value, whose norm is zero: others give that."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class SqueezeExcitation(nn.Module):
    """Each channel scaled by what the means of all say (Hu et al. 2017, Figure 3)."""

    def __init__(self, a: Architecture, width: int, squeeze: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, squeeze, 1)
        self.activation = activation(a)
        self.fc2 = nn.Conv2d(squeeze, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        s = x.mean((2, 3), keepdim=True)
        return x * self.fc2(self.activation(self.fc1(s))).sigmoid()


class Shift(nn.Module):
    """Nine runs of channels, each moved in a direction of its own (Wu et al. 2018, equation 3)."""

    def __init__(self, reach: int) -> None:
        super().__init__()
        self.reach = reach

    def forward(self, x: Tensor) -> Tensor:
        reach, run = self.reach, x.shape[1] // 9
        height, width = x.shape[2], x.shape[3]
        padded = nn.functional.pad(x[:, : 9 * run], [reach, reach, reach, reach])
        parts: list[Tensor] = []
        for k in range(9):
            own = padded[:, k * run : (k + 1) * run]
            row, column = reach * (k // 3), reach * (k % 3)
            parts.append(own[:, :, row : row + height, column : column + width])
        parts.append(x[:, 9 * run :])
        return torch.cat(parts, dim=1)


class PaddingShortcut(nn.Module):
    """Every stride-th pixel, and channels of zeros behind (He et al. 2015, option A)."""

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added = added
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(x, [0, 0, 0, 0, 0, self.added])
