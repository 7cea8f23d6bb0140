"""What the blocks of all families are made of, by the architecture's definitions."""

from collections import OrderedDict

from torch import Tensor, nn

from resnets.architecture import Architecture, Stage


def convolution(
    a: Architecture, c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution padded by kernel // 2 on every side."""
    return nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, groups=groups, bias=a.bias)


def norm(a: Architecture, channels: int) -> nn.BatchNorm2d:
    """A batch norm."""
    return nn.BatchNorm2d(channels, eps=a.norm.epsilon, momentum=1 - a.norm.decay)


def shortcut(a: Architecture, stage: Stage, c_in: int, stride: int) -> nn.Module | None:
    """How a block's input reaches its sum; None for the identity."""
    if stride == 1 and c_in == stage.width:
        return None
    if stage.block.shortcut == "padding":
        return PaddingShortcut(stage.width - c_in, stride)
    if stage.block.shortcut == "average_projection":
        window = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False)
        pool = window if stride > 1 else nn.Identity()
        return nn.Sequential(pool, convolution(a, c_in, stage.width, 1), norm(a, stage.width))
    projection = convolution(a, c_in, stage.width, 1, stride)
    if a.preactivation:
        return nn.Sequential(OrderedDict(conv=projection))
    if stage.block.shortcut == "bare_projection":
        return nn.Sequential(projection)
    return nn.Sequential(projection, norm(a, stage.width))


class SqueezeExcitation(nn.Module):
    """Each channel scaled by what the means of all say (Hu et al. 2017, Figure 3)."""

    def __init__(self, width: int, squeeze: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, squeeze, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(squeeze, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        s = x.mean((2, 3), keepdim=True)
        return x * self.fc2(self.relu(self.fc1(s))).sigmoid()


class PaddingShortcut(nn.Module):
    """Every stride-th pixel, and channels of zeros behind (He et al. 2015, option A)."""

    def __init__(self, added: int, stride: int) -> None:
        super().__init__()
        self.added = added
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        return nn.functional.pad(x, [0, 0, 0, 0, 0, self.added])
