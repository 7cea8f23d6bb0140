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

ASCII_REPLACEMENTS = str.maketrans({"×": "x", "─": "-", "·": "|", "⋮": ":", "→": ">", "…": "~"})
"""What to write where the terminal's encoding has no more than ASCII."""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        title: above it.
        align_right: whether its cells end on one line, as numbers do.
        drop_priority: where there is no room, columns go in the order of this, the highest first;
            those of 0 stay.
    """

    title: str
    align_right: bool = False
    drop_priority: int = 0


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
        shown = _fit(self, options.max_width)
        for text, style in shown.render(options.max_width):
            if options.ascii_only:
                text = text.translate(ASCII_REPLACEMENTS)
            yield Segment(text, Style.parse(style) if style else None)


@dataclass(frozen=True)
class _Layout:
    """A table whose widths are settled."""

    columns: tuple[Column, ...]
    lines: Sequence[Row | Rule]
    widths: tuple[int, ...]
    gap: int

    @property
    def width(self) -> int:
        return sum(self.widths) + self.gap * (len(self.widths) - 1)

    def render(self, limit: int) -> Iterator[tuple[str, str]]:
        """Yield pieces of text, each with its style."""
        yield self._render_row(tuple(column.title for column in self.columns), limit), "bold"
        for line in self.lines:
            if isinstance(line, Row):
                yield self._render_row(line.cells, limit), line.style
            else:
                yield from self._render_rule(line.text, min(self.width, limit))

    def _render_row(self, cells: tuple[str, ...], limit: int) -> str:
        padded = [
            cell.rjust(width) if column.align_right else cell.ljust(width)
            for cell, column, width in zip(cells, self.columns, self.widths, strict=True)
        ]
        text = (" " * self.gap).join(padded).rstrip()
        # A number that lost its end must not look like a smaller one.
        return (text if len(text) <= limit else text[: limit - 1] + "…") + "\n"

    def _render_rule(self, text: str, width: int) -> Iterator[tuple[str, str]]:
        if text:
            text = f" {text} "[: max(width - 2, 0)]
            yield "──", "dim"
            yield text, "bold"
            width -= 2 + len(text)
        yield "─" * width + "\n", "dim"


def _fit(table: Table, limit: int) -> _Layout:
    """Settle the widths: loose, else with tight shapes, tight gaps, without spare columns."""
    shown = _measure(table.columns, table.lines, gap=2)
    tight = [_tighten(line) for line in table.lines] if shown.width > limit else []
    for gap in (2, 1):
        if shown.width > limit:
            shown = _measure(table.columns, tight, gap=gap)
    while shown.width > limit and any(column.drop_priority for column in shown.columns):
        spares = [column.drop_priority for column in shown.columns]
        out = spares.index(max(spares))
        shown = _measure(
            _without_column(shown.columns, out), _without_cells(shown.lines, out), gap=1
        )
    return shown


def _measure(columns: tuple[Column, ...], lines: Sequence[Row | Rule], *, gap: int) -> _Layout:
    titles = tuple(column.title for column in columns)
    # A heading, which has nothing beside it, may reach over the next columns.
    rows = (line.cells for line in lines if isinstance(line, Row) and any(line.cells[1:]))
    widths = tuple(max(map(len, cells)) for cells in zip(*chain([titles], rows), strict=True))
    return _Layout(columns, lines, widths, gap)


def _tighten(line: Row | Rule) -> Row | Rule:
    """Write shapes without spaces, and indent by one."""
    if isinstance(line, Rule):
        return line
    cells = [cell.replace(" × ", "×").replace("  ", " ") for cell in line.cells]
    return Row(tuple(cells), line.style)


def _without_column(cells: tuple[Column, ...], out: int) -> tuple[Column, ...]:
    return cells[:out] + cells[out + 1 :]


def _without_cells(lines: Sequence[Row | Rule], out: int) -> list[Row | Rule]:
    return [
        Row(line.cells[:out] + line.cells[out + 1 :], line.style) if isinstance(line, Row) else line
        for line in lines
    ]
