"""``resnets draw``: a picture of a network or of one of its blocks."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from resnets.cli.options import Channels, Classes, Size, Theme
from resnets.terminal import print_note

OutputFile = Annotated[
    Path | None, Parameter(name=("--output", "-o"), allow_leading_hyphen=True)  # - is one
]


def draw(
    network: str,
    /,
    *,
    output: OutputFile = None,
    part: Literal["network", "block", "paths", "plain", "pair"] | None = None,
    block: str | None = None,
    size: Size = None,
    theme: Theme = "auto",
    channels: Channels = None,
    classes: Classes = None,
) -> None:
    """Draw a network or one of its blocks, from its description alone.

    Parts: network, all of it; block, one residual block; paths, one whose convolution is in groups,
    these as parallel paths; plain, a block without and with its shortcut; pair, a block with an
    identity shortcut and one that changes the shape.

    Parameters
    ----------
    network
        A name (resnets models), an architecture's JSON file, or a folder with config.json.
    output
        An .svg or .png file, or - for SVG on standard output. Default: NETWORK.svg.
    part
        What is drawn. Default: network; with --block, block.
    block
        Which block, by its name in resnets show, such as layer2.0.
    """
    from resnets.inference.description import resolve_architecture
    from resnets.networks.tracing import trace
    from resnets.report import drawing

    shown = part or ("block" if block else "network")
    path = output or drawing.choose_path(network, shown)
    architecture, made_for = resolve_architecture(
        network, channels=channels, classes=classes, announce=print_note
    )
    steps = trace(architecture, made_for if size is None else size)
    diagram = drawing.draw_part(steps, shown, block)
    if str(path) == "-":
        sys.stdout.buffer.write(drawing.to_svg(diagram, theme).encode())
    else:
        drawing.write_diagram(diagram, path, theme)
        print(f"wrote {path}")
