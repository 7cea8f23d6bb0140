"""``train``: from a recipe to a trained network."""

import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from resnets.cli.flags import NO_FLAGS, RecipeFlags, given, resolve
from resnets.cli.options import Flag
from resnets.errors import RunError
from resnets.recipes.presets import PRESETS
from resnets.terminal import print_json, print_rich

if TYPE_CHECKING:
    from resnets.recipes.recipe import Recipe
    from resnets.training.job import Job

RECIPES = f"{', '.join(PRESETS)}, or a recipe's JSON or TOML file, such as a run's recipe.json."


def train(
    *,
    recipe: Annotated[str | None, Parameter(help=RECIPES)] = None,
    run: Path | None = None,
    resume: Flag = False,
    framework: str | None = None,
    device: str = "auto",
    save_every: float = 60.0,
    quiet: Flag = False,
    json: Flag = False,
    flags: Annotated[RecipeFlags, Parameter(name="*", group="Recipe")] = NO_FLAGS,
) -> None:
    """Train a network and evaluate it on the test set.

    Parameters
    ----------
    recipe
        A recipe's name, or its JSON or TOML file.
    run
        The run folder. Default: runs/DATA-NETWORK-RECIPE.
    resume
        Go on with the run in that folder, or begin where there is none.
    framework
        torch, jax, tensorflow or mxnet. Default: the run's own, or the first that is installed.
    device
        auto, cpu, or as the framework calls its others: cuda, cuda:1, mps (resnets check).
    save_every
        Seconds between saves within an epoch.
    quiet
        No progress.
    json
        Print the result as JSON.
    """
    from resnets.training import job
    from resnets.training.run_folder import framework_of

    if not 0 <= save_every < float("inf"):
        raise RunError(f"--save-every {save_every}: not a number of seconds from 0")
    resolved = resolve(recipe, flags)
    folder = run or _default_folder(resolved)
    task = job.Job(
        recipe=resolved,
        folder=folder,
        framework=framework or framework_of(folder if resume else None),
        device=device,
        resume=resume,
        own_size=resolved.start is not None and recipe is None and not given(flags, "size"),
        save_seconds=save_every,
    )
    try:
        result = _follow(task, quiet=quiet)
    except job.Interrupted as stopped:
        from resnets.report.console import program_name

        again = f"{program_name()} {shlex.join(_without_resume(sys.argv[1:]))} --resume"
        print(f"{stopped}. To continue:\n  {again}", file=sys.stderr)
        raise SystemExit(130) from None
    if json:
        print_json(result)
    else:
        from resnets.report.console import next_steps, run_report

        print_rich(run_report(result, folder))
        print(next_steps(folder))


def _follow(task: "Job", *, quiet: bool) -> "Mapping[str, Any]":
    """Train with a progress view, TensorBoard files if tensorboardX is installed, and curves."""
    from resnets.training.interrupts import catch_stop_requests
    from resnets.training.job import Consumer, follow, run
    from resnets.training.monitor.curves import CurveDrawer
    from resnets.training.monitor.progress import choose_view
    from resnets.training.monitor.tensorboard import TensorBoard, is_available

    with ExitStack() as stack:
        shown = stack.enter_context(choose_view(quiet=quiet))
        consumers: list[Consumer] = [shown.show, CurveDrawer(shown.note)]
        if is_available():
            consumers.append(stack.enter_context(TensorBoard()))
        stopped = stack.enter_context(catch_stop_requests())
        return follow(run(task, announce=shown.note, stop=stopped), consumers)


def _default_folder(recipe: "Recipe") -> Path:
    network = Path(recipe.start).name if recipe.start else Path(recipe.network).stem
    parts = (Path(recipe.data).name, network, recipe.name)
    return Path("runs") / "-".join(parts)


def _without_resume(arguments: list[str]) -> list[str]:
    return [argument for argument in arguments if argument != "--resume"]
