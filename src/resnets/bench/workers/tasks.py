"""What the contenders share: steps over the drawn batches, and checks of the precision."""

from collections.abc import Callable, Sequence
from typing import Any

from resnets import backends
from resnets.bench.work import Work
from resnets.bench.worker import Take, Task, Unavailable
from resnets.recipes.recipe import Recipe

RATE = 1e-12
"""Learning rate of every contender, so small that weights stay where they are.

A step's work is the same at any rate, but at a usual one the loss on noise may become infinite
after a few steps, which ends a training.
"""


def take_batches(
    step: Callable[..., Any],
    arrays: Sequence[Any],
    batch: int,
    *,
    finish: Callable[[Any], object] = lambda result: None,
) -> Take:
    """Return what calls ``step`` on one batch of the arrays after the other, round and round.

    ``finish`` takes the last result, and waits for it.
    """
    count, taken = len(arrays[0]) // batch, 0

    def take(steps: int) -> None:
        nonlocal taken
        result = None
        for _ in range(steps):
            first = taken % count * batch
            taken += 1
            result = step(*(array[first : first + batch] for array in arrays))
        finish(result)

    return take


def inference_tasks(call: Callable[[Any], object], images: Any, work: Work) -> dict[str, Task]:
    """Return the tasks that call ``call`` on the batches of the images."""
    return {f"batch {n}": Task(take_batches(call, (images,), n), n) for n in work.batches()}


def fast_precisions(framework: str, device: str) -> tuple[str, ...]:
    """Return the precisions that a device computes in; emulated ones are left out."""
    fast = backends.load(framework).precision(Recipe(precision="auto"), device)
    return ("fp32", "bf16") if fast == "bf16" else ("fp32",)


def require_precision(framework: str, precision: str, device: str) -> None:
    """Raise Unavailable if the device only emulates a precision."""
    if precision not in fast_precisions(framework, device):
        raise Unavailable(f"the device only emulates {precision}")
