"""The machine's limit in a framework: a large matrix product in each fast precision."""

import importlib
from collections.abc import Callable
from typing import Any

from resnets.bench.work import Work
from resnets.bench.worker import Prepared, Task, time_call
from resnets.bench.workers.tasks import fast_precisions

SMALLEST, LARGEST = 512, 8192
PRODUCT_SECONDS = 0.03
"""A matrix product is made larger until it takes so long."""


def multiply_matrices(work: Work, *, framework: str) -> Prepared:
    """Prepare a product of two large matrices in each precision."""
    module = importlib.import_module(f"resnets.bench.workers.{framework}")
    precisions = fast_precisions(framework, work.device)
    return Prepared(
        tasks={f"matrix {name}": _large_product(module, name, work.device) for name in precisions},
        device=module.find_device(work.device),
        precision=" ".join(precisions),
    )


def _large_product(module: Any, precision: str, device: str) -> Task:
    size = SMALLEST
    while True:
        repeat: Callable[[int], None] = module.repeat_product(size, precision, device=device)
        repeat(1)
        if time_call(lambda repeat=repeat: repeat(1)) >= PRODUCT_SECONDS or size == LARGEST:
            return Task(repeat, size**3)
        size *= 2
