"""The families of networks."""

from resnets.backends.jax.regnet import RegNet
from resnets.backends.jax.resnet import ResNet
from resnets.backends.jax.resnetv2 import ResNetV2
from resnets.networks.naming import REGNET, RESNET, RESNET_V2

Model = ResNet | ResNetV2 | RegNet

FAMILIES = {RESNET: ResNet, RESNET_V2: ResNetV2, REGNET: RegNet}
"""The classes of the models, by the names of their tensors."""
