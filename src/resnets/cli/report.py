"""``resnets report``: a run on one page."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from resnets.cli.options import Framework, MistakesDevice, Whole
from resnets.errors import RunError
from resnets.terminal import print_note

PAGE = "report.html"
MOST = 200
"""Mistakes that are shown at most."""


def report(
    run: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=("--output", "-o"))] = None,
    count: Whole = 12,
    framework: Framework = None,
    device: MistakesDevice = "auto",
) -> None:
    """Write a run on one page: figures, curves, classes, the worst mistakes, the network.

    The page is one HTML file that needs nothing but itself. Classes and mistakes are those of the
    images that training held out; the test set is not read again.

    Parameters
    ----------
    run
        A run folder.
    output
        An .html file. Default: report.html in the run folder.
    count
        Of the worst mistakes.
    """
    from resnets.files import explain_os_errors, write_text
    from resnets.report.page import gather, render
    from resnets.training.run_folder import framework_of

    if not 1 <= count <= MOST:
        raise RunError(f"--count {count}: from 1 to {MOST}")
    path = output or run / PAGE
    if path.suffix.lower() not in (".html", ".htm"):
        raise RunError(f"{path}: pages are .html")
    if output is not None and not path.parent.is_dir():
        raise RunError(f"{path}: there is no folder {path.parent}")
    page = render(
        gather(
            run,
            count,
            framework=framework or framework_of(run),
            device=device,
            announce=print_note,
        )
    )
    with explain_os_errors(f"cannot write {path}", RunError):
        write_text(path, page)
    print(f"wrote {path}")
