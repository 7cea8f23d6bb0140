"""The layout of ``docs/design.md``: imports only go down, imports inside functions included."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import resnets

SOURCE = Path(resnets.__file__).parent
LEVELS = (
    ("errors",),
    ("files", "schema", "tables", "terminal", "progress_bar"),
    ("networks", "recipes"),
    ("data",),
    ("backends",),
    ("convert", "export"),
    ("training",),
    ("inference", "bench"),
    ("report",),
    ("serve",),
    ("cli",),
)
LEVEL = {unit: level for level, units in enumerate(LEVELS) for unit in units}
OUTSIDE = {"__init__", "__main__", "chapter"}
"""The public names, the entry point, and the book's names: nothing below may import them."""

FOR_TYPES_ALONE = (
    ("networks.validation", "networks.architecture"),
    ("recipes.validation", "recipes.recipe"),
)
"""Imports that may close a cycle: a value checks itself when it is made."""

FRAMEWORKS = {"torch", "jax", "flax", "optax", "tensorflow", "keras", "mxnet"}
MAY_IMPORT_A_FRAMEWORK = ("backends/", "bench/workers/", "chapter/", "convert/", "export/")


def modules() -> dict[str, Path]:
    """Return the file of every module, by its dotted name below ``resnets``."""
    found: dict[str, Path] = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        name = ".".join(parts)
        found[name if len(parts) == 1 else name.removesuffix(".__init__")] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Yield what a file imports from the package, inside functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.partition(".")[0] == "resnets":
                yield resolve(name.partition(".")[2])


def resolve(name: str) -> str:
    """Return the module that a dotted name belongs to."""
    while name not in MODULES and "." in name:
        name = name.rpartition(".")[0]
    return name if name in MODULES else "__init__"


@pytest.mark.parametrize("unit", sorted({name.partition(".")[0] for name in MODULES} - OUTSIDE))
def test_every_unit_imports_only_units_below_it(unit: str) -> None:
    assert unit in LEVEL, f"{unit} has no level: add it to docs/design.md and to LEVELS"
    for name, path in MODULES.items():
        if name.partition(".")[0] != unit:
            continue
        for target in imports(path):
            below = target.partition(".")[0]
            if below == unit or (below == "__init__" and reads_version_alone(path)):
                continue
            assert below not in OUTSIDE, f"{name} imports {target}"
            assert LEVEL[below] < LEVEL[unit], f"{name} imports {target}, which is not below it"


def reads_version_alone(path: Path) -> bool:
    """Return whether a file takes nothing but ``__version__`` from the package itself."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    taken = {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "resnets"
        for alias in node.names
        if alias.name not in MODULES
    }
    return taken <= {"__version__"}


def test_no_modules_import_each_other() -> None:
    """Imports are a graph without cycles, those inside functions and for types included."""
    targets = {name: set(imports(path)) - {name} for name, path in MODULES.items()}
    for validation, validated in FOR_TYPES_ALONE:
        targets[validation].remove(validated)
    targets["__init__"] = set()  # the public names are imported when they are first used
    while free := {name for name, needed in targets.items() if not needed & targets.keys()}:
        targets = {name: needed for name, needed in targets.items() if name not in free}
    assert not targets, f"cycles among or above {sorted(targets)}"


def test_only_backends_workers_and_tabs_import_a_framework() -> None:
    for path in SOURCE.rglob("*.py"):
        place = path.relative_to(SOURCE).as_posix()
        if place.startswith(MAY_IMPORT_A_FRAMEWORK):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] not in FRAMEWORKS, f"{place} imports {name}"
