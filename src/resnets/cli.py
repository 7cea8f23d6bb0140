"""The command line: one function a command; the work is done in the rooms it calls.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 an error of the data or the
network asked for, 2 of the command line itself, 130 interrupted. Rooms are imported inside the
commands: ``--help`` must not wait for NumPy, nor ``show`` for torch.
"""

import io
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from resnets import __version__
from resnets.errors import ResnetsError, RunError
from resnets.flags import NO_FLAGS, RecipeFlags, resolve, whole

if TYPE_CHECKING:
    from rich.console import Console

app = App(
    name="resnets",
    help="Residual networks: exact tables, fast training, one weight file.",
    version=__version__,
    help_format="plaintext",
)


Flag = Annotated[bool, Parameter(negative=())]
"""A switch that is off unless it is given; no second flag to turn it off."""


Whole = Annotated[int, Parameter(converter=whole)]


def _no_options(_type: object, images: list[str]) -> None:
    """Let ``-`` through, but not a misspelt option that would pass for an image."""
    for image in images:
        if image.startswith("-") and image != "-":
            raise ValueError(f"unknown option {image}; a file of that name is ./{image}")


@app.command
def train(
    *,
    recipe: str = "quick",
    run: Path | None = None,
    resume: Flag = False,
    framework: str = "torch",
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
        quick, chapter, or a recipe's JSON or TOML file, such as a run's recipe.json.
    run
        The run folder. Default: runs/DATA-NETWORK-RECIPE.
    resume
        Go on with the run in that folder, or begin where there is none.
    framework
        What trains it: torch.
    device
        auto, cpu, cuda, cuda:1, mps.
    save_every
        Seconds between saves within an epoch.
    quiet
        No progress.
    json
        Print the result as JSON.
    """
    from resnets import job, progress

    if not 0 <= save_every < float("inf"):
        raise RunError(f"--save-every {save_every}: not a number of seconds from 0")
    resolved = resolve(recipe, flags)
    folder = run or _default_folder(resolved)
    with progress.view(quiet=quiet) as view:
        task = job.Job(
            recipe=resolved,
            folder=folder,
            framework=framework,
            device=device,
            resume=resume,
            save_seconds=save_every,
        )
        try:
            result = job.run(task, view)
        except job.Interrupted as stopped:
            from resnets.report import program_name

            again = f"{program_name()} {shlex.join(_without_resume(sys.argv[1:]))} --resume"
            print(f"{stopped}. To go on:\n  {again}", file=sys.stderr)
            raise SystemExit(130) from None
    if json:
        _print_json(result)
    else:
        from resnets.report import next_steps, run_report

        _print(run_report(result, folder))
        print(next_steps(folder))


@app.command
def evaluate(
    network: Path,
    /,
    *,
    data: str | None = None,
    framework: str = "torch",
    device: str = "auto",
    json: Flag = False,
) -> None:
    """Evaluate a trained network on a data set's test images.

    Parameters
    ----------
    network
        A run folder, or any folder with model.safetensors and config.json.
    data
        fashion_mnist, or a folder of images. Default: what the run was trained on.
    framework
        What computes: torch.
    device
        auto, cpu, cuda, cuda:1, mps.
    json
        Print the figures as JSON.
    """
    from resnets.inference import evaluate_folder

    found = evaluate_folder(network, data, framework, device, _note)
    if json:
        _print_json(found.to_json())
    else:
        from resnets.report import evaluation_report

        _print(evaluation_report(found))


@app.command
def predict(
    network: Path,
    images: Annotated[list[str], Parameter(allow_leading_hyphen=True, validator=_no_options)],
    /,
    *,
    top: Whole = 3,
    framework: str = "torch",
    device: str = "auto",
    json: Flag = False,
) -> None:
    """Name what images show, with probabilities.

    Parameters
    ----------
    network
        A run folder, or any folder with model.safetensors and config.json.
    images
        Image files, folders of them, or - for one image from standard input.
    top
        How many classes to name for each image.
    framework
        What computes: torch.
    device
        auto, cpu, cuda, cuda:1, mps.
    json
        Print one JSON object a line for each image.
    """
    from resnets.inference import predict_images
    from resnets.report import prediction_lines

    failed = 0
    for prediction in predict_images(network, images, top, framework, device):
        if prediction.error is not None:
            failed += 1
            _note(f"error: {prediction.error}")
        if json:
            print(_json_line(prediction.to_json()), flush=True)
        elif prediction.error is None:
            print(prediction_lines(prediction), flush=True)
    if failed:
        raise SystemExit(1)


@app.command
def show(
    network: str,
    /,
    *,
    size: Annotated[int | None, Parameter(converter=whole)] = None,
    channels: Annotated[int | None, Parameter(converter=whole)] = None,
    classes: Annotated[int | None, Parameter(converter=whole)] = None,
    json: Flag = False,
) -> None:
    """Show a network's layers, shapes, parameters and costs, from its description alone.

    Parameters
    ----------
    network
        A name (resnets models), an architecture's JSON file, or a folder with config.json.
    size
        Height and width of the input in pixels. Default: what the network is made for.
    channels
        Of the input images.
    classes
        Logits.
    json
        Print everything as JSON.
    """
    from resnets import summary
    from resnets.tracing import trace

    architecture, made_for = _described(network, channels, classes)
    steps = trace(architecture, made_for if size is None else size)
    if json:
        _print_json(summary.show_json(steps))
    else:
        _print(summary.show_table(steps))


@app.command
def models(pattern: str = "*", /, *, json: Flag = False) -> None:
    """List the catalog's networks.

    Parameters
    ----------
    pattern
        A shell pattern such as 'resnext*'.
    json
        Print the list as JSON.
    """
    from resnets import catalog, summary
    from resnets.errors import UnknownName

    found = catalog.names(pattern)
    if not found:
        raise UnknownName(f"no network matches {pattern!r} (all: resnets models)")
    if json:
        _print_json(summary.models_json(found))
    else:
        _print(summary.models_table(found))


def main() -> None:
    """Run the command line; a user's mistake prints its message, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # × in a terminal that has none, names of files
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
        if sys.stdout is not None:
            sys.stdout.flush()
    except ResnetsError as error:
        _note(f"error: {error}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _note("interrupted")
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:
        _note(f"error: {error}")
        raise SystemExit(1) from None


def _default_folder(recipe: Any) -> Path:
    parts = (Path(recipe.data).name, Path(recipe.network).stem, recipe.name)
    return Path("runs") / "-".join(parts)


def _without_resume(arguments: list[str]) -> list[str]:
    return [argument for argument in arguments if argument != "--resume"]


def _described(network: str, channels: int | None, classes: int | None) -> tuple[Any, int]:
    """Give a network's architecture and the input size it is made for."""
    from dataclasses import replace

    from resnets.preparation import architecture_called
    from resnets.summary import natural_size
    from resnets.weights import load_config

    if Path(network).is_dir():
        config = load_config(Path(network) / "config.json")
        architecture, size = config.architecture, config.preprocessing.size
    else:
        architecture = architecture_called(network)
        size = natural_size(architecture)
    changes = {"channels": channels, "classes": classes}
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(architecture, **given), size


def _print(renderable: Any) -> None:
    _console().print(renderable)


def _console() -> "Console":
    from rich.console import Console

    # A table that is piped into a file or a pager keeps its width; a class or a folder may be
    # called [bold] or :dog:, which is no markup here.
    width = None if sys.stdout is not None and sys.stdout.isatty() else 100
    return Console(width=width, highlight=False, markup=False, emoji=False)


def _print_json(value: Any) -> None:
    print(_json_line(value, indent=2))


def _json_line(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, allow_nan=False)


def _note(text: str) -> None:
    if sys.stderr is not None:
        print(text, file=sys.stderr)
