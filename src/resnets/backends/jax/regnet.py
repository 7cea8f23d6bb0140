"""RegNet as plain ``flax.nnx.Module``: images [n, height, width, channels].

Radosavovic et al. 2020, "Designing Network Design Spaces" (arXiv:2003.13678). Parts have the names
of torchvision's ``regnet``.
"""

from flax import nnx
from jax import Array

from resnets.backends.jax.parts import (
    Layer,
    Named,
    Sequence,
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


class RegNet(nnx.Module):
    """Stem, stages of bottleneck blocks, global average pool, dense layer.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too. ``rngs`` draws
    the initial weights, as in ``ResNet``.
    """

    def __init__(self, architecture: Architecture, *, rngs: nnx.Rngs) -> None:
        a = self.architecture = architecture
        plan = ConvolutionSpec(width=a.stem.width, kernel=a.stem.kernel, stride=a.stem.stride)
        self.stem = _unit(a, a.channels, plan, rngs)
        self.maxpool = pool(a)
        stages: dict[str, Layer] = {}
        for i, (stage, row) in enumerate(zip(a.stages, block_geometries(a), strict=True), 1):
            blocks = {f"block{i}-{j}": Block(a, stage, place, rngs) for j, place in enumerate(row)}
            stages[f"block{i}"] = Named(blocks)
        self.trunk_output = Named(stages)
        self.fc = dense(a.stages[-1].width, a.classes, rngs)

    def features(self, x: Array) -> dict[str, Array]:
        """Return ``stem``, ``stage1`` and so on [n, h, w, c], ``pooled`` [n, c], ``logits``."""
        x = self.maxpool(self.stem(x))
        found = {"stem": x}
        for i in range(1, len(self.architecture.stages) + 1):
            x = found[f"stage{i}"] = getattr(self.trunk_output, f"block{i}")(x)
        pooled = mean_pool(x)
        return {**found, "pooled": pooled, "logits": self.fc(pooled)}

    def __call__(self, x: Array) -> Array:
        return self.features(x)["logits"]


class Block(nnx.Module):
    """1×1, 3×3 with squeeze-and-excitation, 1×1, and the shortcut (ibid., Figure 4 and 5.4).

    Attributes:
        branch_scale: what each image's branch is multiplied by, [n]; set in training with
            stochastic depth.
    """

    branch_scale: Array | None = None

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry, rngs: nnx.Rngs) -> None:
        first, second, third = convolutions(stage, place)
        squeeze, at = stage.block.squeezed_width(place.channels), stage.block.squeeze_at
        layers: dict[str, Layer] = {
            "a": _unit(a, place.channels, first, rngs),
            "b": _unit(a, first.width, second, rngs),
        }
        if squeeze is not None and at == "3x3":
            layers["se"] = SqueezeExcitation(a, second.width, squeeze, rngs)
        last = [convolution(a, second.width, third, rngs), norm(a, third.width, rngs)]
        layers["c"] = Sequence(last)
        if squeeze is not None and at == "branch":
            layers["se"] = SqueezeExcitation(a, third.width, squeeze, rngs)
        self.f = Named(layers)
        self.proj = shortcut(a, stage, place, rngs)
        self.gate = gate(a, stage, place, rngs)
        self.activation = activation(a)

    def __call__(self, x: Array) -> Array:
        y = join(x, self.f(x), self.proj, self.gate, self.branch_scale)
        return self.activation(y)


def _unit(a: Architecture, c_in: int, plan: ConvolutionSpec, rngs: nnx.Rngs) -> Sequence:
    layers = [convolution(a, c_in, plan, rngs), norm(a, plan.width, rngs), activation(a)]
    return Sequence(layers)
