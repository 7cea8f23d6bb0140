"""Which of the book's four tabs is read: ``tab.selected`` of its cells, and its ``%%tab``.

The chapter's source holds all four tabs. In a notebook, ``%load_ext resnets.chapter.tab`` in
place of ``%load_ext d2lbook.tab`` gives its cells the name ``tab`` and the magic ``%%tab``, which
leaves out the cells of other tabs. Importing a tab's helper selects the tab, and does the same in a
notebook that has no ``tab`` yet. In a script, ``from resnets.chapter import tab, torch as d2l``.
"""

import sys
from collections.abc import Sequence
from typing import Any

from resnets.errors import UnknownName

NAMES = ("mxnet", "pytorch", "tensorflow", "jax")
"""The tabs, as the book calls them."""

_current: list[str] = []


def select(name: str) -> None:
    """Read the tab called ``name`` from now on.

    Raises:
        UnknownName: if the book has no such tab.
    """
    _current[:] = [_check_name(name)]


def enter(name: str) -> None:
    """Select the tab whose helper is imported; give a notebook ``tab`` where it has none.

    Raises:
        UnknownName: if the book has no such tab.
    """
    select(name)
    ipython: Any = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is not None and "tab" not in shell.user_ns:
        load_ipython_extension(shell)


def interact_select(*names: str | Sequence[str]) -> None:
    """Select the first of ``names``, as the chapter's first cell does; there is no menu."""
    given = [part for name in names for part in ([name] if isinstance(name, str) else name)]
    for name in given:
        _check_name(name)
    if given:
        select(given[0])


def selected(*names: str) -> bool:
    """Whether the tab that is read is one of ``names``; ``all`` is every tab.

    Raises:
        UnknownName: if the book has no such tab, or none is selected yet.
    """
    if "all" in names:
        return True
    wanted = [_check_name(name) for name in names]
    if not _current:
        raise UnknownName(
            "no tab is selected yet: import its helper first "
            "(from resnets.chapter import torch as d2l), or tab.select('pytorch')",
            name="",
            suggestions=NAMES,
        )
    return _current[0] in wanted


def _check_name(name: str) -> str:
    if name not in NAMES:
        raise UnknownName(
            f"no tab is called {name!r}; the book has {', '.join(NAMES)}",
            name=name,
            suggestions=NAMES,
        )
    return name


def load_ipython_extension(shell: Any) -> None:
    """Give a notebook the name ``tab`` and the magic ``%%tab``; IPython calls this."""

    def magic(line: str, cell: str) -> None:
        if selected(*(name.strip() for name in line.split(","))):
            shell.run_cell(cell).raise_error()

    shell.push({"tab": sys.modules[__name__]})
    shell.register_magic_function(magic, magic_kind="cell", magic_name="tab")
