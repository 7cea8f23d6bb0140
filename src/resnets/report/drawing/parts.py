"""Which part of a network is drawn, and into which file."""

import difflib
from pathlib import Path
from typing import Literal

from resnets.errors import ResnetsError, UnknownName
from resnets.files import explain_os_errors, write_bytes
from resnets.networks.layers import Trace
from resnets.report.drawing.anatomy import Anatomy, find_blocks
from resnets.report.drawing.block import draw_block
from resnets.report.drawing.diagram import Diagram
from resnets.report.drawing.network import draw_network
from resnets.report.drawing.palette import Theme
from resnets.report.drawing.side_by_side import draw_pair, draw_plain_and_residual
from resnets.report.drawing.svg import to_svg

Part = Literal["network", "block", "paths", "plain", "pair"]
"""What is drawn.

``network``: all of it. ``block``: one residual block. ``paths``: one whose convolution is in
groups, these as parallel paths. ``plain``: a block without and with its shortcut. ``pair``: a
block with an identity shortcut and one whose shortcut changes the shape.
"""


class DrawingError(ResnetsError):
    """A picture that cannot be drawn or written as asked."""


def draw_part(trace: Trace, part: Part = "network", block: str | None = None) -> Diagram:
    """Return a diagram of a part of a network, or of the block called ``block``.

    Without a name, ``block`` and ``paths`` show the first block that makes the maps smaller,
    ``plain`` the first whose shortcut is the identity; failing these, the first.

    Raises:
        UnknownName: if the network has no block of that name.
        DrawingError: if the network lacks what the part shows, or a name is given for a part that
            shows no one block.
    """
    if part in ("network", "pair") and block is not None:
        raise DrawingError(f"part {part} shows no one block; block {block} is for another part")
    if part == "network":
        return draw_network(trace)
    found = find_blocks(trace)
    if part == "pair":
        return _draw_pair(trace, found)
    typical = _find_identical(found) if part == "plain" else _find_changing(found)
    shown = typical if block is None else _find_block(block, found)
    if part == "paths" and shown.grouped is None:
        raise DrawingError(f"{shown.name} has no convolution in groups, which part paths shows")
    if part == "plain":
        return draw_plain_and_residual(trace, shown)
    return draw_block(trace, shown, paths=part == "paths")


def choose_path(network: str, part: Part) -> Path:
    """Return the default file for a picture of a network, in the current folder."""
    path = Path(network).resolve()
    name = path.name if path.is_dir() else path.stem if path.is_file() else network
    return Path(f"{name}.svg" if part == "network" else f"{name}-{part}.svg")


def write_diagram(diagram: Diagram, path: Path, theme: Theme = "auto") -> None:
    """Write a diagram to ``path``, whole or not at all, as its suffix says.

    Raises:
        DrawingError: as ``check_path``, or if the file cannot be written.
    """
    check_path(path)
    if path.suffix.lower() == ".svg":
        content = to_svg(diagram, theme).encode()
    else:
        from resnets.report.drawing.png import to_png

        content = to_png(diagram, theme)
    with explain_os_errors(f"cannot write {path}", DrawingError):
        write_bytes(path, content)


def check_path(path: Path) -> None:
    """Raise an error for a path that a picture cannot have, before it is drawn.

    Raises:
        DrawingError: if the suffix is neither .svg nor .png, or there is no such folder.
        MissingDependency: if it is .png and what that needs is not installed.
    """
    if not path.parent.is_dir():
        raise DrawingError(f"{path}: there is no folder {path.parent}")
    if path.suffix.lower() not in (".svg", ".png"):
        raise DrawingError(f"{path}: pictures are .svg or .png")
    if path.suffix.lower() == ".png":
        from resnets.report.drawing.png import require_png

        require_png()


def _find_changing(found: list[Anatomy]) -> Anatomy:
    """Return the first block that makes the maps smaller, or else changes their shape."""
    changing = [block for block in found if block.shortcut.layers]
    smaller = (block for block in changing if block.source.shape[1:] != block.shape[1:])
    return next(smaller, (changing or found)[0])


def _find_identical(found: list[Anatomy], like: Anatomy | None = None) -> Anatomy:
    """Return the first block with an identity shortcut, if possible of the shape of ``like``."""
    identical = [block for block in found if not block.shortcut.layers]
    alike = (block for block in identical if like and block.shape == like.shape)
    return next(alike, (identical or found)[0])


def _draw_pair(trace: Trace, found: list[Anatomy]) -> Diagram:
    changing = _find_changing(found)
    identical = _find_identical(found, changing)
    if identical.shortcut.layers:
        raise DrawingError("part pair: no block of this network has an identity shortcut")
    if not changing.shortcut.layers:
        raise DrawingError("part pair: no block of this network changes the shape")
    return draw_pair(trace, identical, changing)


def _find_block(name: str, found: list[Anatomy]) -> Anatomy:
    named = {block.name: block for block in found}
    if name in named:
        return named[name]
    near = difflib.get_close_matches(name, named, n=3, cutoff=0.5) or [*named][:3]
    raise UnknownName(
        f"no block is called {name!r}; near it: {', '.join(near)}", name=name, suggestions=near
    )
