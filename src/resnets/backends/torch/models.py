"""The families of networks."""

from resnets.backends.torch.regnet import RegNet
from resnets.backends.torch.resnet import ResNet
from resnets.backends.torch.resnetv2 import ResNetV2
from resnets.networks.naming import REGNET, RESNET, RESNET_V2

Model = ResNet | ResNetV2 | RegNet

FAMILIES = {RESNET: ResNet, RESNET_V2: ResNetV2, REGNET: RegNet}
"""The classes of the models, by the names of their tensors."""
