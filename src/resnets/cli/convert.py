"""``resnets convert``: weights from one format to another."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from resnets.cli.options import Count, Flag, OtherNetwork, Whole
from resnets.terminal import print_json


def convert(
    source: str,
    target: Path,
    /,
    *,
    network: OtherNetwork = None,
    classes: Count = None,
    reset_head: Flag = False,
    channels: Count = None,
    adapt: Annotated[Literal["sum", "repeat"] | None, Parameter(name="--input")] = None,
    averaged: Flag = False,
    seed: Whole = 0,
    json: Flag = False,
) -> None:
    """Read a network's weights in one form and write them in another.

    Parameters
    ----------
    source
        A run folder, a folder of timm or transformers, owner/name on the Hugging Face hub, or a
        file: .safetensors, .pth, .h5, .keras, .params.
    target
        A file: .safetensors, .h5, .weights.h5, .keras, .params; any other name is a folder with
        model.safetensors and config.json, which timm and the hub open as it is.
    classes
        Another number of classes; needs --reset-head.
    reset_head
        Draw a new dense layer, to be trained.
    channels
        Another number of input channels; needs --input.
    adapt
        What becomes of the first kernel: sum (to 1 channel) or repeat.
    averaged
        Take the running average of the weights, where the file holds both.
    seed
        Of the new dense layer.
    json
        Print what was done as JSON.
    """
    from resnets.convert import conversion

    done = conversion.convert(
        source,
        target,
        network=network,
        classes=classes,
        new_head=reset_head,
        channels=channels,
        adapt=adapt,
        averaged=averaged,
        seed=seed,
    )
    if json:
        print_json(done.to_json())
    else:
        print(done.to_text())
