"""A flag of ``resnets train`` for every field of ``Recipe``, and the recipe they result in."""

import dataclasses
import tomllib
import types
import typing
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from resnets.cli.options import MOST_DIGITS, read_whole
from resnets.errors import GrowthError, InvalidDescription, Problem, RunError, UnknownName
from resnets.files import explain_os_errors
from resnets.recipes import presets
from resnets.recipes.recipe import Recipe, Start
from resnets.schema import parse_json, shorten, to_json


class _NotGiven:
    """The value of a flag that was not given; None is a value, such as no average."""

    def __repr__(self) -> str:
        return "not given"


NOT_GIVEN = _NotGiven()


def _documentation() -> dict[str, str]:
    """What Recipe's docstring says of each field: the text is written once, there."""
    text = (Recipe.__doc__ or "").split("Attributes:\n", 1)[-1]
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        bare = line.strip()
        if line.startswith(" " * 8) and not line.startswith(" " * 9) and ":" in bare:
            heading, bare = bare.split(":", 1)
            names = [name.strip() for name in heading.split(",")]
        for name in names:
            found[name] = f"{found.get(name, '')} {bare.strip()}".strip()
    return {name: text.replace("`", "").rstrip(".") for name, text in found.items()}


def _flags_class() -> type[Any]:
    documented, kinds = _documentation(), typing.get_type_hints(Recipe)
    fields: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(Recipe):
        if field.name == "name":
            continue
        kind = kinds[field.name]
        if field.name == "grow":
            kind = tuple[str, ...]  # EPOCH:TARGET, read by ``_growth``
        parameter = Parameter(
            help=documented[field.name],
            show_default=False,
            consume_multiple=True,
            negative_bool="no-",
            converter=read_whole if kind in (int, int | None) else None,
            negative_iterable=(),
            negative_none="no-" if types.NoneType in typing.get_args(kind) else (),
        )
        default = dataclasses.field(default=NOT_GIVEN)
        fields.append((field.name, Annotated[kind, parameter], default))
    made = dataclasses.make_dataclass("RecipeFlags", fields, kw_only=True, frozen=True)
    made.__module__ = __name__  # of a class made at run time, cyclopts takes it for a builtin
    return made


if typing.TYPE_CHECKING:

    @dataclasses.dataclass(frozen=True)
    class RecipeFlags:
        """The flags as given."""
else:
    RecipeFlags = _flags_class()


NO_FLAGS = RecipeFlags()


def given(flags: "RecipeFlags", name: str) -> bool:
    """Whether the flag of that field of ``Recipe`` was given."""
    return getattr(flags, name) is not NOT_GIVEN


def resolve(recipe: str | None, flags: "RecipeFlags") -> Recipe:
    """Give the recipe of that name or file, changed by the flags that were given.

    None: the default for the data, the start and the network that the flags name.

    Raises:
        UnknownName: if it is neither a name nor a .toml or .json file.
        RunError: if the file cannot be read, or a network is named beside weights to start from.
        GrowthError: if a growth's target can be none.
        InvalidDescription: for unknown or contradictory settings, all at once.
    """
    changes = {
        field.name: to_json(value)
        for field in dataclasses.fields(flags)
        if (value := getattr(flags, field.name)) is not NOT_GIVEN
    }
    if "grow" in changes:
        changes["grow"] = [_growth(text) for text in changes["grow"]]
    if recipe is None:
        recipe = presets.default_preset(
            str(changes.get("data", Recipe.data)),
            started=changes.get("start") is not None,
            network=changes.get("network"),
        )
    base = _started(recipe)
    found = base.replace(**changes) if changes else base
    if found.start is not None and "network" in changes:
        raise RunError(
            f"--network {found.network}: a run that starts from {found.start} has its network; "
            "leave out one of the two"
        )
    return found


def _started(recipe: str) -> Recipe:
    path = Path(recipe)
    if path.suffix in (".json", ".toml"):
        return _read_file(path)
    try:
        return presets.get_preset(recipe)
    except UnknownName as error:
        raise UnknownName(
            f"{error}; a recipe's file ends in .toml or .json",
            name=error.name,
            suggestions=error.suggestions,
        ) from None


def _growth(text: str) -> dict[str, Any]:
    """Read EPOCH:NETWORK or EPOCH:DEPTHS, and perhaps :START behind."""
    epoch, _, target = text.partition(":")
    before, _, start = target.rpartition(":")
    starts = typing.get_args(Start)
    chosen = {"start": start} if start in starts else {}
    if not chosen and len(before) > 1 and start.isalpha():  # C:nets is a path
        message = f"{shorten(text)}: {start!r} is no start ({', '.join(starts)})"
        raise InvalidDescription("recipe", [Problem("grow", message)])
    target = before if chosen else target
    if not (_is_count(epoch) and target):
        message = f"{shorten(text)} is not EPOCH:NETWORK or EPOCH:DEPTHS, such as 4:2-2-2"
        raise InvalidDescription("recipe", [Problem("grow", message)])
    return {"epoch": int(epoch), **growth_target(target), **chosen}


def growth_target(text: str) -> dict[str, Any]:
    """Read what a network grows to: blocks in each stage, such as 3-4-6-3, or a name.

    Raises:
        GrowthError: if it can be neither.
    """
    depths = text.split("-")
    if all(map(_is_count, depths)):
        return {"depths": tuple(map(int, depths))}
    if not text.strip("-0123456789"):
        raise GrowthError(
            f"{shorten(text)} is neither a network nor the blocks in each stage, such as 3-4-6-3"
        )
    return {"to": text}


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS


def _read_file(path: Path) -> Recipe:
    if not path.is_file():
        raise RunError(f"{path}: no such file; a recipe is a name or a JSON or TOML file")
    with explain_os_errors(f"cannot read {path}", RunError):
        content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
        is_toml = path.suffix == ".toml"
        value = tomllib.loads(text) if is_toml else parse_json(text, str(path))
    except InvalidDescription:
        raise
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not {path.suffix[1:].upper()} ({error})") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: a recipe is an object of settings")
    return presets.recipe_from_json(typing.cast("dict[str, Any]", value), str(path))
