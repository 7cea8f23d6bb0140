"""What a network is made of and what it costs: tables for people, JSON for programs.

Both come from the architecture alone; no framework is needed. Megabytes are 10⁶ bytes.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from resnets.networks import catalog
from resnets.networks.geometry import default_image_size
from resnets.networks.layers import Layer, ReceptiveField, Trace
from resnets.networks.memory import (
    BATCH_SIZES,
    format_megabytes,
    memory_json,
    memory_table,
    training_memories,
)
from resnets.networks.spec import Stage
from resnets.networks.tracing import trace

if TYPE_CHECKING:
    from rich.console import RenderableType

    from resnets.tables import Row, Rule

SPOKEN = {
    "max_pool": "max-pool",
    "mean_pool": "mean-pool",
    "average_pool": "average-pool",
    "pad_shortcut": "pad shortcut",
    "group_norm": "group norm",
    "gated_add": "gated add",
    "leaky_relu": "leaky relu",
}
"""Operations whose name in a table is not their name in JSON."""

BESIDE = re.compile(r"\.(downsample|proj|gate)\b")
"""Names of convolutions that stand beside the main path."""


def show_json(trace: Trace, batches: Sequence[int] = BATCH_SIZES) -> dict[str, Any]:
    """Return every layer with its exact costs for one image, and what training takes in bytes.

    ``activations`` count the values that a training step keeps for the backward pass. A layer's
    are what it puts out, if that is kept, so that the layers add up to the network. A
    ``receptive_field`` is in pixels, its ``field_stride`` from one value to the next; both are
    null where the field is the whole image. The network's is that of the last stage.

    Raises:
        InvalidDescription: where a batch is not a positive number of images.
    """
    return {
        "name": trace.architecture.name,
        "input": list(trace.layers[0].shape),
        "parameters": trace.parameters,
        "multiply_adds": trace.multiply_adds,
        "activations": trace.activations,
        **field_json(trace.receptive_field),
        "training_memory": [memory_json(memory) for memory in training_memories(trace, batches)],
        "layers": [_layer_json(layer, trace) for layer in trace.layers],
        "architecture": trace.architecture.to_json(),
    }


def show_table(trace: Trace, batches: Sequence[int] = BATCH_SIZES) -> "RenderableType":
    """Return a table of the layers under their blocks and stages, their sums, and training memory.

    On a narrow terminal the gaps close; then receptive fields, activations, output shapes and
    multiply-adds go.

    Raises:
        InvalidDescription: where a batch is not a positive number of images.
    """
    from rich.console import Group
    from rich.text import Text

    from resnets.tables import Column, Table

    columns = (
        Column("layer"),
        Column("operation"),
        Column("output", drop_priority=2),
        Column("parameters", align_right=True),
        Column("multiply-adds", align_right=True, drop_priority=1),
        Column("activations", align_right=True, drop_priority=3),
        Column("field", align_right=True, drop_priority=4),
    )
    a = trace.architecture
    title = f"{a.name or 'network'} for {format_shape(trace.layers[0].shape)}, {a.classes} classes"
    layers = Table(columns, list(_list_lines(trace)))
    memory = memory_table(training_memories(trace, batches))
    said = Text("a training step: weights, gradients, optimiser, kept activations", "dim")
    return Group(Text(title, "bold"), "", layers, "", _draw_footer(trace), "", said, memory)


def models_json(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the costs of networks of the catalog, each at the size it is made for.

    Raises:
        UnknownName: if the catalog lacks one.
    """
    return [_model_json(name) for name in names]


def models_table(names: Sequence[str]) -> "RenderableType":
    """Return a table of what ``models_json`` returns, a line for each network.

    Raises:
        UnknownName: if the catalog lacks one.
    """
    from resnets.tables import Column, Row, Table

    columns = (
        Column("network"),
        Column("input"),
        Column("classes", align_right=True, drop_priority=1),
        Column("layers", align_right=True),
        Column("blocks"),
        Column("parameters", align_right=True),
        Column("multiply-adds", align_right=True),
    )
    rows = [
        Row(
            (
                model["name"],
                format_shape(model["input"]),
                str(model["classes"]),
                str(model["layers"]),
                " ".join(map(str, model["blocks"])),
                f"{model['parameters']:,}",
                f"{model['multiply_adds']:,}",
            )
        )
        for model in models_json(names)
    ]
    return Table(columns, rows)


def field_json(field: ReceptiveField | None) -> dict[str, int | None]:
    """Return a receptive field's size and stride in pixels; null for the whole image."""
    size, stride = (None, None) if field is None else (field.size, field.stride)
    return {"receptive_field": size, "field_stride": stride}


def format_shape(shape: Sequence[int]) -> str:
    """Return a shape as text: ``64 × 56 × 56``."""
    return " × ".join(map(str, shape))


def count_weighted_layers(trace: Trace) -> int:
    """Return the number of convolutions and dense layers on the main path: the 50 of ResNet-50.

    Projections, gates and squeeze-and-excitation stand beside it.
    """
    return sum(
        (layer.operation == "convolution" and not BESIDE.search(layer.name))
        or (layer.operation == "dense" and layer.part == "head")
        for layer in trace.layers
    )


def _model_json(name: str) -> dict[str, Any]:
    architecture = catalog.get(name)
    found = trace(architecture, default_image_size(architecture))
    return {
        "name": name,
        "input": list(found.layers[0].shape),
        "classes": architecture.classes,
        "layers": count_weighted_layers(found),
        "blocks": [stage.depth for stage in architecture.stages],
        "parameters": found.parameters,
        "multiply_adds": found.multiply_adds,
        "activations": found.activations,
    }


def _layer_json(layer: Layer, trace: Trace) -> dict[str, Any]:
    return {
        "name": layer.name,
        "operation": layer.operation,
        "inputs": list(layer.inputs),
        "shape": list(layer.shape),
        "kernel": layer.kernel,
        "dilation": layer.dilation,
        "stride": layer.stride,
        "padding": layer.padding,
        "groups": layer.groups,
        "parameters": layer.parameters,
        "multiply_adds": layer.multiply_adds,
        "activations": layer.output_size if layer.name in trace.saved_for_backward else 0,
        **field_json(trace.receptive_fields[layer.name]),
    }


def _list_lines(trace: Trace) -> "Iterator[Row | Rule]":
    """Yield the table's lines: a rule for each stage, a heading for each block, the layers."""
    from resnets.tables import Row, Rule

    stages = {f"stage{i + 1}": stage for i, stage in enumerate(trace.architecture.stages)}
    for part, layers in groupby(trace.layers, lambda layer: layer.part):
        own = list(layers)
        yield Rule(_format_part(part, stages.get(part), own))
        for block, inside in groupby(own, lambda layer: layer.block):
            if block:
                yield Row((block, "", "", "", "", "", ""), "bold")
            for layer in inside:
                cells = _list_cells(layer, layer.name.removeprefix(block), trace)
                yield Row(cells, "" if layer.multiply_adds else "dim")
    yield Rule()
    total = _format_numbers(trace.parameters, trace.multiply_adds, trace.activations)
    yield Row(("total", "", "", *total, ""), "bold")


def _format_part(part: str, stage: Stage | None, layers: list[Layer]) -> str:
    if stage is None:
        return part
    blocks = f"{stage.depth} {stage.block.kind} block{'s' if stage.depth > 1 else ''}"
    parameters = sum(layer.parameters for layer in layers)
    return f"{part}: {blocks}, {parameters:,} parameters"


def _list_cells(layer: Layer, name: str, trace: Trace) -> tuple[str, ...]:
    kept = layer.output_size if layer.name in trace.saved_for_backward else 0
    costs = _format_numbers(layer.parameters, layer.multiply_adds, kept)
    indented = f"  {name[1:]}" if name.startswith(".") else name
    field = format_field(trace.receptive_fields[layer.name])
    return (indented, _format_operation(layer), format_shape(layer.shape), *costs, field)


def format_field(field: ReceptiveField | None) -> str:
    """Return a receptive field's size and stride in pixels: ``99 /8``."""
    return "image" if field is None else f"{field.size} /{field.stride}"


def _format_operation(layer: Layer) -> str:
    """Return what a layer does: ``convolution 3×3 /2, 32 groups``."""
    text = SPOKEN.get(layer.operation, layer.operation)
    if layer.operation in ("convolution", "max_pool", "average_pool"):
        text += f" {layer.kernel}×{layer.kernel}"
    if layer.stride > 1:
        text += f" /{layer.stride}"
    if layer.dilation > 1:
        text += f" *{layer.dilation}"
    return f"{text}, {layer.groups} groups" if layer.groups > 1 else text


def _format_numbers(*numbers: int) -> tuple[str, ...]:
    """Return numbers as text; zeros are empty, so that the others stand out."""
    return tuple([f"{number:,}" if number else "" for number in numbers])


def _draw_footer(trace: Trace) -> "RenderableType":
    """Return the sizes of weights and activations in bytes."""
    from rich.console import Group
    from rich.text import Text

    stored = sum(tensor.size for layer in trace.layers for tensor in layer.tensors)
    lines = (
        ("weights, with running statistics", stored),
        ("activations that a training step keeps for one image", trace.activations),
    )
    return Group(
        *(
            Text.assemble(
                (f"{text}: ", "dim"),
                f"{format_megabytes(4 * values)} at fp32",
                (", ", "dim"),
                f"{format_megabytes(2 * values)} at bf16",
            )
            for text, values in lines
        )
    )
