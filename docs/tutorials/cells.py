"""A tutorial as a list of cells: read from its percent script, and read back from its rendering.

A script has ``# %% [markdown]`` and ``# %%`` cells (the percent format of jupytext, Spyder, VS Code
and PyCharm). A rendering has the same prose and code, and after each code cell what it printed
(a ``text`` fence) and drew.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

LANGUAGES = {"en": "", "id": ".id"}
"""Editions, and what their scripts' names end in before ``.py``."""

_CELL = re.compile(r"^# %%[ ]*(\[markdown\])?[ ]*\n", re.M)
_FACTS = re.compile(r"\A<!-- .* (\{.*\}) -->\n")
_RUN = re.compile(r"^> (Run in full|Dijalankan penuh) .*\n\n?", re.M)
_CODE = re.compile(r"^```python\n(.*?)^```\n", re.M | re.S)
_TEXT = re.compile(r"\A\s*^```text\n(.*?)^```\n", re.M | re.S)
_FIGURE = re.compile(r"\A\s*^!\[(.*)\]\((images/\d\d_\w+-\d+\.(?:svg|png))\)\n", re.M)


@dataclass(frozen=True)
class Output:
    """What a code cell left: the text it printed, and its figures as (words, path)."""

    text: str = ""
    figures: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Cell:
    """A piece of a tutorial; ``line`` is that of its first line in the script, from 1."""

    kind: Literal["prose", "code"]
    source: str
    line: int = field(default=0, compare=False)


def scripts(folder: Path) -> list[Path]:
    """All tutorials of a folder, in all languages: those whose name begins with a number."""
    return sorted(folder.glob("[0-9][0-9]_*.py"))


def read_script(path: Path) -> list[Cell]:
    """Read the cells of a percent script; prose without its ``# ``."""
    text = path.read_text(encoding="utf-8")
    starts = [*_CELL.finditer(text)]
    if not starts or text[: starts[0].start()].strip():
        raise ValueError(f"{path}: expected '# %%' or '# %% [markdown]' as the first line")
    ends = [found.start() for found in starts[1:]] + [len(text)]
    cells: list[Cell] = []
    for start, end in zip(starts, ends, strict=True):
        line = text.count("\n", 0, start.end()) + 1
        body = text[start.end() : end].strip("\n")
        if start[1] is None:
            cells.append(Cell("code", body, line))
            continue
        lines = body.split("\n")
        for number, content in enumerate(lines, line):
            if content != "#" and not content.startswith("# "):
                raise ValueError(f"{path}:{number}: expected '# ' and prose, found {content!r}")
        cells.append(Cell("prose", "\n".join(content[2:] for content in lines), line))
    return cells


def code(cells: list[Cell]) -> list[str]:
    """The code alone: what two editions have in common."""
    return [cell.source for cell in cells if cell.kind == "code"]


def read_rendering(text: str) -> tuple[list[Cell], list[Output], dict[str, Any]]:
    """Read cells, the code cells' outputs, and the facts of the run back from a rendering."""
    facts = _FACTS.match(text)
    if facts is None:
        raise ValueError("expected a first line with the facts of the run")
    rest = _RUN.sub("", text[facts.end() :], count=1)
    cells: list[Cell] = []
    outputs: list[Output] = []
    while rest:
        found = _CODE.search(rest)
        prose = rest[: found.start()] if found else rest
        if prose.strip():
            cells.append(Cell("prose", prose.strip("\n")))
        if found is None:
            break
        cells.append(Cell("code", found[1].strip("\n")))
        output, rest = _read_output(rest[found.end() :])
        outputs.append(output)
    return cells, outputs, json.loads(facts[1])


def _read_output(rest: str) -> tuple[Output, str]:
    text, figures = "", []
    if found := _TEXT.match(rest):
        text, rest = found[1], rest[found.end() :]
    while found := _FIGURE.match(rest):
        figures.append((found[1], found[2]))
        rest = rest[found.end() :]
    return Output(text, tuple(figures)), rest


def merged(cells: list[Cell]) -> list[Cell]:
    """Join neighbouring cells of prose, which a rendering cannot tell apart."""
    found: list[Cell] = []
    for cell in cells:
        if found and found[-1].kind == cell.kind == "prose":
            cell = Cell("prose", f"{found.pop().source}\n\n{cell.source}")
        found.append(cell)
    return found
