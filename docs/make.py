"""Pictures of README and guide, from a finished run: the terminal's table, curves, mistakes.

make train && make docs
"""

import argparse
import io
from pathlib import Path

from rich.console import Console

from resnets import backends
from resnets.cli.explain import explain
from resnets.data import load_dataset
from resnets.networks.folder import load_config
from resnets.training import job, records
from resnets.training.events import Progress, Started
from resnets.training.monitor import curves
from resnets.training.monitor.live import Frame
from resnets.training.monitor.pace import Pace
from resnets.training.plan import RunPlan
from resnets.training.run_folder import METRICS, TIMINGS, RunFolder, read_recipe

IMAGES = Path(__file__).parent / "images"
WIDTH = 76


def describe_run(folder: Path) -> Started:
    """Return the event that started a run, with the epochs that it has ended since."""
    recipe, logs = read_recipe(folder), RunFolder(folder)
    architecture = load_config(folder / "config.json").architecture
    plan = RunPlan(recipe=recipe, architecture=architecture, source=None)
    start = plan.bind(load_dataset(recipe.data, size=recipe.size))
    backend = backends.load("torch")
    model, preprocessing = backend.build(architecture), start.network.preprocessing
    session = backend.session(model, recipe, preprocessing=preprocessing, device="cpu")
    past = records.read_epochs(logs.records(METRICS), logs.records(TIMINGS), progress=Progress())
    return job.describe(
        recipe,
        architecture,
        start.data,
        framework="torch",
        device=session.device,
        folder=folder,
        progress=Progress(),
        history=past,
    )


def main() -> None:
    """Draw ``train.svg``, ``curves.svg`` and ``mistakes.png`` in ``docs/images``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    given = parser.parse_args()
    folder: Path = given.run or Path("runs/fashion_mnist-resnet10d_narrow-quick")
    IMAGES.mkdir(exist_ok=True)
    run = describe_run(folder)
    seconds = sum(epoch.seconds for epoch in run.history)
    frame = Frame(Pace(run, _Ended(seconds)))
    frame.pace.step, frame.ended = run.steps, True
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(frame)
    console.save_svg(str(IMAGES / "train.svg"), title="resnets train", unique_id="resnets-train")
    records = RunFolder(folder).records(METRICS)
    curves.draw_curves(records, IMAGES, title=f"{run.network} on Fashion-MNIST, recipe quick")
    (IMAGES / "curves.png").unlink()
    explain(str(folder), output=IMAGES / "mistakes.png", count=6)


class _Ended:
    """A clock that stands at 0 when it is first read, and at the end ever after."""

    def __init__(self, end: float) -> None:
        self.times = [0.0, end]

    def __call__(self) -> float:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


if __name__ == "__main__":
    main()
