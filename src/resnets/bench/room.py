"""Whether there is memory for the processes, and who must wait for whom where there is not."""

from collections.abc import Sequence

from resnets.bench.contenders import Contender
from resnets.bench.convolutions import distinct
from resnets.bench.work import Work
from resnets.errors import RunError
from resnets.networks.layers import Trace
from resnets.networks.memory import training_memory

Entry = tuple[Contender, Work]
"""A row, and the work it is to do: the same for all but for our rows' precision."""

FRAMEWORK_BYTES = {"torch": 400e6, "jax": 500e6, "tensorflow": 700e6, "mxnet": 400e6}
"""What a process has in memory before it does anything, about."""

WORKSPACE = 1.3
"""Gradients of activations, workspaces and what an allocator keeps, over what must be held."""

FP32 = 4


def needed(contender: Contender, work: Work) -> int:
    """Estimate the bytes that a row's process has in memory at most, in fp32."""
    trace = work.trace()
    channels, height, width = trace.layers[0].shape
    stored = work.batch * work.drawn_batches() * channels * height * width * (FP32 + 1)
    if contender.name == "limit":
        held = _of_convolutions(trace, work.batch)
    elif work.purpose == "training":
        held = training_memory(trace, work.batch).total
    else:
        # An output, what it is computed from, and a shortcut that waits.
        largest = sorted(layer.activation for layer in trace.layers)[-3:]
        held = FP32 * (work.batch * sum(largest) + trace.parameters)
    return int(FRAMEWORK_BYTES[contender.framework] + WORKSPACE * held + stored)


def groups(entries: Sequence[Entry], free: int | None) -> list[list[Entry]]:
    """Divide the rows into those that can be in memory at once: all, or framework by framework.

    ``free``: bytes; None where they are not known or another device's memory is used.

    Raises:
        RunError: if a framework's rows alone are too much.
    """
    if free is None or sum(needed(*entry) for entry in entries) <= free:
        return [list(entries)]
    divided: dict[str, list[Entry]] = {}
    for entry in entries:
        divided.setdefault(entry[0].framework, []).append(entry)
    for name, own in divided.items():
        total, (_, work) = sum(needed(*entry) for entry in own), own[0]
        if total > free:
            raise RunError(
                f"not enough memory for {work.purpose} {work.architecture.name} at "
                f"{work.size}x{work.size}, batch {work.batch}: the {len(own)} processes of {name} "
                f"need about {total / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
                f"a smaller --batch or --size needs less"
            )
    return list(divided.values())


def _of_convolutions(trace: Trace, batch: int) -> int:
    """Bytes of the arrays that convolutions alone are measured with: one of each shape."""
    shapes = {(c.channels, c.height, c.width) for c in distinct(trace)}
    shapes |= {c.output for c in distinct(trace)}
    values = [batch * channels * height * width for channels, height, width in shapes]
    return 2 * FP32 * (sum(values) + max(values, default=0)) + FP32 * trace.parameters
