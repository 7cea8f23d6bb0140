"""ResNet and ResNeXt as plain ``flax.nnx.Module``: images [n, height, width, channels].

Parts have torchvision's names, so a parameter's path is its canonical name, but for Flax's own
words for what a layer holds (``kernel``, ``scale``, ``mean``, ``var``).
"""

from flax import nnx
from jax import Array

from resnets.backends.jax.parts import (
    Layer,
    Sequence,
    Shift,
    SqueezeExcitation,
    activation,
    convolution,
    dense,
    gate,
    join,
    mean_pool,
    norm,
    pool,
    shortcut,
)
from resnets.networks.architecture import Architecture
from resnets.networks.geometry import BlockGeometry, ConvolutionSpec, block_geometries, convolutions
from resnets.networks.spec import Stage


class ResNet(nnx.Module):
    """Stem, stages of residual blocks, global average pool, dense layer.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too. ``rngs`` draws
    initial weights of the same distributions as ``initial_weights``, by JAX's own generator;
    ``backends.jax.build`` gives those that every framework starts from.
    """

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs) -> None:
        a = self.architecture = architecture
        self.conv1 = _stem(a, rngs)
        self.bn1 = norm(a, a.stem.width, rngs)
        self.relu = activation(a)
        self.maxpool = pool(a)
        kinds = {"basic": BasicBlock, "bottleneck": Bottleneck, "shift": ShiftBlock}
        for i, (stage, row) in enumerate(zip(a.stages, block_geometries(a), strict=True), 1):
            kind = kinds[stage.block.kind]
            blocks = Sequence([kind(a, stage, place, rngs) for place in row])
            setattr(self, f"layer{i}", blocks)
        self.fc = dense(a.stages[-1].width, a.classes, rngs)

    def features(self, x: Array) -> dict[str, Array]:
        """Return ``stem``, ``stage1`` and so on [n, h, w, c], ``pooled`` [n, c], ``logits``."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        found = {"stem": x}
        for i in range(1, len(self.architecture.stages) + 1):
            x = found[f"stage{i}"] = getattr(self, f"layer{i}")(x)
        pooled = mean_pool(x)
        return {**found, "pooled": pooled, "logits": self.fc(pooled)}

    def __call__(self, x: Array) -> Array:
        return self.features(x)["logits"]


def _stem(a: Architecture, rngs: nnx.Rngs) -> Layer:
    """One convolution, or ResNet-C's three (T. He et al. 2018, Figure 2b)."""
    stem, half = a.stem, a.stem.width // 2
    if not stem.deep:
        plan = ConvolutionSpec(width=stem.width, kernel=stem.kernel, stride=stem.stride)
        return convolution(a, a.channels, plan, rngs)
    first = ConvolutionSpec(width=half, kernel=3, stride=stem.stride)
    return Sequence(
        [
            convolution(a, a.channels, first, rngs),
            norm(a, half, rngs),
            activation(a),
            convolution(a, half, ConvolutionSpec(width=half, kernel=3), rngs),
            norm(a, half, rngs),
            activation(a),
            convolution(a, half, ConvolutionSpec(width=stem.width, kernel=3), rngs),
        ]
    )


class _Block(nnx.Module):
    """What the kinds share: convolutions and norms, scaling, the shortcut, the ReLU at the end.

    Attributes:
        branch_scale: what each image's branch is multiplied by, [n]; set in training with
            stochastic depth.
    """

    branch_scale: Array | None = None
    relu: Layer
    se: SqueezeExcitation | None

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry, rngs: nnx.Rngs) -> None:
        channels, block = place.channels, stage.block
        for k, plan in enumerate(convolutions(stage, place), 1):
            setattr(self, f"conv{k}", convolution(a, channels, plan, rngs))
            setattr(self, f"bn{k}", norm(a, plan.width, rngs))
            channels = plan.width
        squeeze = block.squeezed_width(place.channels)
        excited = stage.width if block.squeeze_at == "branch" else block.inner_width(stage.width)
        self.se = None if squeeze is None else SqueezeExcitation(a, excited, squeeze, rngs)
        self.squeeze_at = block.squeeze_at
        self.downsample = shortcut(a, stage, place, rngs)
        self.gate = gate(a, stage, place, rngs)
        self.relu = activation(a)

    def excite(self, y: Array, at: str) -> Array:
        """Scale ``y`` if it is what the block scales."""
        return y if self.se is None or self.squeeze_at != at else self.se(y)

    def join(self, x: Array, y: Array) -> Array:
        """Add the branch ``y`` to the shortcut of the block's input ``x``."""
        return self.relu(join(x, y, self.downsample, self.gate, self.branch_scale))


class BasicBlock(_Block):
    """3×3, 3×3, and the shortcut (He et al. 2015, Figure 5 left)."""

    def __call__(self, x: Array) -> Array:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.join(x, self.excite(y, "branch"))


class Bottleneck(_Block):
    """1×1, 3×3, 1×1, and the shortcut (He et al. 2015, Figure 5 right).

    With groups it is ResNeXt's block (Xie et al. 2016, Figure 3c).
    """

    def __call__(self, x: Array) -> Array:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.excite(self.relu(self.bn2(self.conv2(y))), "3x3")
        y = self.bn3(self.conv3(y))
        return self.join(x, self.excite(y, "branch"))


class ShiftBlock(_Block):
    """1×1, shift, 1×1, and the shortcut (Wu et al. 2018, Figure 4)."""

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry, rngs: nnx.Rngs) -> None:
        super().__init__(a, stage, place, rngs)
        self.shift = Shift(place.dilations[0])

    def __call__(self, x: Array) -> Array:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(self.shift(y)))
        return self.join(x, self.excite(y, "branch"))
