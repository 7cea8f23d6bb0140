"""Text in columns, drawn fast, and fitted to the width there is.

rich's own Table measures and wraps every cell: a quarter of a second for the layers of ResNet-152,
several milliseconds for each frame of a live view. Here a cell is one line of text, and a table
that does not fit closes its gaps first and then leaves out columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

PLAIN = str.maketrans({"×": "x", "─": "-", "·": "|", "⋮": ":", "→": ">", "…": "~"})
"""What to write where the terminal's encoding has no more than ASCII."""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: above it.
        right: whether its cells end on one line, as numbers do.
        spare: where there is no room, columns go in the order of this, the highest first;
            those of 0 stay.
    """

    title: str
    right: bool = False
    spare: int = 0


@dataclass(frozen=True)
class Row:
    """A line of cells, one for each column; ``style`` is rich's."""

    cells: tuple[str, ...]
    style: str = ""


@dataclass(frozen=True)
class Rule:
    """A line across the table, with ``text`` set into it."""

    text: str = ""


@dataclass(frozen=True)
class Table:
    """Something for ``Console.print``: titles, then lines."""

    columns: tuple[Column, ...]
    lines: Sequence[Row | Rule]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = _fitted(self, options.max_width)
        for text, style in shown.drawn(options.max_width):
            if options.ascii_only:
                text = text.translate(PLAIN)
            yield Segment(text, Style.parse(style) if style else None)


@dataclass(frozen=True)
class _Shown:
    """A table whose widths are settled."""

    columns: tuple[Column, ...]
    lines: Sequence[Row | Rule]
    widths: tuple[int, ...]
    gap: int

    @property
    def width(self) -> int:
        return sum(self.widths) + self.gap * (len(self.widths) - 1)

    def drawn(self, limit: int) -> Iterator[tuple[str, str]]:
        """Yield pieces of text, each with its style."""
        yield self._row(tuple(column.title for column in self.columns), limit), "bold"
        for line in self.lines:
            if isinstance(line, Row):
                yield self._row(line.cells, limit), line.style
            else:
                yield from self._rule(line.text, min(self.width, limit))

    def _row(self, cells: tuple[str, ...], limit: int) -> str:
        padded = [
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, column, width in zip(cells, self.columns, self.widths, strict=True)
        ]
        text = (" " * self.gap).join(padded).rstrip()
        # A number that lost its end must not look like a smaller one.
        return (text if len(text) <= limit else text[: limit - 1] + "…") + "\n"

    def _rule(self, text: str, width: int) -> Iterator[tuple[str, str]]:
        if text:
            text = f" {text} "[: max(width - 2, 0)]
            yield "──", "dim"
            yield text, "bold"
            width -= 2 + len(text)
        yield "─" * width + "\n", "dim"


def _fitted(table: Table, limit: int) -> _Shown:
    """Settle the widths: loose, else with tight shapes, tight gaps, without spare columns."""
    shown = _measured(table.columns, table.lines, gap=2)
    tight = [_tight(line) for line in table.lines] if shown.width > limit else []
    for gap in (2, 1):
        if shown.width > limit:
            shown = _measured(table.columns, tight, gap)
    while shown.width > limit and any(column.spare for column in shown.columns):
        spares = [column.spare for column in shown.columns]
        out = spares.index(max(spares))
        shown = _measured(_without(shown.columns, out), _without_cell(shown.lines, out), gap=1)
    return shown


def _measured(columns: tuple[Column, ...], lines: Sequence[Row | Rule], gap: int) -> _Shown:
    titles = tuple(column.title for column in columns)
    # A heading, which has nothing beside it, may reach over the next columns.
    rows = (line.cells for line in lines if isinstance(line, Row) and any(line.cells[1:]))
    widths = tuple(max(map(len, cells)) for cells in zip(*chain([titles], rows), strict=True))
    return _Shown(columns, lines, widths, gap)


def _tight(line: Row | Rule) -> Row | Rule:
    """Write shapes without spaces, and indent by one."""
    if isinstance(line, Rule):
        return line
    cells = [cell.replace(" × ", "×").replace("  ", " ") for cell in line.cells]
    return Row(tuple(cells), line.style)


def _without(cells: tuple[Column, ...], out: int) -> tuple[Column, ...]:
    return cells[:out] + cells[out + 1 :]


def _without_cell(lines: Sequence[Row | Rule], out: int) -> list[Row | Rule]:
    return [
        Row(line.cells[:out] + line.cells[out + 1 :], line.style) if isinstance(line, Row) else line
        for line in lines
    ]
