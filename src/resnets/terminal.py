"""How commands speak: results to standard output, everything else to standard error."""

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def print_drawn(renderable: Any) -> None:
    """Print a table, or whatever rich can draw."""
    console().print(renderable)


def console() -> "Console":
    """Give the console of standard output."""
    from rich.console import Console

    # A table that is piped into a file or a pager keeps its width; a class or a folder may be
    # called [bold] or :dog:, which is no markup here.
    width = None if sys.stdout is not None and sys.stdout.isatty() else 100
    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """Print a value as JSON for people and programs."""
    print(json_line(value, indent=2))


def json_line(value: Any, indent: int | None = None) -> str:
    """Write a value as JSON; a number that is not finite is an error."""
    return json.dumps(value, indent=indent, allow_nan=False)


def note(text: str) -> None:
    """Say something beside the result."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)
