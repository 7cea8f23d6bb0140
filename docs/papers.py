"""``docs/papers.md``: what papers and other projects print, beside what follows from our networks.

python docs/papers.py
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests"))  # where the printed figures are

from published import TABLES, Column, Row, Table  # noqa: E402
from resnets.networks import catalog  # noqa: E402
from resnets.networks.architecture import Architecture  # noqa: E402
from resnets.networks.geometry import default_image_size  # noqa: E402
from resnets.networks.layers import Trace  # noqa: E402
from resnets.networks.spec import Stage  # noqa: E402
from resnets.networks.tracing import trace  # noqa: E402
from resnets.report.comparison import list_parts  # noqa: E402
from resnets.report.summary import format_shape  # noqa: E402

PAGE = DOCS / "papers.md"

INTRODUCTION = """\
# The papers' tables, beside ours

Written by `python docs/papers.py` from the descriptions of the catalog; `tests/test_catalog.py`
holds every row to it. The left of two columns is what is printed, the right is ours, exact. They
agree where ours, rounded to the printed digits, is the print; *cut* means that it is the print when
its further digits are cut off, as some papers do. Where neither holds, the difference is given and
the last column says why.

A multiply-add is one multiplication and one addition in a convolution or a dense layer; most papers
call it a FLOP. *First /2* is the stride of a stage's first block.
"""


def described(row: Row) -> Architecture:
    """Give the catalog's network with what the source has otherwise."""
    found = catalog.get(row.network)
    stages = tuple(_stage(row, i, stage) for i, stage in enumerate(found.stages))
    return replace(found, stages=stages)


def _stage(row: Row, i: int, stage: Stage) -> Stage:
    block = replace(stage.block, **row.blocks)
    if row.cardinality is not None:
        groups, width = row.cardinality
        block = replace(block, groups=groups, inner=groups * width * 2**i)
    if row.widths is not None:
        width, group = row.widths[i], stage.width // block.groups
        stage = replace(stage, width=width)
        block = replace(block, inner=width, groups=width // group)
    return replace(stage, block=block)


def traced(row: Row) -> Trace:
    """Trace a row's network at the row's size."""
    architecture = described(row)
    return trace(architecture, row.size or default_image_size(architecture))


def _put_out(steps: Trace, *operations: str) -> int:
    return sum(layer.output_size for layer in steps.layers if layer.operation in operations)


def _with_norms(steps: Trace) -> int:
    read_last = steps.by_name[steps.features["pooled"]].inputs[0]
    norms = 2 * _put_out(steps, "norm") + 5 * _put_out(steps, "group_norm")
    return steps.multiply_adds + norms + steps.by_name[read_last].output_size


def _with_squeezing(steps: Trace) -> int:
    # A mean reads as many values as its scaling then puts out.
    return steps.multiply_adds + 2 * _put_out(steps, "scale")


def _field(i: int) -> Callable[[Trace], int]:
    def size(steps: Trace) -> int:
        found = steps.receptive_fields[steps.features[f"stage{i}"]]
        assert found is not None, "networks that squeeze have no such row"
        return found.size

    return size


QUANTITIES: dict[str, Callable[[Trace], int]] = {
    "parameters": lambda steps: steps.parameters,
    "multiply_adds": lambda steps: steps.multiply_adds,
    "multiply_adds_with_norms": _with_norms,
    "multiply_adds_with_squeezing": _with_squeezing,
    "conv_activations": lambda steps: steps.conv_activations,
    "conv_and_max_pool_activations": lambda steps: (
        steps.conv_activations + _put_out(steps, "max_pool")
    ),
    **{f"field_{i}": _field(i) for i in range(1, 5)},
}
"""What a printed figure may be: a count of a traced network."""


def verdict(printed: str, found: int, column: Column) -> str:
    """Say how our count stands to a printed figure: nothing, ``cut``, or the difference."""
    ours, digits = Decimal(found) / column.unit, Decimal(printed).as_tuple().exponent
    step = Decimal(1).scaleb(int(digits))
    if ours.quantize(step, ROUND_HALF_UP) == Decimal(printed):
        return ""
    if ours.quantize(step, "ROUND_DOWN") == Decimal(printed):
        return "cut"
    return f"{100 * (ours / Decimal(printed) - 1):+.1f}%"


def verdicts(row: Row, steps: Trace, columns: Sequence[Column]) -> list[str]:
    """Give the verdict for every figure that is printed in a row."""
    return [
        "" if printed is None else verdict(printed, QUANTITIES[column.quantity](steps), column)
        for printed, column in zip(row.printed, columns, strict=True)
    ]


def page() -> str:
    """Write the whole page."""
    blocks = [INTRODUCTION]
    blocks += ["\n".join(_table(table)) for table in TABLES]
    return "\n".join(blocks)


def _table(table: Table) -> Iterator[str]:
    yield from (f"## {table.title}", "", f"Source: {table.source}.", "")
    if table.note:
        yield from (table.note, "")
    if table.drawn:
        yield from (*_stages([traced(row) for row in table.rows]), "")
    columns = [cell for column in table.columns for cell in (column.title, "ours")]
    yield _line("", "network", *columns, "")
    yield _line("---", "---", *["---:"] * len(columns), "---")
    for row in table.rows:
        yield _figure_line(row, table.columns)
    yield ""


def _stages(networks: Sequence[Trace]) -> Iterator[str]:
    """Write the networks' parts in the form of the papers' Table 1."""
    yield _line("", "output", *(f"`{steps.architecture.name}`" for steps in networks))
    yield _line(*["---"] * (len(networks) + 2))
    for own in zip(*(list_parts(steps) for steps in networks), strict=True):
        cells = [str(part).replace("; ", "<br>") for part in own]
        yield _line(own[0].name, format_shape(own[0].shape[1:]) or "1 × 1", *cells)


def _figure_line(row: Row, columns: Sequence[Column]) -> str:
    steps = traced(row)
    cells: list[str] = []
    for printed, column, said in zip(
        row.printed, columns, verdicts(row, steps, columns), strict=True
    ):
        ours = f"{QUANTITIES[column.quantity](steps):,}"
        shown = f"{int(printed):,}" if printed and column.unit == 1 else printed or ""
        cells += [shown, f"{ours} ({said})" if said else ours]
    return _line(row.label, f"`{row.network}`{_changes(row)}", *cells, row.why)


def _changes(row: Row) -> str:
    """Say what the source has otherwise than the catalog."""
    said = [f"{name} {value}" for name, value in row.blocks.items()]
    if row.widths is not None:
        said.append(f"widths {' '.join(map(str, row.widths))}")
    if row.cardinality is not None:
        said.append("{} groups of {}".format(*row.cardinality))
    if row.size is not None:
        said.append(f"{row.size} pixels")
    return f" with {', '.join(said)}" if said else ""


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
