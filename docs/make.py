"""The pictures of README, from a finished run: the terminal's table and the curves.

make train && make docs
"""

import argparse
import io
from pathlib import Path

from rich.console import Console

from resnets import backends, curves, records
from resnets.checkpoint import METRICS, TIMINGS, RunFolder, read_recipe
from resnets.data import load
from resnets.live import Frame
from resnets.pace import Pace, Plan
from resnets.preparation import prepare
from resnets.recipe import steps_per_epoch
from resnets.tracing import trace
from resnets.training import Progress
from resnets.weights import Config, load_config

IMAGES = Path(__file__).parent / "images"
WIDTH = 76


def plan_of(folder: Path) -> Plan:
    """What the run's live view was given, as it stood at the end."""
    recipe, config = read_recipe(folder), load_config(folder / "config.json")
    logs = RunFolder(folder)
    past = records.epochs(logs.records(METRICS), logs.records(TIMINGS), Progress())
    steps = trace(config.architecture, recipe.size)
    training, held = _images(folder, config)
    backend = backends.load("torch")
    session = backend.session(
        backend.build(config.architecture), recipe, config.preprocessing, "cpu"
    )
    per_epoch = steps_per_epoch(recipe, training)
    return Plan(
        title=f"{config.architecture.name} on {recipe.data}, recipe {recipe.name}",
        network=config.architecture.name,
        parameters=steps.parameters,
        multiply_adds=steps.multiply_adds,
        device=session.device,
        framework="torch",
        precision=recipe.precision,
        training_images=training,
        validation_images=held,
        epochs=recipe.epochs,
        steps_per_epoch=per_epoch,
        done_steps=0,
        folder=str(folder),
        history=past,
    )


def _images(folder: Path, config: Config) -> tuple[int, int]:
    """How many images the run trained on, and how many it held out."""
    recipe = read_recipe(folder)
    dataset = load(recipe.data, size=recipe.size)
    _, data = prepare(config.architecture, recipe, dataset)
    return len(data.training), len(data.validation) if data.validation else 0


def main() -> None:
    """Draw ``docs/images/train.svg`` and ``docs/images/curves.svg``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?")
    given = parser.parse_args()
    folder: Path = given.run or Path("runs/fashion_mnist-resnet8_slim-quick")
    IMAGES.mkdir(exist_ok=True)
    plan = plan_of(folder)
    seconds = sum(epoch.seconds for epoch in plan.history)
    frame = Frame(Pace(plan, _Ended(seconds)))
    frame.pace.step, frame.ended = plan.steps, True
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(frame)
    console.save_svg(str(IMAGES / "train.svg"), title="resnets train", unique_id="resnets-train")
    records = RunFolder(folder).records(METRICS)
    curves.draw(records, IMAGES, f"{plan.network} on Fashion-MNIST, recipe quick")
    (IMAGES / "curves.png").unlink()


class _Ended:
    """A clock that stands at 0 when it is first read, and at the end ever after."""

    def __init__(self, end: float) -> None:
        self.times = [0.0, end]

    def __call__(self) -> float:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


if __name__ == "__main__":
    main()
