"""The engines of ``resnets export``: a network that was folded and handed to one of them."""

import importlib.metadata
from dataclasses import replace

from resnets.bench.work import Work
from resnets.bench.worker import Prepared, Unavailable
from resnets.bench.workers import torch
from resnets.bench.workers.ours import preprocess
from resnets.bench.workers.tasks import inference_tasks
from resnets.errors import MissingDependency, RunError
from resnets.export.engines import Prepared as ExportedNetwork
from resnets.export.engines import engine
from resnets.networks.initialization import initial_weights
from resnets.networks.network import Network


def open_network(work: Work, *, name: str) -> Prepared:
    """Open the network, with random weights, in the engine called ``name``."""
    device = torch.find_device(work.device)
    if not device.is_cpu:
        raise Unavailable("the engines compute on the CPU alone")
    found, a = engine(name), work.architecture
    classes = tuple(f"class {number}" for number in range(a.classes))
    network = Network(a, initial_weights(a, seed=0), preprocess(work), classes)
    try:
        logits = found.opened(ExportedNetwork(network))
    except (MissingDependency, RunError) as error:
        raise Unavailable(str(error)) from error
    pixels, _ = work.draw_images()
    versions = {found.package: importlib.metadata.version(found.package)}
    tasks = inference_tasks(logits, pixels, work)
    return Prepared(tasks, replace(device, versions=versions), found.precision)
