"""Types of options that several commands share, each with its help text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, Token

from resnets.errors import RunError
from resnets.schema import shorten

MOST_DIGITS = 19
"""Digits of a whole number at most: 2**63 has as many."""


def read_whole(_type: object, tokens: Sequence[Token]) -> int:
    """Return a whole number; a text such as 1.6 is an error."""
    text = tokens[0].value
    if len(text) > MOST_DIGITS + 1:
        raise ValueError(f"{shorten(text)} is not a whole number of at most {MOST_DIGITS} digits")
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def refuse_options(_type: object, images: Sequence[str]) -> None:
    """Raise ``ValueError`` for a misspelt option among images; ``-`` is standard input."""
    for image in images:
        if image.startswith("-") and image != "-":
            raise ValueError(f"unknown option {image}; a file of that name is ./{image}")


def refuse_both(framework: str | None, engine: str | None) -> None:
    """Raise ``RunError`` if both a framework and an engine are named."""
    if framework is not None and engine is not None:
        raise RunError("--engine computes in place of a framework: leave --framework out")


def refuse_used(out: Path) -> None:
    """Raise ``RunError`` if the folder to write holds something already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out} holds something already; choose a new folder by --out")


Flag = Annotated[bool, Parameter(negative=())]
"""A switch that is off unless it is given; no second flag to turn it off."""

Whole = Annotated[int, Parameter(converter=read_whole)]
Count = Annotated[int | None, Parameter(converter=read_whole)]

SEVERAL = Parameter(consume_multiple=True, negative=())
"""An option that takes one value or more."""

Source = Annotated[str, Parameter(help="A run folder, or any weights that convert reads.")]

OtherNetwork = Annotated[
    str | None,
    Parameter(
        help="A name (resnets models) or an architecture's JSON file, in place of what the source "
        "tells."
    ),
]

IMAGES = Parameter(
    allow_leading_hyphen=True,
    validator=refuse_options,
    help="Image files, folders of them, or - for one image from standard input.",
)

Framework = Annotated[
    str | None,
    Parameter(
        help="torch, jax, tensorflow or mxnet. Default: the run's own, or the first that is "
        "installed."
    ),
]

Device = Annotated[
    str,
    Parameter(
        help="auto, cpu, or as the framework calls its others: cuda, cuda:1, mps (resnets check)."
    ),
]

MistakesDevice = Annotated[
    str,
    Parameter(
        help="Where mistakes are looked for: auto, cpu, or as the framework calls its others."
    ),
]

Engine = Annotated[
    str | None,
    Parameter(
        help="Compute with an engine of export in place of a framework, such as openvino-bf16; "
        "auto is the one that export chose for this folder."
    ),
]

Mirror = Annotated[
    bool,
    Parameter(
        negative=(),
        help="Average the logits of each image and of its mirror image: twice the work, and often "
        "a little better where training mirrored images, too.",
    ),
]

Size = Annotated[
    int | None,
    Parameter(
        converter=read_whole,
        help="Height and width of the input in pixels. Default: what the network is made for.",
    ),
]

Channels = Annotated[int | None, Parameter(converter=read_whole, help="Of the input images.")]

Classes = Annotated[int | None, Parameter(converter=read_whole, help="Logits.")]

Theme = Annotated[
    Literal["light", "dark", "auto"],
    Parameter(help="light, dark, or auto: as the reader's screen (in a PNG, light)."),
]

Json = Annotated[bool, Parameter(negative=(), help="Print everything as JSON.")]
