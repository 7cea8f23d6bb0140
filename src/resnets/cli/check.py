"""``resnets check``: the frameworks that are installed, and how far they differ."""

from pathlib import Path
from typing import Annotated

from resnets.cli.options import SEVERAL, Json
from resnets.errors import RunError
from resnets.terminal import print_json, print_note, print_rich


def check(
    frameworks: Annotated[tuple[str, ...], SEVERAL] = (),
    /,
    *,
    python: Annotated[tuple[Path, ...], SEVERAL] = (),
    against: Annotated[tuple[Path, ...], SEVERAL] = (),
    save: Path | None = None,
    json: Json = False,
) -> None:
    """Show the frameworks found, and measure how far they are from the same function.

    Exit code 1 where a framework or an environment that was asked for cannot be used, or differs
    by more than the limits: 1e-5 for logits in fp32, 1e-9 for a step in fp64 (MXNet 1e-7).

    Parameters
    ----------
    frameworks
        torch, jax, tensorflow, mxnet. Default: those that are installed.
    python
        Other environments' Python, in which resnets is installed too: their frameworks join in.
    against
        Files that --save wrote, perhaps on another machine.
    save
        Write what was measured here.
    """
    from resnets import backends
    from resnets.inference import parity
    from resnets.report.parity import draw_parity, parity_json

    unknown = [name for name in frameworks if name not in backends.NAMES]
    if unknown:
        known = ", ".join(backends.NAMES)
        raise RunError(f"no framework is called {', '.join(unknown)} (there are {known})")
    names = tuple(dict.fromkeys(frameworks)) or backends.NAMES
    here, results = parity.measure_installed(names, print_note)
    if save is not None:
        parity.save_results(results, save)
    for path in dict.fromkeys(against):
        results += parity.load_results(path)
    empty: list[Path] = []
    for path in dict.fromkeys(python):
        found = parity.measure_elsewhere(path)
        results += found
        empty += () if found else (path,)
    lines = parity.compare_results(results)
    failed = [one for one in here if one.error and one.name in frameworks]
    if json:
        print_json(parity_json(here, results, lines=lines))
    else:
        print_rich(draw_parity(here, results, lines=lines, explained=failed))
    for one in failed:
        print_note(f"error: {one.error}")
    for path in empty:
        print_note(
            f"error: {path}: no framework can be used there; {path} -m resnets check says why"
        )
    if not (results or failed or empty):
        print_note("error: no framework can be used here")
    if failed or empty or not results or not all(line.equal for line in lines):
        raise SystemExit(1)
