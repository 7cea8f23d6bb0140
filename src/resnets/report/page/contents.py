"""What there is to read about a run: its figures, its curves, its mistakes, its network."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnets.errors import DataError, RunError
from resnets.inference.evaluate import load_network, make_framework_evaluator
from resnets.inference.explain import Mistakes, find_mistakes
from resnets.networks.layers import Trace
from resnets.networks.tracing import trace
from resnets.recipes.recipe import Recipe
from resnets.training import records
from resnets.training.events import Epoch, Progress
from resnets.training.run_folder import MODEL, RECIPE, TIMINGS, RunFolder, read_recipe


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What the page of a run shows.

    Attributes:
        folder: the run's.
        recipe: what was asked for.
        trace: of the network that was kept, at the size of its images.
        class_names: of its logits.
        result: the figures on the test set; None while the run has not ended.
        records: the lines of its metrics.
        epochs: those that have ended.
        start: who trained last: framework, device, threads; empty where no log tells.
        mistakes: on the images that were held out; None where there are none to be had.
    """

    folder: Path
    recipe: Recipe
    trace: Trace
    class_names: tuple[str, ...]
    result: Mapping[str, Any] | None
    records: Sequence[Mapping[str, Any]]
    epochs: tuple[Epoch, ...]
    start: Mapping[str, Any]
    mistakes: Mistakes | None

    @property
    def name(self) -> str:
        """The network's name."""
        return self.trace.architecture.name or "network"

    @property
    def kept(self) -> Epoch | None:
        """The epoch whose network was kept."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.best), None)


def gather(
    folder: Path, count: int, *, framework: str, device: str, announce: Callable[[str], None]
) -> Contents:
    """Read a run, and look for its ``count`` worst mistakes.

    The test set is not looked at: its figures are those that the run's end left. Where the images
    of the run are gone, or it held none out, ``announce`` is told and the page does without.

    Raises:
        RunError: if the folder is no run, or none of its epochs has ended.
        WeightsError: if its network cannot be read.
        ResnetsError: without the framework or the device.
    """
    if not (folder / RECIPE).is_file():
        raise RunError(f"{folder} is no run: it has no {RECIPE}; resnets train makes one")
    if not (folder / MODEL).is_file():
        raise RunError(f"{folder}: no epoch of the run has ended yet")
    run, network = RunFolder(folder), load_network(folder, announce)
    lines, timings = run.records(), run.records(TIMINGS)
    make_framework_evaluator(
        network, folder, framework=framework, device=device
    )  # a wrong device is no lack of images
    found: Mistakes | None = None
    try:
        found = find_mistakes(network, folder, None, count, framework, device, announce)
    except (DataError, RunError) as error:
        announce(f"note: without classes and mistakes: {error}")
    return Contents(
        folder=folder,
        recipe=read_recipe(folder),
        trace=trace(network.architecture, network.preprocessing.size),
        class_names=network.class_names,
        result=run.result(),
        records=lines,
        epochs=records.read_epochs(lines, timings, progress=Progress()),
        start=run.start(),
        mistakes=found,
    )
