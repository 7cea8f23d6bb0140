"""``resnets explain``: where in images the evidence is, and the worst mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from resnets.cli.options import IMAGES, Flag, Framework, MistakesDevice, Source, Theme, Whole
from resnets.errors import RunError
from resnets.terminal import format_json, print_json, print_note, print_rich

if TYPE_CHECKING:
    from resnets.inference.explain import Explanation
    from resnets.networks.network import Network

DEFAULT = Path("explanation.png")
MOST = 200
"""Images, and classes of each, that are shown at most."""


def explain(
    network: Source,
    images: Annotated[tuple[str, ...], IMAGES] = (),
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    top: Whole = 3,
    count: Whole = 12,
    data: str | None = None,
    trained: Flag = False,
    framework: Framework = None,
    device: MistakesDevice = "auto",
    theme: Theme = "auto",
    json: Flag = False,
) -> None:
    """Draw where in images the evidence for a class is; without images, the worst mistakes.

    Mistakes are looked for among the images that training held out, never in the test set: those
    with the largest loss are what the network has not understood, or what is labelled wrongly.

    Parameters
    ----------
    output
        An .svg or .png file. Default: explanation.png; with --json none.
    top
        For how many classes of each image given the evidence is drawn.
    count
        How many images are shown at most.
    data
        Mistakes of other data: fashion_mnist, or a folder of images, a twentieth of whose training
        images is held out. Default: the run's own.
    trained
        Look for mistakes among the images that were trained on: wrong labels stand out.
    json
        Print what was found as JSON, maps of evidence included.
    """
    from resnets.inference.evaluate import load_network
    from resnets.report.drawing.parts import check_path
    from resnets.training.run_folder import framework_of

    for flag, value in (("--top", top), ("--count", count)):
        if not 1 <= value <= MOST:
            raise RunError(f"{flag} {value}: from 1 to {MOST}")
    if images and (data is not None or trained):
        raise RunError("--data and --trained are for mistakes: leave them out, or the images")
    path = output or (None if json else DEFAULT)
    if path is not None:
        check_path(path)  # before any work is done
    framework = framework or framework_of(network)
    whole = load_network(network, print_note)
    failed = False
    if images:
        shown, failed = _of_files(whole, images, top, count, framework, json=json)
    else:
        folder = Path(network)
        shown = _of_mistakes(whole, folder, data, count, framework, device, trained, json=json)
    if path is not None and shown.found:
        _draw(shown, path, theme)
        print_note(f"wrote {path}") if json else print(f"wrote {path}")
    elif path is not None:
        print_note(f"note: there is nothing to draw: {path} was not written")
    if failed:
        raise SystemExit(1)


@dataclass(frozen=True)
class _Shown:
    found: list["Explanation"]
    title: str
    subtitle: str


def _draw(shown: _Shown, path: Path, theme: Literal["light", "dark", "auto"]) -> None:
    from resnets.report.drawing import write_diagram
    from resnets.report.drawing.explanations import draw_explanations

    write_diagram(draw_explanations(shown.found, shown.title, shown.subtitle), path, theme)


def _of_files(
    network: "Network",
    images: Sequence[str],
    top: int,
    count: int,
    framework: str,
    *,
    json: bool,
) -> tuple[_Shown, bool]:
    """Explain images; say whether one could not be read."""
    from resnets.inference.explain import explain_files
    from resnets.inference.predict import Prediction, expand_paths
    from resnets.report.console import format_prediction

    files = list(expand_paths(images, print_note))
    if len(files) > count:
        print_note(f"note: the first {count} of {len(files)} images; --count shows more")
    found: list[Explanation] = []
    failed = False
    for one in explain_files(network, files[:count], top=top, framework=framework):
        if json:
            print(format_json(one.to_json()), flush=True)
        if isinstance(one, Prediction):
            failed = True
            print_note(f"error: {one.error}")
            continue
        found.append(one)
        if not json:
            print(format_prediction(Prediction(one.image, one.classes)), flush=True)
    name = network.architecture.name
    return _Shown(
        found, f"What {name} sees", "where the evidence for its likeliest classes is"
    ), failed


def _of_mistakes(
    network: "Network",
    folder: Path,
    data: str | None,
    count: int,
    framework: str,
    device: str,
    trained: bool,
    *,
    json: bool,
) -> _Shown:
    from resnets.inference.explain import find_mistakes
    from resnets.report.console import draw_mistakes

    result = find_mistakes(
        network, folder, data, count, framework, device, print_note, trained=trained
    )
    if json:
        print_json(result.to_json())
    else:
        print_rich(draw_mistakes(result))
    kind = "training" if trained else "held-out"
    looked = f"{result.wrong:,} of {result.images:,} {kind} images are taken for another class"
    worst = f"{looked}; the {len(result.worst)} of the largest loss, the worst first"
    return _Shown(result.worst, f"Mistakes of {network.architecture.name}", worst)
