"""The engines of ``resnets export``: a network that was folded and handed to one of them."""

import importlib.metadata

from resnets.bench.work import Work
from resnets.bench.worker import Absent, Prepared, Task
from resnets.bench.workers import torch as plain
from resnets.bench.workers.ours import over_batches
from resnets.errors import MissingDependency, RunError
from resnets.export.engines import Prepared as Network
from resnets.export.engines import engine
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network as Trained
from resnets.networks.network import Preprocessing


def opened(work: Work, *, name: str) -> Prepared:
    """Open the network, with random weights, in the engine called ``name``; from stored pixels."""
    here = plain.where(work.device)
    if not here.on_processor:
        raise Absent("the engines compute on the CPU alone")
    found, a = engine(name), work.architecture
    weights = initial_weights(a, seed=0)
    scale = Preprocessing(size=work.size, mean=(0.0,) * a.channels, std=(1.0,) * a.channels)
    names = tuple(f"class {number}" for number in range(a.classes))
    try:
        logits = found.opened(Network(Trained(a, weights, scale, names)))
    except (MissingDependency, RunError) as error:
        raise Absent(str(error)) from error
    pixels, _ = work.images()
    return Prepared(
        tasks={
            f"batch {batch}": Task(over_batches(logits, pixels, batch), batch)
            for batch in work.batches()
        },
        device=here.words,
        precision=found.precision,
        on_processor=True,
        versions={found.package: importlib.metadata.version(found.package)},
        unknown_shares="not taken apart",
    )
