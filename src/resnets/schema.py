"""Reading and writing descriptions: frozen dataclasses to JSON values and back.

An architecture and a recipe are both trees of frozen dataclasses. Reading one from JSON or TOML
reports every problem at once, each with its path, such as
``stages[0].widht: unknown; Stage has depth, width, stride, block``. What was read is checked even
where something else could not be: other values stand in for that, several in turn, and a problem
counts only if it is the same with all of them.
"""

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from resnets.errors import InvalidDescription, Problem

T = TypeVar("T")

STAND_IN_ROUNDS = 6
"""How often something else stands in: every choice of a Literal does at least once."""

_STAND_INS: Mapping[Any, tuple[Any, ...]] = {
    bool: (False, True),
    int: (1, 2, 0, 3, 4096),
    float: (0.5, 0.0, 1.0, 2.0, 1000.0),
    str: ("", "any"),
}


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
        InvalidDescription: with every unknown, missing or mistyped field of the whole tree, and
            whatever ``cls`` itself finds wrong with the values of the others.
    """
    reader = _Reader(0)
    result = reader.read(cls, value, "")
    if not reader.problems:
        return result
    problems = list(dict.fromkeys(reader.problems))
    for turn in range(1, STAND_IN_ROUNDS):
        other = _Reader(turn)
        other.read(cls, value, "")
        found = set(other.problems)
        problems = [problem for problem in problems if problem in found]
    raise InvalidDescription(subject, problems)


def parse_json(text: str, subject: str) -> Any:
    """Parse JSON in which no key stands twice: of two values for one setting, which is meant?

    Raises:
        InvalidDescription: if the text is not JSON, or a key is repeated.
    """
    try:
        return json.loads(text, object_pairs_hook=_reject_repeated_keys)
    except (ValueError, RecursionError) as error:
        raise InvalidDescription(subject, [Problem("", f"not JSON: {error}")]) from error


def _reject_repeated_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} stands twice")
        found[name] = value
    return found


class _Reader:
    """Reads values of annotated types; collects what does not fit.

    Attributes:
        turn: which of the things that can stand in for what cannot be read.
        problems: of form, and those that the classes themselves find.
    """

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.problems: list[Problem] = []

    def read(self, kind: Any, value: Any, path: str) -> Any:
        """Read one value of the type ``kind``."""
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if dataclasses.is_dataclass(kind):
            return self._read_fields(typing.cast("type[Any]", kind), value, path=path)
        if origin is tuple:
            return self._read_items(kind, value, path=path)
        if origin in (typing.Union, types.UnionType):
            if value is None:
                return None
            known = len(self.problems)
            found = self.read(_optional_type(arguments), value, path)
            return found if len(self.problems) == known else _make_stand_in(kind, self.turn)
        if origin is typing.Literal:
            if isinstance(value, str) and value in arguments:
                return value
            return self._reject(
                kind, path, message=f"{value!r} is not one of {_list_values(arguments)}"
            )
        return self._read_scalar(kind, value, path=path)

    def _reject(self, kind: Any, path: str, *, message: str) -> Any:
        """Note a problem; give what stands in for the value."""
        self.problems.append(Problem(path, message))
        return _make_stand_in(kind, self.turn)

    def _read_scalar(self, kind: type, value: Any, *, path: str) -> Any:
        number = isinstance(value, int) and not isinstance(value, bool)
        if kind is float and number and abs(value) < 2**53:
            return float(value)
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
        wanted = {int: "a whole number", float: "a number", bool: "true or false", str: "a string"}
        message = f"{shorten(value)} is not {wanted.get(kind, kind.__name__)}"
        return self._reject(kind, path, message=message)

    def _read_items(self, kind: Any, value: Any, *, path: str) -> Any:
        if not isinstance(value, (list, tuple)):
            return self._reject(kind, path, message=f"{shorten(value)} is not a list")
        item_kind, items = typing.get_args(kind)[0], typing.cast("Sequence[Any]", value)
        return tuple(self.read(item_kind, item, f"{path}[{i}]") for i, item in enumerate(items))

    def _read_fields(self, cls: type[Any], value: Any, *, path: str) -> Any:
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            message = f"{shorten(value)} is not an object; {_list_fields(cls)}"
            return self._reject(cls, path, message=message)
        given = typing.cast("Mapping[str, Any]", value)
        known = {f.name: f for f in dataclasses.fields(cls)}
        prefix = f"{path}." if path else ""
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                self.problems.append(
                    Problem(f"{prefix}{name}", f"unknown{hint}; {_list_fields(cls)}")
                )
        kinds = typing.get_type_hints(cls)
        arguments: dict[str, Any] = {}
        for name, field in known.items():
            if name in given:
                arguments[name] = self.read(kinds[name], given[name], f"{prefix}{name}")
            elif _is_required(field):
                message = f"missing; {_list_fields(cls)}"
                arguments[name] = self._reject(kinds[name], f"{prefix}{name}", message=message)
        made, problems = _construct(cls, arguments)
        self.problems += [Problem(f"{prefix}{p.path}", p.message) for p in problems]
        return made


def _make_stand_in(kind: Any, turn: int) -> Any:
    """Give a value of the type ``kind``, another one in another turn."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        kinds = typing.get_type_hints(kind)
        fields = {f.name: _make_stand_in(kinds[f.name], turn) for f in dataclasses.fields(kind)}
        return _construct(typing.cast("type[Any]", kind), fields)[0]
    if origin is tuple:
        return tuple(_make_stand_in(arguments[0], turn) for _ in range(turn % 3))
    if origin in (typing.Union, types.UnionType):
        return _make_stand_in(_optional_type(arguments), turn - 1) if turn else None
    values = arguments if origin is typing.Literal else _STAND_INS[kind]
    return values[turn % len(values)]


def _construct(cls: type[Any], arguments: Mapping[str, Any]) -> tuple[Any, Sequence[Problem]]:
    """Make an object, or give what it finds wrong with its fields."""
    try:
        return cls(**arguments), ()
    except InvalidDescription as error:
        return None, error.problems


def _optional_type(arguments: Sequence[Any]) -> Any:
    """Give the type of an optional value."""
    (inner,) = (a for a in arguments if a is not types.NoneType)
    return inner


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _list_fields(cls: type[Any]) -> str:
    return f"{cls.__name__} has {', '.join(f.name for f in dataclasses.fields(cls))}"


def _list_values(values: Sequence[Any]) -> str:
    return ", ".join(str(v) for v in values)


def shorten(value: Any, limit: int = 60) -> str:
    """Quote ``value`` for a message, cut at ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def list_some(names: Sequence[str], limit: int = 5) -> str:
    """Return the first names, and how many more there are, for a message."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def finite_or_none(value: float) -> float | None:
    """Return a number as JSON can hold it: None for one that is not finite."""
    return value if math.isfinite(value) else None
