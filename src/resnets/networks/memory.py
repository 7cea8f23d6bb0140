"""What a training step holds in memory, from the description alone.

Counted is a step as this project takes it in PyTorch, when it holds most: at the end of the forward
pass, with the last step's gradients still there. To the byte:

- weights: parameters and running statistics, in fp32 in either precision;
- gradients: one value for each parameter, fp32;
- optimiser: SGD's momentum, or AdamW's means of gradients and of their squares, fp32;
- activations: the arrays that the backward pass reads (``Trace.saved_for_backward``), in fp32 or
bf16, the input
  among them; the places of each max-pool's maxima, 8 bytes each; the mean and deviation by which
  each norm normalised, fp32; in bf16 also the kernels' copies in bf16 that convolutions and dense
  layers read.

Not counted: the batch as it was loaded, the loss, the activations' own gradients (which come while
the activations go), the workspaces of convolutions, averaged weights, what an allocator holds in
reserve, the framework itself.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from resnets.errors import InvalidDescription, Problem
from resnets.networks.layers import Trace

if TYPE_CHECKING:
    from resnets.tables import Table

Precision = Literal["fp32", "bf16"]
Optimiser = Literal["sgd", "adamw"]

PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
OPTIMISERS: tuple[Optimiser, ...] = ("sgd", "adamw")
BATCH_SIZES = (1, 32, 128, 256)
"""Batches that tables show."""

FP32_BYTES = 4
POOL_INDEX_BYTES = 8
BYTES_PER_VALUE = {"fp32": 4, "bf16": 2}
OPTIMISER_TITLES = {"sgd": "SGD", "adamw": "AdamW"}
OPTIMISER_BUFFERS = {"sgd": 1, "adamw": 2}
"""Values that an optimiser keeps for each parameter."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes held in a training step; the module's text says what is counted.

    Attributes:
        batch: images.
        precision: of the activations; fp32 or bf16.
        optimiser: sgd (with momentum) or adamw.
        weights, gradients, buffers, activations: bytes; buffers are the optimiser's.
    """

    batch: int
    precision: Precision
    optimiser: Optimiser
    weights: int
    gradients: int
    buffers: int
    activations: int

    @property
    def total(self) -> int:
        """All of it, in bytes."""
        return self.weights + self.gradients + self.buffers + self.activations


def training_memory(
    trace: Trace, batch: int, *, precision: Precision = "fp32", optimiser: Optimiser = "sgd"
) -> Memory:
    """Count the bytes of a training step.

    Raises:
        InvalidDescription: where the batch is not a positive number of images.
    """
    return _count_bytes(_Sizes.from_trace(trace), batch, precision=precision, optimiser=optimiser)


def training_memories(trace: Trace, batches: Sequence[int] = BATCH_SIZES) -> list[Memory]:
    """Count for every batch, precision and optimiser; raises as ``training_memory``."""
    sizes = _Sizes.from_trace(trace)
    return [
        _count_bytes(sizes, batch, precision=precision, optimiser=optimiser)
        for batch in batches
        for precision in PRECISIONS
        for optimiser in OPTIMISERS
    ]


def memory_json(memory: Memory) -> dict[str, Any]:
    """Give the parts in bytes, and their sum."""
    return {**asdict(memory), "total": memory.total}


def memory_table(memories: Sequence[Memory]) -> "Table":
    """Draw the sums: a line for each batch, a column for each precision and optimiser."""
    from resnets.tables import Column, Row, Table

    kinds = dict.fromkeys((memory.precision, memory.optimiser) for memory in memories)
    columns = [
        Column(f"{precision} {OPTIMISER_TITLES[optimiser]}", align_right=True)
        for precision, optimiser in kinds
    ]
    rows = [
        Row((str(batch), *(format_megabytes(memory.total) for memory in own)))
        for batch, own in groupby(memories, lambda memory: memory.batch)
    ]
    return Table((Column("batch", align_right=True), *columns), rows)


def format_megabytes(count: int) -> str:
    """Write bytes as megabytes: ``102.4 MB``."""
    return f"{count / 1e6:,.1f} MB"


@dataclass(frozen=True, kw_only=True)
class _Sizes:
    """Numbers of values, in a network and kept by its training step."""

    stored: int
    parameters: int
    kernels: int
    activations: int
    places: int
    statistics_a_step: int
    statistics_an_image: int

    @staticmethod
    def from_trace(trace: Trace) -> "_Sizes":
        tensors = [tensor for layer in trace.layers for tensor in layer.tensors]
        running = sum(tensor.size for tensor in tensors if not tensor.is_parameter)
        by_operation = {
            operation: [layer for layer in trace.layers if layer.operation == operation]
            for operation in ("max_pool", "norm", "group_norm")
        }
        return _Sizes(
            stored=trace.parameters + running,
            parameters=trace.parameters,
            kernels=sum(tensor.size for tensor in tensors if tensor.role in ("kernel", "dense")),
            activations=trace.activations,
            places=sum(layer.output_size for layer in by_operation["max_pool"]),
            statistics_a_step=sum(2 * layer.shape[0] for layer in by_operation["norm"]),
            statistics_an_image=sum(2 * layer.groups for layer in by_operation["group_norm"]),
        )

    def activation_bytes(self, batch: int, precision: Precision) -> int:
        width = BYTES_PER_VALUE[precision]
        an_image = (
            width * self.activations
            + POOL_INDEX_BYTES * self.places
            + FP32_BYTES * self.statistics_an_image
        )
        copies = width * self.kernels if precision == "bf16" else 0
        return batch * an_image + FP32_BYTES * self.statistics_a_step + copies


def _count_bytes(
    sizes: _Sizes, batch: int, *, precision: Precision, optimiser: Optimiser
) -> Memory:
    if batch < 1:
        message = f"{batch} is not a number of images from 1"
        raise InvalidDescription("training memory", [Problem("batch", message)])
    return Memory(
        batch=batch,
        precision=precision,
        optimiser=optimiser,
        weights=FP32_BYTES * sizes.stored,
        gradients=FP32_BYTES * sizes.parameters,
        buffers=FP32_BYTES * OPTIMISER_BUFFERS[optimiser] * sizes.parameters,
        activations=sizes.activation_bytes(batch, precision),
    )
