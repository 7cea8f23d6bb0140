"""``resnets convert``: from one form to another, and what is said about it."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resnets.convert.fitting import Input
from resnets.convert.reading import receive
from resnets.convert.writing import refuse_target, write
from resnets.networks.architecture import Architecture
from resnets.networks.layers import Trace
from resnets.networks.tracing import trace

WIDTH = 100


@dataclass(frozen=True)
class Conversion:
    """What was read, what it was taken for, what had to be assumed, what was written."""

    source: str
    source_kind: str
    architecture: Architecture
    size: int
    notes: tuple[str, ...]
    target: str
    target_kind: str

    @property
    def trace(self) -> Trace:
        """The network's layers at the size it is made for."""
        return trace(self.architecture, self.size)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {
            "source": self.source,
            "source_kind": self.source_kind,
            "network": self.architecture.name,
            "architecture": self.architecture.to_json(),
            "parameters": self.trace.parameters,
            "size": self.size,
            "notes": list(self.notes),
            "target": self.target,
            "target_kind": self.target_kind,
        }

    def to_text(self) -> str:
        """Return it as lines of text for people."""
        a = self.architecture
        channels = _format_count(a.channels, "channel")
        classes = _format_count(a.classes, "class")
        network = (
            f"{a.name or 'a network of no name'}: {channels}, {self.size} pixels, {classes}, "
            f"{self.trace.parameters:,} parameters"
        )
        rows = [("read", f"{self.source} ({self.source_kind})"), ("network", network)]
        rows += [("note", note) for note in self.notes]
        rows.append(("written", f"{self.target} ({self.target_kind})"))
        return "\n".join(_format_line(heading, text) for heading, text in rows)


def convert(
    source: str,
    target: Path,
    *,
    network: str | None = None,
    classes: int | None = None,
    new_head: bool = False,
    channels: int | None = None,
    adapt: Input | None = None,
    averaged: bool = False,
    seed: int = 0,
) -> Conversion:
    """Read a source as ``receive`` does and write it as ``writing.write`` does.

    Raises:
        As both; nothing is read where ``target`` could not be written.
    """
    refuse_target(target)
    received = receive(
        source,
        network=network,
        classes=classes,
        new_head=new_head,
        channels=channels,
        adapt=adapt,
        averaged=averaged,
        seed=seed,
    )
    found = received.network
    kind = write(found, target)
    return Conversion(
        source=source,
        source_kind=received.kind,
        architecture=found.architecture,
        size=found.preprocessing.size,
        notes=received.notes,
        target=str(target),
        target_kind=kind,
    )


def _format_line(heading: str, text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"{heading:<9}",
        subsequent_indent=" " * 9,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _format_count(number: int, of: str) -> str:
    if number == 1:
        return f"1 {of}"
    return f"{number:,} {of}{'es' if of.endswith('s') else 's'}"
