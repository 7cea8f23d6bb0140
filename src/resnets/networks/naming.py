"""Canonical names of tensors and layers: those of torchvision and timm, family by family."""

from dataclasses import dataclass

from resnets.networks.architecture import Architecture


@dataclass(frozen=True, kw_only=True)
class NamingScheme:
    """Canonical names of a family's parts; stages, blocks and convolutions are counted in."""

    stem: str
    stem_norm: str = ""
    stem_activation: str = ""
    pool: str = "maxpool"
    block: str
    convolution: str = "conv{k}"
    norm: str
    activation: str = "{act}{k}"
    excitation: str = "se"
    projection: str = "downsample.0"
    projection_norm: str = ""
    last_norm: str = ""
    last_activation: str = ""
    mean_pool: str = "avgpool"
    dense: str = "fc"


RESNET = NamingScheme(
    stem="conv1",
    stem_norm="bn1",
    stem_activation="{act}",
    block="layer{stage}.{block}",
    norm="bn{k}",
    projection_norm="downsample.1",
)
"""torchvision's and timm's ``resnet``."""

RESNET_V2 = NamingScheme(
    stem="stem.conv",
    pool="stem.pool",
    block="stages.{stage0}.blocks.{block}",
    norm="norm{k}",
    projection="downsample.conv",
    last_norm="norm",
    last_activation="{act}",
    mean_pool="head.global_pool",
    dense="head.fc",
)
"""timm's ``resnetv2``; stages count from 0 there."""

REGNET = NamingScheme(
    stem="stem.0",
    stem_norm="stem.1",
    stem_activation="stem.2",
    block="trunk_output.block{stage}.block{stage}-{block}",
    convolution="f.{letter}.0",
    norm="f.{letter}.1",
    activation="f.{letter}.2",
    excitation="f.se",
    projection="proj.0",
    projection_norm="proj.1",
)
"""torchvision's ``regnet``."""


def naming_scheme(architecture: Architecture) -> NamingScheme:
    """Give the names of an architecture's family."""
    if architecture.preactivation:
        return RESNET_V2
    return REGNET if architecture.naming == "regnet" else RESNET


def block_names(architecture: Architecture) -> tuple[tuple[str, ...], ...]:
    """Give the canonical names of each stage's blocks, such as ``layer2.0``."""
    template = naming_scheme(architecture).block
    return tuple(
        tuple(template.format(stage=i + 1, stage0=i, block=j) for j in range(stage.depth))
        for i, stage in enumerate(architecture.stages)
    )
