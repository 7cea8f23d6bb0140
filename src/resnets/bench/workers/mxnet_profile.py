"""Where a step's time goes in MXNet: each operator, by MXNet's own profiler.

MXNet runs a network's operators in bundles, which the profiler cannot see into: meanwhile there
are none. Its operators do not tell the optimiser's from others: they are all ``other``.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from resnets.backends.mxnet.importing import mx

STEPS = 3
BUNDLES = "MXNET_EXEC_BULK_EXEC_TRAIN"

# What an operator belongs to, by its name; the first that fits.
KINDS = (
    ("convolutions", ("convolution",)),
    (
        "norms, activations",
        ("norm", "activation", "leakyrelu", "pool", "pad", "elemwise_add", "add_n"),
    ),
)
WAITING = ("WaitForVar", "DeleteVariable")


def spent(take: Callable[[int], Any], model: Any) -> Counter[str]:
    """Take a few steps of a hybridized model; give the time of each kind, summed over threads."""
    # The profiler removes what stands where it writes, be it a device, and writes at the end of
    # the process, too: to a folder that is gone then.
    with _one_by_one(model), tempfile.TemporaryDirectory() as folder:
        take(1)  # lays out its memory anew
        mx.nd.waitall()
        mx.profiler.set_config(
            profile_imperative=True,
            profile_symbolic=True,
            aggregate_stats=True,
            filename=str(Path(folder) / "profile.json"),
        )
        mx.profiler.set_state("run")
        try:
            take(STEPS)
            mx.nd.waitall()
        finally:
            mx.profiler.set_state("stop")
        operators = json.loads(mx.profiler.dumps(reset=True, format="json"))["Time"]["operator"]
    found: Counter[str] = Counter()
    for name, about in operators.items():
        if name not in WAITING:
            found[kind_of(name)] += about["Total"]
    return found


def kind_of(name: str) -> str:
    """Say what an operator belongs to, by its name."""
    lowered = name.lower()
    for kind, parts in KINDS:
        if any(part in lowered for part in parts):
            return kind
    return "other"


@contextmanager
def _one_by_one(model: Any) -> Generator[None]:
    """Let a model's operators run one by one meanwhile."""
    before = os.environ.get(BUNDLES)
    os.environ[BUNDLES] = "0"
    model.hybridize(static_alloc=True, static_shape=True)  # forgets its bundles
    try:
        yield
    finally:
        if before is None:
            del os.environ[BUNDLES]
        else:
            os.environ[BUNDLES] = before
        model.hybridize(static_alloc=True, static_shape=True)
