"""RegNet as plain Gluon ``HybridBlock``: images [n, channels, height, width].

Radosavovic et al. 2020, "Designing Network Design Spaces" (arXiv:2003.13678). Names and shapes of
the parts are those of torchvision's ``regnet``.
"""

from typing import Any

from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.parts import (
    SqueezeExcitation,
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


class RegNet(nn.HybridSequential):
    """Stem, stages of bottleneck blocks, global average pool, dense layer.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too.
    """

    def __init__(self, architecture: Architecture, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.architecture = a = architecture
        plan = ConvolutionSpec(width=a.stem.width, kernel=a.stem.kernel, stride=a.stem.stride)
        with self.name_scope():
            self.stem = _unit(a, a.channels, plan)
            self.maxpool = pool(a)
            stages: list[tuple[str, Any]] = []
            for i, (stage, row) in enumerate(zip(a.stages, block_geometries(a), strict=True), 1):
                blocks = ((f"block{i}-{j}", Block(a, stage, p)) for j, p in enumerate(row))
                stages.append((f"block{i}", named_sequence(blocks)))
            self.trunk_output = named_sequence(stages)
            self.avgpool = nn.GlobalAvgPool2D()
            self.flatten = nn.Flatten()
            self.fc = nn.Dense(a.classes, in_units=a.stages[-1].width)

    def features(self, x: Any) -> dict[str, Any]:
        """Return ``stem``, ``stage1`` and so on [n, c, h, w], ``pooled`` [n, c], ``logits``."""
        x = self.maxpool(self.stem(x))
        found = {"stem": x}
        for i, stage in enumerate(self.trunk_output, 1):
            x = found[f"stage{i}"] = stage(x)
        pooled = self.flatten(self.avgpool(x))
        return {**found, "pooled": pooled, "logits": self.fc(pooled)}

    def __getitem__(self, index: int | slice) -> Any:
        """Return one child, or a slice as a plain ``HybridSequential`` under the same names."""
        if isinstance(index, slice):
            return named_sequence(list(self._children.items())[index])
        return super().__getitem__(index)


class Block(HybridBlock):
    """1×1, 3×3 with squeeze-and-excitation, 1×1, and the shortcut (ibid., Figure 4 and 5.4).

    Attributes:
        branch_scale: what each image's branch is multiplied by, [n]; set in training with
            stochastic depth.
    """

    branch_scale: Any = None

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.f = _branch(a, stage, place)
            self.proj = shortcut(a, stage, place)
            self.gate = None
            if stage.block.gated:
                plan = ConvolutionSpec(width=stage.width, kernel=1, stride=place.stride)
                self.gate = convolution(a, place.channels, plan, bias=True)
            self.activation = activation(a)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        y = self.f(x)
        gate = None if self.gate is None else F.sigmoid(self.gate(x))
        if self.proj is not None:
            x = self.proj(x)
        if gate is not None:  # Srivastava et al. 2015, equation 3
            gate = scale_branch(F, gate, self.branch_scale)
            return self.activation(gate * y + (1 - gate) * x)
        return self.activation(scale_branch(F, y, self.branch_scale) + x)


def _branch(a: Architecture, stage: Stage, place: BlockGeometry) -> Any:
    first, second, third = convolutions(stage, place)
    squeeze = stage.block.squeezed_width(place.channels)
    parts = [("a", _unit(a, place.channels, first)), ("b", _unit(a, first.width, second))]
    if squeeze is not None and stage.block.squeeze_at == "3x3":
        parts.append(("se", SqueezeExcitation(a, second.width, squeeze)))
    last = sequence(convolution(a, second.width, third), norm(a, third.width))
    parts.append(("c", last))
    if squeeze is not None and stage.block.squeeze_at == "branch":
        parts.append(("se", SqueezeExcitation(a, third.width, squeeze)))
    return named_sequence(parts)


def _unit(a: Architecture, c_in: int, plan: ConvolutionSpec) -> Any:
    return sequence(convolution(a, c_in, plan), norm(a, plan.width), activation(a))
