"""ResNet and ResNeXt as plain Gluon ``HybridBlock``: images [n, channels, height, width].

Parts have torchvision's names, and so have the parameters that ``save_parameters`` writes, but
for the norms' scale and shift, which Gluon calls gamma and beta.
"""

from collections.abc import Iterator
from typing import Any

from resnets.backends.mxnet.importing import mx
from resnets.backends.mxnet.parts import (
    Shift,
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


class ResNet(nn.HybridSequential):
    """Stem, stages of residual blocks, global average pool, dense layer.

    Called, it gives logits [n, classes]; ``features`` gives what lies between too.
    """

    def __init__(self, architecture: Architecture, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.architecture = architecture
        with self.name_scope():
            for name, child in _children(architecture):
                setattr(self, name, child)

    def features(self, x: Any) -> dict[str, Any]:
        """Return ``stem``, ``stage1`` and so on [n, c, h, w], ``pooled`` [n, c], ``logits``."""
        found: dict[str, Any] = {}
        for name, child in self._children.items():
            x = child(x)
            if name in _FEATURES or name.startswith("layer"):
                found[_FEATURES.get(name, name.replace("layer", "stage"))] = x
        return found

    def __getitem__(self, index: int | slice) -> Any:
        """Return one child, or a slice as a plain ``HybridSequential`` under the same names."""
        if isinstance(index, slice):
            return named_sequence(list(self._children.items())[index])
        return super().__getitem__(index)


_FEATURES = {"maxpool": "stem", "flatten": "pooled", "fc": "logits"}


def _children(a: Architecture) -> Iterator[tuple[str, Any]]:
    yield "conv1", _stem(a)
    yield "bn1", norm(a, a.stem.width)
    yield "relu", activation(a)
    yield "maxpool", pool(a)
    kinds = {"basic": BasicBlock, "bottleneck": Bottleneck, "shift": ShiftBlock}
    for i, (stage, row) in enumerate(zip(a.stages, block_geometries(a), strict=True)):
        kind = kinds[stage.block.kind]
        yield f"layer{i + 1}", sequence(*(kind(a, stage, place) for place in row))
    yield "avgpool", nn.GlobalAvgPool2D()
    yield "flatten", nn.Flatten()
    yield "fc", nn.Dense(a.classes, in_units=a.stages[-1].width)


def _stem(a: Architecture) -> Any:
    """One convolution, or ResNet-C's three (T. He et al. 2018, Figure 2b)."""
    stem, half = a.stem, a.stem.width // 2
    if not stem.deep:
        plan = ConvolutionSpec(width=stem.width, kernel=stem.kernel, stride=stem.stride)
        return convolution(a, a.channels, plan)
    return sequence(
        convolution(a, a.channels, ConvolutionSpec(width=half, kernel=3, stride=stem.stride)),
        norm(a, half),
        activation(a),
        convolution(a, half, ConvolutionSpec(width=half, kernel=3)),
        norm(a, half),
        activation(a),
        convolution(a, half, ConvolutionSpec(width=stem.width, kernel=3)),
    )


class _Block(HybridBlock):
    """What the kinds share: scaling, the shortcut, the sum and the ReLU after it.

    Attributes:
        branch_scale: what each image's branch is multiplied by, [n]; set in training with
            stochastic depth.
    """

    branch_scale: Any = None

    def __init__(self, a: Architecture, stage: Stage, place: BlockGeometry, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.begin(a, stage, place)
            self.finish(a, stage, place)

    def begin(self, a: Architecture, stage: Stage, place: BlockGeometry) -> None:
        """Register the parts of a kind: its convolutions and norms."""
        channels = place.channels
        for k, plan in enumerate(convolutions(stage, place), 1):
            setattr(self, f"conv{k}", convolution(a, channels, plan))
            setattr(self, f"bn{k}", norm(a, plan.width))
            channels = plan.width

    def finish(self, a: Architecture, stage: Stage, place: BlockGeometry) -> None:
        """Register the shared parts; after a kind's own, for the usual order of parameters."""
        block, squeeze = stage.block, stage.block.squeezed_width(place.channels)
        excited = stage.width if block.squeeze_at == "branch" else block.inner_width(stage.width)
        self.se = None if squeeze is None else SqueezeExcitation(a, excited, squeeze)
        self.squeeze_at = block.squeeze_at
        self.downsample = shortcut(a, stage, place)
        self.gate = None
        if block.gated:
            plan = ConvolutionSpec(width=stage.width, kernel=1, stride=place.stride)
            self.gate = convolution(a, place.channels, plan, bias=True)
        self.relu = activation(a)

    def join(self, F: Any, x: Any, y: Any) -> Any:  # noqa: N803
        """Add the branch ``y`` to the shortcut of the block's input ``x``."""
        if self.se is not None and self.squeeze_at == "branch":
            y = self.se(y)
        gate = None if self.gate is None else F.sigmoid(self.gate(x))
        if self.downsample is not None:
            x = self.downsample(x)
        if gate is not None:  # Srivastava et al. 2015, equation 3
            gate = scale_branch(F, gate, self.branch_scale)
            return self.relu(gate * y + (1 - gate) * x)
        return self.relu(scale_branch(F, y, self.branch_scale) + x)


class BasicBlock(_Block):
    """3×3, 3×3, and the shortcut (He et al. 2015, Figure 5 left)."""

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        y = self.relu(self.bn1(self.conv1(x)))
        return self.join(F, x, self.bn2(self.conv2(y)))


class Bottleneck(_Block):
    """1×1, 3×3, 1×1, and the shortcut (He et al. 2015, Figure 5 right).

    With groups it is ResNeXt's block (Xie et al. 2016, Figure 3c).
    """

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        if self.se is not None and self.squeeze_at == "3x3":
            y = self.se(y)
        return self.join(F, x, self.bn3(self.conv3(y)))


class ShiftBlock(_Block):
    """1×1, shift, 1×1, and the shortcut (Wu et al. 2018, Figure 4)."""

    def begin(self, a: Architecture, stage: Stage, place: BlockGeometry) -> None:
        """Register the convolutions, the norms and the shift."""
        super().begin(a, stage, place)
        self.shift = Shift(convolutions(stage, place)[0].width, place.dilations[0])

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        y = self.relu(self.bn1(self.conv1(x)))
        return self.join(F, x, self.bn2(self.conv2(self.shift(y))))
