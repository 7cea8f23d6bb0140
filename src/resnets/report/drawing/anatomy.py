"""What a residual block consists of, found in the trace: branch, shortcut, gate, scalings."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from resnets.networks.layers import Layer, Trace


@dataclass(frozen=True, kw_only=True)
class Way:
    """Layers one after the other, and the name of the layer that the first of them reads."""

    source: str
    layers: tuple[Layer, ...]

    @property
    def end(self) -> str:
        """Name of the layer that gives its result."""
        return self.layers[-1].name if self.layers else self.source


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A residual block.

    Attributes:
        name: canonical, such as ``layer2.0``.
        source: the layer that the block reads.
        branch, shortcut: what is added; a shortcut without layers is the identity.
        gate: what weighs the sum, up to the sigmoid; None without a gate.
        excitations: for each scaling of the branch, the way to its factors, by the scaling's name.
        total: the sum.
        after: what follows the sum.
    """

    name: str
    source: Layer
    branch: Way
    shortcut: Way
    gate: Way | None
    excitations: dict[str, Way]
    total: Layer
    after: tuple[Layer, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, in no particular order."""
        ways = [self.branch, self.shortcut, *self.excitations.values()]
        ways += [self.gate] if self.gate else []
        return (*(layer for way in ways for layer in way.layers), self.total, *self.after)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what it puts out."""
        return self.total.shape

    @property
    def grouped(self) -> Layer | None:
        """The convolution in groups, where the branch has one."""
        found = (x for x in self.branch.layers if x.operation == "convolution" and x.groups > 1)
        return next(found, None)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Blocks of one stage that are alike, drawn as one: the first of them, and how many."""

    block: Anatomy
    count: int


def find_blocks(trace: Trace) -> list[Anatomy]:
    """Return every block of a network, taken apart, in order."""
    inside = [layer for layer in trace.layers if layer.block]
    return [
        take_apart(trace, name, tuple(layers))
        for name, layers in groupby(inside, lambda layer: layer.block)
    ]


def take_apart(trace: Trace, name: str, layers: Sequence[Layer]) -> Anatomy:
    """Return the parts of the block that has these layers."""
    total = next(layer for layer in layers if layer.operation in ("add", "gated_add"))
    own = {layer.name for layer in layers}
    branch = _follow_way(trace, total.inputs[0], own)
    through = own - {layer.name for layer in branch.layers}
    gate = _follow_way(trace, total.inputs[2], through) if total.operation == "gated_add" else None
    scalings = [layer for layer in branch.layers if layer.operation == "scale"]
    return Anatomy(
        name=name,
        source=trace.by_name[branch.source],
        branch=branch,
        shortcut=_follow_way(trace, total.inputs[1], through),
        gate=gate,
        excitations={
            layer.name: _follow_way(trace, layer.inputs[1], through) for layer in scalings
        },
        total=total,
        after=tuple(layers[layers.index(total) + 1 :]),
    )


def group_alike(stage: Sequence[Anatomy]) -> list[Run]:
    """Return neighbouring blocks that differ only in their names together."""
    found = [list(alike) for _, alike in groupby(stage, _make_key)]
    return [Run(block=alike[0], count=len(alike)) for alike in found]


def _follow_way(trace: Trace, end: str, through: set[str]) -> Way:
    """Return the way back from the layer ``end`` by first inputs that are in ``through``."""
    layers: list[Layer] = []
    while end in through:
        layers.append(trace.by_name[end])
        end = layers[-1].inputs[0]
    return Way(source=end, layers=tuple(reversed(layers)))


def _make_key(block: Anatomy) -> tuple[Any, ...]:
    """Return everything that a picture of the block shows, except its name."""
    costs = ((x.operation, x.kernel, x.stride, x.groups, x.dilation, x.shape) for x in block.layers)
    return (block.source.shape, len(block.shortcut.layers), *costs)
