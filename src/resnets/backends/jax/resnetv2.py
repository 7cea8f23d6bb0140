"""Pre-activation networks as plain ``flax.nnx.Module``: images [n, height, width, channels].

He et al. 2016, "Identity Mappings in Deep Residual Networks" (arXiv:1603.05027). Parts have the
names of timm's ``resnetv2``.
"""

from flax import nnx
from jax import Array

from resnets.backends.jax.parts import (
    Layer,
    Named,
    Sequence,
    activation,
    convolution,
    dense,
    mean_pool,
    norm,
    pool,
    scale_branch,
    shortcut,
)
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import BlockGeometry, ConvolutionSpec, block_geometries, convolutions
from resnets.networks.spec import Stage


class ResNetV2(nnx.Module):
    """Stem, stages of pre-activation blocks, last norm and ReLU, global average pool, head.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too. ``rngs`` draws
    the initial weights, as in ``ResNet``.
    """

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs) -> None:
        a = self.architecture = architecture
        plan = ConvolutionSpec(width=a.stem.width, kernel=a.stem.kernel, stride=a.stem.stride)
        self.stem = Named({"conv": convolution(a, a.channels, plan, rngs), "pool": pool(a)})
        kinds = {"basic": PreActivationBasic, "bottleneck": PreActivationBottleneck}
        stages: list[Named] = []
        for stage, row in zip(a.stages, block_geometries(a), strict=True):
            blocks = [kinds[stage.block.kind](a, stage, place, rngs) for place in row]
            stages.append(Named({"blocks": Sequence(blocks)}))
        self.stages = Sequence(stages)
        channels = a.stages[-1].width
        self.norm = norm(a, channels, rngs)
        self.relu = activation(a)
        self.head = Named({"global_pool": mean_pool, "fc": dense(channels, a.classes, rngs)})

    def features(self, x: Array) -> dict[str, Array]:
        """Return ``stem``, ``stage1`` and so on [n, h, w, c], ``pooled`` [n, c], ``logits``."""
        x = self.stem(x)
        found = {"stem": x}
        for i, stage in enumerate(self.stages, 1):
            x = found[f"stage{i}"] = stage(x)
        pooled = self.head.global_pool(self.relu(self.norm(x)))
        return {**found, "pooled": pooled, "logits": self.head.fc(pooled)}

    def __call__(self, x: Array) -> Array:
        return self.features(x)["logits"]


class _Block(nnx.Module):
    """What the kinds share: norms and convolutions, and the shortcut of the activated input.

    Attributes:
        branch_scale: what each image's branch is multiplied by, [n]; set in training with
            stochastic depth.
    """

    branch_scale: Array | None = None
    relu: Layer

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry, rngs: nnx.Rngs) -> None:
        channels = place.channels
        for k, plan in enumerate(convolutions(stage, place), 1):
            setattr(self, f"norm{k}", norm(a, channels, rngs))
            setattr(self, f"conv{k}", convolution(a, channels, plan, rngs))
            channels = plan.width
        self.relu = activation(a)
        self.downsample = shortcut(a, stage, place, rngs)


class PreActivationBasic(_Block):
    """Norm, ReLU, 3×3 twice, and the shortcut (He et al. 2016, Figure 1b)."""

    def __call__(self, x: Array) -> Array:
        y = self.relu(self.norm1(x))
        if self.downsample is not None:
            x = self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.norm2(y)))
        return scale_branch(y, self.branch_scale) + x


class PreActivationBottleneck(_Block):
    """Norm, ReLU and 1×1, 3×3, 1×1 in turn, and the shortcut (He et al. 2016, section 4)."""

    def __call__(self, x: Array) -> Array:
        y = self.relu(self.norm1(x))
        if self.downsample is not None:
            x = self.downsample(y)
        y = self.conv1(y)
        y = self.conv2(self.relu(self.norm2(y)))
        y = self.conv3(self.relu(self.norm3(y)))
        return scale_branch(y, self.branch_scale) + x
