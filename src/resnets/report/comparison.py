"""Networks side by side: what they cost against the first, and their stages as papers draw them.

The stages are rows of the form of He et al. 2015, Table 1: conv1, conv2_x and so on, each block as
the list of its convolutions (kernel, channels) and how often it stands there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from resnets.networks.geometry import BlockGeometry, block_geometries, convolutions
from resnets.networks.layers import Trace
from resnets.networks.memory import (
    BATCH_SIZES,
    Memory,
    format_megabytes,
    memory_json,
    training_memories,
    training_memory,
)
from resnets.networks.spec import Stage
from resnets.report.summary import count_weighted_layers, field_json, format_field, format_shape

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from resnets.tables import Row

COUNTED = ("parameters", "multiply_adds", "activations")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A row of a paper's table: a part of one network.

    Attributes:
        name: ``conv1``, ``pool``, ``conv2_x`` and so on, ``head``.
        shape: of its output for one image.
        lines: the layers of a block, one after the other.
        depth: how often the block stands there.
    """

    name: str
    shape: tuple[int, ...]
    lines: tuple[str, ...]
    depth: int = 1

    def __str__(self) -> str:
        inside = "; ".join(self.lines)
        return f"[{inside}] ×{self.depth}" if self.name.endswith("_x") else inside


def list_parts(trace: Trace) -> list[Part]:
    """Return the stem, the stages and the head of a network."""
    a, found = trace.architecture, list(_list_stem(trace))
    for i, (stage, row) in enumerate(zip(a.stages, block_geometries(a), strict=True)):
        shape = trace.by_name[trace.features[f"stage{i + 1}"]].shape
        lines = tuple(_list_block(stage, row))
        found.append(Part(name=f"conv{i + 2}_x", shape=shape, lines=lines, depth=stage.depth))
    found.append(Part(name="head", shape=(a.classes,), lines=("mean-pool", f"dense, {a.classes}")))
    return found


def _list_stem(trace: Trace) -> Iterator[Part]:
    layers = [layer for layer in trace.layers if layer.part == "stem"]
    convolved = [layer for layer in layers if layer.operation == "convolution"]
    lines = [
        _format_convolution(layer.kernel, layer.shape[0], stride=_format_stride("/", layer.stride))
        for layer in convolved
    ]
    yield Part(name="conv1", shape=convolved[-1].shape, lines=tuple(lines))
    for layer in layers:
        if layer.operation == "max_pool":
            text = f"{layer.kernel}×{layer.kernel} max-pool, /{layer.stride}"
            yield Part(name="pool", shape=layer.shape, lines=(text,))


def _list_block(stage: Stage, row: tuple[BlockGeometry, ...]) -> Iterator[str]:
    """Yield the layers of a later block of the stage; only those of the first may be strided."""
    block, last = stage.block, row[-1]
    squeezed = block.squeezed_width(last.channels)
    squeeze = "" if squeezed is None else f"squeeze, {squeezed}"
    only = "/" if stage.depth == 1 else "first /"
    plans = zip(convolutions(stage, row[0]), convolutions(stage, last), strict=True)
    for k, (first, later) in enumerate(plans):
        if block.kind == "shift" and k == 1:
            yield "shift"
        yield _format_convolution(
            later.kernel,
            later.width,
            groups=later.groups,
            stride=_format_stride(only, first.stride),
            dilation=later.dilation,
        )
        if squeeze and later.kernel == 3 and block.squeeze_at == "3x3":
            yield squeeze
    if squeeze and block.squeeze_at == "branch":
        yield squeeze
    if block.gated:
        yield f"gate, {stage.width}"


def _format_stride(word: str, stride: int) -> str:
    return f", {word}{stride}" if stride > 1 else ""


def _format_convolution(
    kernel: int, width: int, *, groups: int = 1, stride: str = "", dilation: int = 1
) -> str:
    grouped = f", {groups} groups" if groups > 1 else ""
    dilated = f", *{dilation}" if dilation > 1 and kernel > 1 else ""
    return f"{kernel}×{kernel}, {width}{grouped}{stride}{dilated}"


def compare_json(
    traces: Sequence[Trace], names: Sequence[str], *, batches: Sequence[int] = BATCH_SIZES
) -> dict[str, Any]:
    """Return the costs and stages of each network, and the costs relative to the first network.

    Raises:
        InvalidDescription: where a batch is not a positive number of images.
    """
    first = traces[0]
    return {
        "networks": [
            _network_json(trace, first, name=name, batches=batches)
            for trace, name in zip(traces, names, strict=True)
        ]
    }


def _network_json(
    trace: Trace, first: Trace, *, name: str, batches: Sequence[int]
) -> dict[str, Any]:
    counts = {key: getattr(trace, key) for key in COUNTED}
    against = {key: getattr(first, key) for key in COUNTED}
    return {
        "name": name,
        "input": list(trace.layers[0].shape),
        "classes": trace.architecture.classes,
        "layers": count_weighted_layers(trace),
        "blocks": [stage.depth for stage in trace.architecture.stages],
        "widths": [stage.width for stage in trace.architecture.stages],
        **counts,
        **field_json(trace.receptive_field),
        "training_memory": [memory_json(memory) for memory in training_memories(trace, batches)],
        "difference": {key: counts[key] - against[key] for key in COUNTED},
        "ratio": {key: counts[key] / against[key] for key in COUNTED},
        "parts": [
            {
                "name": part.name,
                "shape": list(part.shape),
                "block": list(part.lines),
                "depth": part.depth,
            }
            for part in list_parts(trace)
        ],
    }


def compare_table(
    traces: Sequence[Trace], names: Sequence[str], *, batches: Sequence[int] = BATCH_SIZES
) -> "Comparison":
    """Return a table of what ``compare_json`` returns, a column for each network.

    Networks that do not fit beside the first follow below, beside the first again.

    Raises:
        InvalidDescription: where a batch is not a positive number of images.
    """
    short = [PurePath(name).name for name in names]
    headings = short if len(set(short)) == len(set(names)) else list(names)
    memories = [[training_memory(trace, batch) for batch in batches] for trace in traces]
    figures = [
        list(_list_figures(trace, traces[0], own, memories[0]))
        for trace, own in zip(traces, memories, strict=True)
    ]
    labels = [label for label, _ in figures[0]]
    columns = [[cell for _, cell in own] for own in figures]
    stages = _draw_stages([list_parts(trace) for trace in traces])
    return Comparison(headings, (_Grid("", labels, columns, right=True), stages))


def _list_figures(
    trace: Trace, first: Trace, memories: list[Memory], of_first: list[Memory]
) -> Iterator[tuple[str, str]]:
    """Yield the lines of one network: a label and a figure."""
    a = trace.architecture
    yield "input", format_shape(trace.layers[0].shape)
    yield "classes", str(a.classes)
    yield "layers", str(count_weighted_layers(trace))
    yield "blocks", " ".join(str(stage.depth) for stage in a.stages)
    yield "widths", " ".join(str(stage.width) for stage in a.stages)
    yield "receptive field", format_field(trace.receptive_field)
    for key in COUNTED:
        count, other = getattr(trace, key), getattr(first, key)
        yield key.replace("_", "-"), f"{count:,}"
        yield "", "" if trace is first else f"{count - other:+,} ×{count / other:.3f}"
    for memory, other in zip(memories, of_first, strict=True):
        yield f"batch {memory.batch}, fp32 SGD", format_megabytes(memory.total)
        yield "", "" if trace is first else f"×{memory.total / other.total:.3f}"


def _draw_stages(found: Sequence[Sequence[Part]]) -> "_Grid":
    """Return the parts of each network under each other, the same parts on the same lines."""
    named = [{part.name: part for part in own} for own in found]
    last = max(len(own) for own in found)
    labels: list[str] = []
    columns: list[list[str]] = [[] for _ in found]
    for name in ("conv1", "pool", *(f"conv{k}_x" for k in range(2, last + 1)), "head"):
        cells = [_format_cell(own.get(name)) for own in named]
        height = max(map(len, cells))
        labels += [name, *[""] * (height - 1)][:height]
        for column, cell in zip(columns, cells, strict=True):
            column += [*cell, *[""] * (height - len(cell))]
    return _Grid("stage", labels, columns)


def _format_cell(part: Part | None) -> list[str]:
    """Return the height and width of the output, then the block, one layer a line."""
    if part is None:
        return []
    size = [format_shape(part.shape[1:])] if len(part.shape) == 3 else []
    return size + str(part).replace("; ", "\n " if str(part)[0] == "[" else "\n").split("\n")


@dataclass(frozen=True)
class _Grid:
    """Labelled lines with a column for each network."""

    title: str
    labels: list[str]
    columns: list[list[str]]
    right: bool = False

    def width(self, i: int) -> int:
        """Characters that a network's column takes where room is short."""
        return max(len(cell.replace(" × ", "×")) for cell in self.columns[i])

    @property
    def label_width(self) -> int:
        return max(map(len, (self.title, *self.labels)))

    def rows(self, shown: list[int]) -> "list[Row]":
        from resnets.tables import Row

        columns = [self.columns[i] for i in shown]
        lines = zip(self.labels, *columns, strict=True)
        return [Row(cells, "" if cells[0] else "dim") for cells in lines if any(cells)]


@dataclass(frozen=True)
class Comparison:
    """Something for ``Console.print``: figures, then stages, a column for each network."""

    headings: Sequence[str]
    grids: Sequence[_Grid]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from resnets.tables import Column, Table

        for number, shown in enumerate(self._groups(options.max_width)):
            if number:
                yield ""
            for k, grid in enumerate(self.grids):
                if k:
                    yield ""
                columns = [Column(self.headings[i], align_right=grid.right) for i in shown]
                yield Table((Column(grid.title), *columns), grid.rows(shown))

    def _groups(self, limit: int) -> Iterator[list[int]]:
        """Yield the networks to stand beside each other, the first always among them."""
        widths = [
            max(len(heading), *(grid.width(i) for grid in self.grids))
            for i, heading in enumerate(self.headings)
        ]
        labels = max(grid.label_width for grid in self.grids)
        shown, used = [0], labels + 1 + widths[0]
        for i in range(1, len(widths)):
            if used + 1 + widths[i] > limit and len(shown) > 1:
                yield shown
                shown, used = [0], labels + 1 + widths[0]
            shown.append(i)
            used += 1 + widths[i]
        yield shown
