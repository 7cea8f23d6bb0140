"""Reading and writing descriptions: frozen dataclasses to JSON values and back.

An architecture and a recipe are both trees of frozen dataclasses. Reading one from JSON or TOML
reports every problem at once, each with its path, such as
``stages[0].widht: unknown; Stage has depth, width, stride, block``.
"""

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from resnets.errors import InvalidDescription, Problem

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Give a description as JSON values: objects, lists, numbers, strings, booleans, null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in typing.cast("Sequence[Any]", value)]
    return value


def from_json(cls: type[T], value: Any, subject: str) -> T:
    """Build ``cls`` from JSON values.

    Raises:
        InvalidDescription: with every unknown, missing or mistyped field of the whole tree; only
            a tree of the right form goes on to the checks of values that ``cls`` itself makes.
    """
    problems: list[Problem] = []
    result = _read(cls, value, "", problems)
    if problems:
        raise InvalidDescription(subject, problems)
    return result


def read_text(text: str, subject: str) -> Any:
    """Parse JSON in which no key stands twice: of two values for one setting, which is meant?

    Raises:
        InvalidDescription: if the text is not JSON, or a key is repeated.
    """
    try:
        return json.loads(text, object_pairs_hook=_unrepeated)
    except (ValueError, RecursionError) as error:
        raise InvalidDescription(subject, [Problem("", f"not JSON: {error}")]) from error


def _unrepeated(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} stands twice")
        found[name] = value
    return found


def _read(kind: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    """Read one value of the annotated type ``kind``; append to ``problems`` what does not fit."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _read_fields(typing.cast("type[Any]", kind), value, path, problems)
    if origin is tuple:
        return _read_items(arguments[0], value, path, problems)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        (inner,) = (a for a in arguments if a is not types.NoneType)
        return _read(inner, value, path, problems)
    if origin is typing.Literal:
        if not isinstance(value, str) or value not in arguments:
            problems.append(Problem(path, f"{value!r} is not one of {_listed(arguments)}"))
        return value
    return _read_scalar(kind, value, path, problems)


def _read_scalar(kind: type, value: Any, path: str, problems: list[Problem]) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**53 else _mistyped(kind, value, path, problems)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        return _mistyped(kind, value, path, problems)
    return value


def _mistyped(kind: type, value: Any, path: str, problems: list[Problem]) -> None:
    wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
    problems.append(Problem(path, f"{shortened(value)} is not {wanted.get(kind, kind.__name__)}"))


def _read_items(kind: Any, value: Any, path: str, problems: list[Problem]) -> Any:
    if not isinstance(value, (list, tuple)):
        problems.append(Problem(path, f"{shortened(value)} is not a list"))
        return ()
    items = typing.cast("Sequence[Any]", value)
    return tuple(_read(kind, item, f"{path}[{i}]", problems) for i, item in enumerate(items))


def _read_fields(cls: type[Any], value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        problems.append(Problem(path, f"{shortened(value)} is not an object; {_fields(cls)}"))
        return None
    given = typing.cast("Mapping[str, Any]", value)
    known = {f.name: f for f in dataclasses.fields(cls)}
    prefix = f"{path}." if path else ""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            problems.append(Problem(f"{prefix}{name}", f"unknown{hint}; {_fields(cls)}"))
    kinds = typing.get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for name, field in known.items():
        if name in given:
            arguments[name] = _read(kinds[name], given[name], f"{prefix}{name}", problems)
        elif _required(field):
            problems.append(Problem(f"{prefix}{name}", f"missing; {_fields(cls)}"))
    return cls(**arguments) if not problems else None


def _required(field: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _fields(cls: type[Any]) -> str:
    return f"{cls.__name__} has {', '.join(f.name for f in dataclasses.fields(cls))}"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(str(v) for v in values)


def shortened(value: Any, limit: int = 60) -> str:
    """Quote ``value`` for a message, cut at ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
