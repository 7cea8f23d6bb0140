"""Networks that become deeper without becoming another function.

A block whose branch ends in zero is its shortcut: added to a trained network it changes nothing,
and training goes on from there (nested function classes, *Dive into Deep Learning* 8.6.1; Chen et
al. 2015, "Net2Net", arXiv:1511.05641, section 2.3). Everything here works on canonical arrays, so
it serves every framework.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from resnets.errors import GrowthError
from resnets.networks import catalog, reference
from resnets.networks.architecture import Architecture
from resnets.networks.initialization import Scheme, initial_weights, last_scales
from resnets.networks.naming import block_names
from resnets.networks.network import Weights, check_weights
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Momentum, Placement, Start

INEXACT_STARTS = {"stack": "as whole copies", "random": "at random"}
"""The starts that change the function, in words."""

MOMENTS = ("momentum", "mean", "square")
"""Parts of a session's state that begin at zero for new tensors."""


@dataclass(frozen=True)
class Deepening:
    """How one network becomes a deeper one.

    Attributes:
        source, target: the two; all but the name and the stages' depths are equal.
        placement: new blocks follow a stage's old ones (``end``), or are spread evenly between
            them (``interleaved``). A stage's first block stays the first.
        start: what new blocks are: ``identity``, drawn at random but for a last scale of zero;
            ``copy``, the old block before them but for a last scale of zero; ``stack``, all of
            the old block before them (Gong et al. 2019, "Efficient Training of BERT by
            Progressively Stacking"); ``random``, drawn at random. The last two change the
            function.
        seed: of what is drawn.
        momentum: what becomes of the moments of old tensors: ``carry``, they are kept; ``clear``,
            they begin with none, like new ones.
        scheme: of what is drawn, as in ``initial_weights``.

    Raises:
        GrowthError: where the target does not contain the source, with the first difference; or
            where it has no block more.
    """

    source: Architecture
    target: Architecture
    placement: Placement = "end"
    start: Start = "identity"
    seed: int = 0
    momentum: Momentum = "carry"
    scheme: Scheme = "he"

    def __post_init__(self) -> None:
        difference = first_difference(self.source, self.target)
        if difference:
            to, of = self.target.name or "the target", self.source.name or "the network"
            raise GrowthError(f"{to} does not contain {of}: {difference}")
        if block_names(self.source) == block_names(self.target):
            raise GrowthError(f"{self.target.name or 'the target'} adds no block")

    @property
    def obstacle(self) -> str:
        """Why the new network is not exactly the same function; empty where it is.

        Exact means: in evaluation the logits are the same bit for bit, and in training what the
        new blocks add is zero.
        """
        if self.start in INEXACT_STARTS:
            return f"new blocks that begin {INEXACT_STARTS[self.start]} change the function"
        return identity_obstacle(self.target)

    def grow_weights(self, weights: Weights) -> Weights:
        """Give the target's weights.

        Raises:
            WeightsError: if ``grow_weights`` are not the source's.
        """
        check_weights(self.source, weights)
        copied = self._copy_sources if self.start in ("copy", "stack") else {}
        found: Weights = {}
        for name, old in self.origins.items():
            like = weights.get(copied.get(name, ""))
            if old:
                found[name] = weights[old]
            elif like is not None and name not in self._new_kernels:
                zeroed = self.start == "copy" and name in self._zero_initialised
                found[name] = np.zeros_like(like) if zeroed else like.copy()
            else:
                found[name] = self._initial_weights[name]
        return found

    def grow_state(self, state: Mapping[str, npt.NDArray[Any]]) -> Weights:
        """Give a session's state: new tensors begin with no moments, old ones as chosen.

        ``born/NAME`` says after which step AdamW's count for a new tensor begins.
        """
        parts = {key.partition("/")[0] for key in state}
        found: Weights = {}
        for part in ("weights", "average"):
            if part in parts:
                own = {n: state[f"{part}/{n}"] for n in _tensor_names(self.source)}
                found |= {
                    f"{part}/{name}": array.astype(own[next(iter(own))].dtype)
                    for name, array in self.grow_weights(own).items()
                }
        for name, origin in self.origins.items():
            if not self.is_parameter[name]:
                continue
            old = origin if self.momentum == "carry" else None
            for part in (part for part in MOMENTS if part in parts):
                new = np.zeros_like(found[f"weights/{name}"])
                found[f"{part}/{name}"] = state[f"{part}/{old}"] if old else new
            if old and f"born/{old}" in state:
                found[f"born/{name}"] = state[f"born/{old}"]
            elif not old and "mean" in parts:
                found[f"born/{name}"] = state["steps"]
        return {**found, "steps": state["steps"]}

    def measure_difference(self, weights: Weights, size: int = 32) -> float:
        """Measure how far the logits move, relative to their size, in float64 on random images."""
        x = np.random.default_rng(self.seed).normal(size=(2, self.source.channels, size, size))
        before, after = (
            reference.forward(a, {n: v.astype(np.float64) for n, v in w.items()}, x).logits
            for a, w in ((self.source, weights), (self.target, self.grow_weights(weights)))
        )
        return float(np.abs(after - before).max() / (np.abs(before).max() or 1))

    @cached_property
    def is_parameter(self) -> dict[str, bool]:
        """Whether each tensor of the target is a parameter, not a running statistic."""
        return {
            t.name: t.is_parameter for layer in trace(self.target, 32).layers for t in layer.tensors
        }

    @cached_property
    def fade_in_values(self) -> Weights:
        """What tensors that begin at zero would be drawn as: new blocks' last scales or kernels.

        None where new blocks change the function at once.
        """
        if self.start in INEXACT_STARTS:
            return {}
        ends = last_scales(trace(self.target, 32))
        drawn = initial_weights(self.target, seed=self.seed, scheme=self.scheme)
        return {n: drawn[n].astype(np.float64) for n in ends if self.origins[n] is None}

    @cached_property
    def _initial_weights(self) -> Weights:
        zero = self.start not in INEXACT_STARTS
        return initial_weights(
            self.target, seed=self.seed, scheme=self.scheme, zero_last_scale=zero
        )

    @cached_property
    def _new_kernels(self) -> frozenset[str]:
        """Tensors that no copy fits, and those of the norms behind such a convolution.

        A stage's first block changes the shape: what follows it copies what it can.
        """
        shapes = {t.name: t.shape for layer in trace(self.source, 32).layers for t in layer.tensors}
        unfit: set[str] = set()
        drawn: set[str] = set()
        for layer in trace(self.target, 32).layers:
            names = [tensor.name for tensor in layer.tensors]
            own = [
                t
                for t in layer.tensors
                if shapes.get(self._copy_sources.get(t.name, "")) == t.shape
            ]
            behind = layer.operation in ("norm", "group_norm") and layer.inputs[0] in unfit
            if len(own) < len(names) or behind:
                unfit.add(layer.name)
                drawn.update(names)
        return frozenset(drawn)

    @cached_property
    def _zero_initialised(self) -> frozenset[str]:
        """Last scales of branches, and the shifts beside them."""
        scales = last_scales(trace(self.target, 32))
        return scales | {f"{name.removesuffix('.weight')}.bias" for name in scales}

    @cached_property
    def origins(self) -> dict[str, str | None]:
        """Every tensor of the target with the tensor that it was; None for a new one."""
        return self._map_names(new=False)

    @cached_property
    def _copy_sources(self) -> dict[str, str]:
        """Every tensor of a new block with that of the old block before it."""
        return {name: old for name, old in self._map_names(new=True).items() if old}

    def _map_names(self, *, new: bool) -> dict[str, str | None]:
        before, after = block_names(self.source), block_names(self.target)
        blocks: dict[str, str | None] = {}
        for old_row, row in zip(before, after, strict=True):
            last = ""
            numbers = place_blocks(len(old_row), len(row), placement=self.placement)
            for name, number in zip(row, numbers, strict=True):
                last = last if number is None else old_row[number]
                is_new = number is None
                blocks[name] = last if is_new == new else None
        found: dict[str, str | None] = {}
        for layer in trace(self.target, 32).layers:
            old = blocks[layer.block] if layer.block else (None if new else "")
            for tensor in layer.tensors:
                suffix = tensor.name.removeprefix(layer.block)
                found[tensor.name] = None if old is None else f"{old}{suffix}"
        return found


def deepen(
    architecture: Architecture,
    weights: Weights,
    *,
    to: Architecture | str,
    placement: Placement = "end",
    start: Start = "identity",
    seed: int = 0,
) -> tuple[Architecture, Weights]:
    """Give a deeper network and its weights; ``to`` may be a name of the catalog.

    Of a name the classes and input channels are those of ``architecture``. Whether the function
    is exactly the same, ``Deepening.obstacle`` says.

    Raises:
        GrowthError: where the target does not contain the network, with the first difference.
        UnknownName: if the catalog has no such name.
        WeightsError: if the weights are not the network's.
    """
    if isinstance(to, str):
        to = catalog.get(to, channels=architecture.channels, classes=architecture.classes)
    growth = Deepening(architecture, to, placement, start, seed)
    return growth.target, growth.grow_weights(weights)


def added_tensors(plans: Sequence[Deepening]) -> dict[str, tuple[int, str]]:
    """Name the learned tensors that growths in a row add: its growth's index and its name then.

    The names by which they are found are those of the last network.
    """
    found: dict[str, tuple[int, str]] = {}
    for i, plan in enumerate(plans):
        found = {
            name: (i, name) if old is None else found[old]
            for name, old in plan.origins.items()
            if plan.is_parameter[name] and (old is None or old in found)
        }
    return found


def place_blocks(old: int, new: int, *, placement: Placement) -> list[int | None]:
    """Say for each of a stage's ``new`` blocks which of its ``old`` ones it was; None: none."""
    if placement == "end":
        return [*range(old), *[None] * (new - old)]
    found: list[int | None] = []
    for number in range(old):
        # Old block i is followed by the new ones up to its share of all.
        until = -(-(number + 1) * new // old)
        found += [number, *[None] * (until - len(found) - 1)]
    return found


def first_difference(source: Architecture, target: Architecture) -> str:
    """Say where ``target`` is not ``source`` with more blocks; empty where it is."""
    for field in dataclasses.fields(Architecture):
        if field.name not in ("name", "stages"):
            old, new = getattr(source, field.name), getattr(target, field.name)
            if found := _describe_difference(field.name, old, new=new):
                return found
    if len(source.stages) != len(target.stages):
        return f"stages: {len(source.stages)} here, {len(target.stages)} there"
    for i, (old, new) in enumerate(zip(source.stages, target.stages, strict=True)):
        if found := _describe_difference(f"stages[{i}]", replace(old, depth=new.depth), new=new):
            return found
        if new.depth < old.depth:
            return f"stages[{i}].depth: {old.depth} blocks here, only {new.depth} there"
    return ""


def identity_obstacle(architecture: Architecture) -> str:
    """Why a block whose branch ends in zero is not the identity; empty where it is."""
    a = architecture
    if any(stage.block.gated for stage in a.stages):
        return "a highway gate weakens the shortcut, whatever the branch is"
    if not a.preactivation and a.activation != "relu":
        return f"{a.activation} after the sum changes what it is given; only relu leaves it"
    return ""


def _describe_difference(path: str, old: Any, *, new: Any) -> str:
    if old == new:
        return ""
    if dataclasses.is_dataclass(old) and type(old) is type(new):
        for field in dataclasses.fields(old):
            inside = f"{path}.{field.name}"
            if found := _describe_difference(
                inside, getattr(old, field.name), new=getattr(new, field.name)
            ):
                return found
    return f"{path}: {old} here, {new} there"


def _tensor_names(a: Architecture) -> list[str]:
    return [t.name for layer in trace(a, 32).layers for t in layer.tensors]
