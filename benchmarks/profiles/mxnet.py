"""Where a step's time goes in MXNet: each operator, by MXNet's own profiler.

MXNet runs a network's operators in bundles, which the profiler cannot see into, so they are
switched off meanwhile. The optimiser's operators cannot be told from others: all of these are
``other``.
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from profiles.session_time import measure_data_share
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


def split_step(take: Callable[[int], Any], session: Any) -> dict[str, float]:
    """Return each kind's share, by MXNet's profiler; what makes batches ready is timed."""
    data = measure_data_share(
        take,
        session,
        lambda pixels, draws: session.prepare(pixels, draws).wait_to_read(),
        wait=mx.nd.waitall,  # a loss is there before its gradients are
    )["data"]
    spent = profile_steps(take, session.model)
    whole = sum(spent.values())
    shares = {kind: (1 - data) * time / whole for kind, time in spent.items()}
    return {**shares, "data": data}


def profile_steps(take: Callable[[int], Any], model: Any) -> Counter[str]:
    """Take steps of a hybridized model; return the time of each kind, summed over threads."""
    # The profiler removes the file or device at the path it writes to, and writes again at the
    # end of the process: to a folder that is gone then.
    with _without_bundles(model), tempfile.TemporaryDirectory() as folder:
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
            found[find_kind(name)] += about["Total"]
    return found


def find_kind(name: str) -> str:
    """Return what an operator belongs to, by its name."""
    lowered = name.lower()
    for kind, parts in KINDS:
        if any(part in lowered for part in parts):
            return kind
    return "other"


@contextmanager
def _without_bundles(model: Any) -> Generator[None]:
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
