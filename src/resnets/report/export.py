"""What ``resnets export`` prints: the ONNX file that was written, the engines compared."""

import textwrap
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from resnets.export.measurement import Measured, Table
from resnets.export.onnx import INPUT, OUTPUT, Input
from resnets.export.operations import OPSET
from resnets.networks.network import Network
from resnets.tables import Column, Row
from resnets.tables import Table as Drawn

WIDTH = 100


def format_file(
    network: Network,
    path: Path,
    *,
    takes: Input,
    any_size: bool = False,
    calibrated: int | None = None,
) -> str:
    """Return what an ONNX file takes and gives, one line for each.

    ``calibrated`` is how many images int8 was calibrated on; None for a file in fp32.
    """
    a, size = network.architecture, network.preprocessing.size
    extent = "height, width" if any_size else f"{size}, {size}"
    if takes == "pixels":
        given = f"uint8 [n, {extent}, {a.channels}], as images are stored, 0 to 255"
    else:
        given = f"float32 [n, {a.channels}, {extent}], prepared as the metadata says"
    notes: list[str] = []
    if calibrated is not None:
        notes = [f"convolutions in int8, calibrated on {calibrated} training images"]
    rows = [
        ("network", f"{a.name or 'a network of no name'}"),
        ("input", f"{INPUT}: {given}"),
        ("output", f"{OUTPUT}: float32 [n, {a.classes}]"),
        *(("", note) for note in notes),
        ("written", f"{path} (ONNX, opset {OPSET}, {path.stat().st_size:,} bytes)"),
    ]
    return "\n".join(
        textwrap.fill(text, WIDTH, initial_indent=f"{heading:<9}", subsequent_indent=" " * 9)
        for heading, text in rows
    )


def draw_engines(table: Table, chosen: Measured) -> RenderableType:
    """Return a table of the engines, one a line, the chosen one marked."""
    first = next((row.engine for row in table.rows if row.error is None), "")
    judged = any(row.accuracy is not None for row in table.rows)
    kind = "held-out images" if table.real else "images of noise"
    columns = (
        Column(""),
        Column("engine"),
        Column("precision", drop_priority=2),
        Column(f"images/s at {table.batch}", align_right=True),
        Column("×", align_right=True),
        Column("ms at 1", align_right=True),
        Column("×", align_right=True),
        Column("largest error", align_right=True),
        Column("mean error", align_right=True, drop_priority=3),
        Column("same class", align_right=True),
        *([Column("accuracy", align_right=True)] if judged else []),
    )
    rows = [_draw_row(row, row.engine == chosen.engine, judged) for row in table.rows]
    failed = [Text(f"{row.engine}: {row.error}", "dim") for row in table.rows if row.error]
    about = (
        f"× {first}, median of {table.rounds} interleaved rounds; errors of the logits relative to "
        f"the largest, against {first}, on {table.images:,} {kind}"
    )
    drawn = Drawn(columns, [row for row in rows if row])
    return Group(drawn, *failed, "", Text(about, "dim"), *_describe_int8_cost(table, chosen, first))


def _describe_int8_cost(table: Table, chosen: Measured, first: str) -> list[Text]:
    """Return what int8 costs in accuracy, if it is chosen or faster than the chosen engine."""
    plain = next((row.accuracy for row in table.rows if row.engine == first), None)
    whole = [row for row in table.rows if row.precision == "int8" and row.error is None]
    best = max(whole, key=lambda row: row.rate or 0, default=None)
    if best is None or best.accuracy is None or plain is None:
        return []
    if best.engine != chosen.engine and (best.rate or 0) <= (chosen.rate or 0):
        return []
    points = 100 * (best.accuracy - plain)
    named = "" if chosen.engine == best.engine else f"; --engine {best.engine} chooses it"
    return [Text(f"int8 changes the accuracy by {points:+.2f} points{named}")]


def _draw_row(row: Measured, chosen: bool, judged: bool) -> Row | None:
    if row.error is not None or row.rate is None or row.latency is None:
        return None
    cells = (
        ">" if chosen else "",
        row.engine,
        row.precision,
        f"{row.rate:,.1f}" if row.rate < 100 else f"{row.rate:,.0f}",
        f"{row.speedup:.2f}",
        f"{1000 * row.latency:.2f}",
        f"{row.quickening:.2f}",
        f"{row.largest:.1e}",
        f"{row.mean:.1e}",
        "" if row.agreement is None else f"{row.agreement:.2%}",
        *([f"{row.accuracy:.2%}" if row.accuracy is not None else ""] if judged else []),
    )
    return Row(cells, "bold" if chosen else "")
