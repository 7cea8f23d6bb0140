"""How commands speak: results to standard output, everything else to standard error."""

import inspect
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def print_rich(renderable: Any) -> None:
    """Print a table, or whatever rich can draw."""
    make_console().print(renderable)


def unwrap_paragraphs(text: str) -> str:
    """Join the lines of each paragraph of a command's docstring, whose lines are as wide as code.

    A terminal has another width: help would break at its own and again where code does.
    """
    joined: list[str] = []
    described = False  # from the heading of the parameters on, their names stand in a line each
    for line in inspect.cleandoc(text).splitlines():
        described = described or line == "Parameters"
        before = joined[-1] if joined else ""
        same = bool(line) and bool(before) and _indentation(line) == _indentation(before)
        if same and (_indentation(line) or not described):
            joined[-1] = f"{before} {line.lstrip()}"
        else:
            joined.append(line)
    return "\n".join(joined)


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def make_console() -> "Console":
    """Give the console of standard output."""
    from rich.console import Console

    # A table that is piped into a file or a pager keeps its width; a class or a folder may be
    # called [bold] or :dog:, which is no markup here.
    width = None if sys.stdout is not None and sys.stdout.isatty() else 100
    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_json(value: Any) -> None:
    """Print a value as JSON for people and programs."""
    print(format_json(value, indent=2))


def format_json(value: Any, indent: int | None = None) -> str:
    """Write a value as JSON; a number that is not finite is an error."""
    return json.dumps(value, indent=indent, allow_nan=False)


def print_note(text: str) -> None:
    """Say something beside the result."""
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)
