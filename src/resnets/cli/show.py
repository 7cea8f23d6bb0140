"""``show``, ``draw`` and ``models``: what follows from the description alone."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from resnets.cli.flags import Count, Flag
from resnets.terminal import note, print_drawn, print_json

OutputFile = Annotated[
    Path | None, Parameter(name=("--output", "-o"), allow_leading_hyphen=True)  # - is one
]


def show(
    *networks: str,
    compare: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
    size: Count = None,
    channels: Count = None,
    classes: Count = None,
    batch: Count = None,
    json: Flag = False,
) -> None:
    """Show a network's layers, shapes, parameters and costs, from its description alone.

    Several networks are shown side by side: show resnet50 resnet101.

    Parameters
    ----------
    networks
        A name (resnets models), an architecture's JSON file, or any weights that convert reads.
    compare
        Networks to set beside the first: show resnet50 --compare resnet101 resnext50_32x4d.
    size
        Height and width of the input in pixels. Default: what the network is made for.
    channels
        Of the input images.
    classes
        Logits.
    batch
        Images in a training step, whose memory is shown. Default: 1, 32, 128 and 256.
    json
        Print everything as JSON.
    """
    from resnets.networks import memory
    from resnets.networks.tracing import trace
    from resnets.report import comparison, summary

    named = (*networks, *compare)
    if not named:
        note("error: show what? such as: resnets show resnet50 (all: resnets models)")
        raise SystemExit(2)
    batches = memory.BATCHES if batch is None else (batch,)
    found = [described(network, channels, classes) for network in named]
    traces = [trace(a, made_for if size is None else size) for a, made_for in found]
    if len(traces) > 1 or compare:
        view = comparison.compare_json if json else comparison.compare_table
        shown = view(traces, named, batches)
    else:
        view = summary.show_json if json else summary.show_table
        shown = view(traces[0], batches)
    (print_json if json else print_drawn)(shown)


def draw(
    network: str,
    /,
    *,
    output: OutputFile = None,
    part: Literal["network", "block", "paths", "plain", "pair"] | None = None,
    block: str | None = None,
    size: Count = None,
    theme: Literal["light", "dark", "auto"] = "auto",
    channels: Count = None,
    classes: Count = None,
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
    size
        Height and width of the input in pixels. Default: what the network is made for.
    theme
        light, dark, or auto: as the reader's screen (in a PNG, light).
    channels
        Of the input images.
    classes
        Logits.
    """
    from resnets.networks.tracing import trace
    from resnets.report import drawing

    shown = part or ("block" if block else "network")
    path = output or drawing.default_path(network, shown)
    architecture, made_for = described(network, channels, classes)
    steps = trace(architecture, made_for if size is None else size)
    diagram = drawing.part_diagram(steps, shown, block)
    if str(path) == "-":
        sys.stdout.buffer.write(drawing.to_svg(diagram, theme).encode())
    else:
        drawing.write(diagram, path, theme)
        print(f"wrote {path}")


def models(pattern: str = "*", /, *, json: Flag = False) -> None:
    """List the catalog's networks.

    Parameters
    ----------
    pattern
        A shell pattern such as 'resnext*'.
    json
        Print the list as JSON.
    """
    from resnets.errors import UnknownName
    from resnets.networks import catalog
    from resnets.report import summary

    found = catalog.names(pattern)
    if not found:
        raise UnknownName(f"no network matches {pattern!r} (all: resnets models)")
    if json:
        print_json(summary.models_json(found))
    else:
        print_drawn(summary.models_table(found))


def described(network: str, channels: int | None, classes: int | None) -> tuple[Any, int]:
    """Give a network's architecture and the input size it is made for."""
    from dataclasses import replace

    from resnets.networks.geometry import natural_size

    path = Path(network)
    if path.name == "config.json" and path.is_file():
        from resnets.convert.sources import read_our_config

        if read_our_config(path.parent) is not None:  # it stands for its folder
            path, network = path.parent, str(path.parent)
    if path.suffix == ".json":
        from resnets.networks.named import find_architecture

        architecture = find_architecture(network)
        size = natural_size(architecture)
    elif path.exists() or len(path.parts) > 1 or path.suffix or ":" in network:
        from resnets import convert

        found = convert.describe(network)
        architecture, size = found.architecture, found.size
        for text in found.notes:
            note(f"note: {text}")
    else:  # a name, which needs no NumPy
        from resnets.networks import catalog

        architecture = catalog.get(network)
        size = natural_size(architecture)
    changes = {"channels": channels, "classes": classes}
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(architecture, **given), size
