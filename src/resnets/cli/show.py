"""``resnets show``: layers, shapes and costs of a network, from its description alone."""

from typing import Annotated

from cyclopts import Parameter

from resnets.cli.options import Channels, Classes, Count, Json, Size
from resnets.terminal import print_json, print_note, print_rich


def show(
    *networks: str,
    compare: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, negative=(), show_default=False)
    ] = (),
    size: Size = None,
    channels: Channels = None,
    classes: Classes = None,
    batch: Count = None,
    json: Json = False,
) -> None:
    """Show a network's layers, shapes, parameters and costs, from its description alone.

    Several networks are shown side by side: show resnet50 resnet101.

    Parameters
    ----------
    networks
        A name (resnets models), an architecture's JSON file, or any weights that convert reads.
    compare
        Networks to set beside the first: show resnet50 --compare resnet101 resnext50_32x4d.
    batch
        Images in a training step, whose memory is shown. Default: 1, 32, 128 and 256.
    """
    from resnets.inference.description import resolve_architecture
    from resnets.networks import memory
    from resnets.networks.tracing import trace
    from resnets.report import comparison, summary

    named = (*networks, *compare)
    if not named:
        print_note("error: show what? such as: resnets show resnet50 (all: resnets models)")
        raise SystemExit(2)
    batches = memory.BATCH_SIZES if batch is None else (batch,)
    found = [
        resolve_architecture(network, channels=channels, classes=classes, announce=print_note)
        for network in named
    ]
    traces = [trace(a, made_for if size is None else size) for a, made_for in found]
    if len(traces) > 1 or compare:
        view = comparison.compare_json if json else comparison.compare_table
        shown = view(traces, named, batches=batches)
    else:
        view = summary.show_json if json else summary.show_table
        shown = view(traces[0], batches)
    (print_json if json else print_rich)(shown)
