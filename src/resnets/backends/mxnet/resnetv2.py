"""Pre-activation networks as plain Gluon ``HybridBlock``: images [n, channels, height, width].

He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027). Names and shapes
of the parts are those of timm's ``resnetv2``.
"""

from typing import Any

from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.parts import (
    activation,
    convolution,
    named_sequence,
    norm,
    pool,
    scale_branch,
    sequence,
    shortcut,
)
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import BlockGeometry, ConvolutionSpec, block_geometries, convolutions
from resnets.networks.spec import Stage

nn, HybridBlock = mx.gluon.nn, mx.gluon.HybridBlock


class ResNetV2(nn.HybridSequential):
    """Stem, stages of pre-activation blocks, last norm and ReLU, global average pool, 1×1 head.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too.
    """

    def __init__(self, architecture: Architecture, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.architecture = a = architecture
        plan = ConvolutionSpec(width=a.stem.width, kernel=a.stem.kernel, stride=a.stem.stride)
        channels = a.stages[-1].width
        with self.name_scope():
            self.stem = named_sequence([("conv", convolution(a, a.channels, plan))])
            if a.stem.pool:
                self.stem.pool = pool(a)
            rows = zip(a.stages, block_geometries(a), strict=True)
            self.stages = sequence(*(_stage(a, stage, row) for stage, row in rows))
            self.norm = norm(a, channels)
            self.relu = activation(a)
            self.head = named_sequence(
                [
                    ("global_pool", nn.GlobalAvgPool2D()),
                    ("fc", nn.Conv2D(a.classes, 1, in_channels=channels)),
                    ("flatten", nn.Flatten()),
                ]
            )

    def features(self, x: Any) -> dict[str, Any]:
        """Return ``stem``, ``stage1`` and so on [n, c, h, w], ``pooled`` [n, c], ``logits``."""
        x = self.stem(x)
        found = {"stem": x}
        for i, stage in enumerate(self.stages, 1):
            x = found[f"stage{i}"] = stage(x)
        x = self.relu(self.norm(x))
        pooled = self.head.flatten(self.head.global_pool(x))
        return {**found, "pooled": pooled, "logits": self.head(x)}

    def __getitem__(self, index: int | slice) -> Any:
        """Return one child, or a slice as a plain ``HybridSequential`` under the same names."""
        if isinstance(index, slice):
            return named_sequence(list(self._children.items())[index])
        return super().__getitem__(index)


def _stage(a: Architecture, stage: Stage, row: tuple[BlockGeometry, ...]) -> Any:
    kinds = {"basic": PreActivationBasic, "bottleneck": PreActivationBottleneck}
    blocks = (kinds[stage.block.kind](a, stage, place) for place in row)
    return named_sequence([("blocks", sequence(*blocks))])


class _Block(HybridBlock):
    """What the kinds share: norms and convolutions, and the shortcut of the activated input.

    Attributes:
        branch_scale: what each image's branch is multiplied by, [n]; set in training with
            stochastic depth.
    """

    branch_scale: Any = None

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        channels = place.channels
        with self.name_scope():
            for k, plan in enumerate(convolutions(stage, place), 1):
                setattr(self, f"norm{k}", norm(a, channels))
                setattr(self, f"conv{k}", convolution(a, channels, plan))
                channels = plan.width
            self.relu = activation(a)
            self.downsample = shortcut(a, stage, place)


class PreActivationBasic(_Block):
    """Norm, ReLU, 3×3 twice, and the shortcut (He et al. 2016, Figure 1b)."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        y = self.relu(self.norm1(x))
        if self.downsample is not None:
            x = self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.norm2(y)))
        return scale_branch(F, y, self.branch_scale) + x


class PreActivationBottleneck(_Block):
    """Norm, ReLU and 1×1, 3×3, 1×1 in turn, and the shortcut (He et al. 2016, section 4)."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        y = self.relu(self.norm1(x))
        if self.downsample is not None:
            x = self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.norm2(y)))
        y = self.conv3(self.relu(self.norm3(y)))
        return scale_branch(F, y, self.branch_scale) + x
