"""A table of the file as an instance of the dataclass that it configures: the same names, the dataclass judges values.

What a dataclass refuses with a ValueError is told with the line of the key that its text names, so that a rule stands
once, in the room that needs it.
"""

from __future__ import annotations

import enum
import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from evse_controller.config.reader import Table

T = TypeVar("T")


def read(table: Table, kind: type[T], **given: Any) -> T | None:
    """`table`, all of it, as a `kind`; fields in `given` are not looked for. None: problems were told."""
    told = table.problems
    keys = [field.name for field in fields(kind) if field.name not in given]  # type: ignore[arg-type]
    table.know(keys)
    found = values(table, kind, keys)
    for field in fields(kind):  # type: ignore[arg-type]
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and field.name in keys and field.name not in table:
            table.complain(field.name, "is missing")
    table.done()
    if table.problems > told:
        return None
    return attempt(table, lambda: kind(**given, **found))


def values(table: Table, kind: type, keys: Iterable[str]) -> dict[str, Any]:
    """Those of `keys`, fields of `kind`, that the table has and that have the field's type; others are told."""
    hints = get_type_hints(kind)
    told = table.problems
    found = {key: _value(table, key, hints[key]) for key in keys if key in table}
    return found if table.problems == told else {key: value for key, value in found.items() if value is not None}


def attempt(table: Table, make: Callable[[], T]) -> T | None:
    """What `make` makes; its ValueError is told with the line of the key that it names. None then."""
    try:
        return make()
    except ValueError as error:
        named = (word for word in re.findall(r"\w+", str(error)) if word in table)
        table.complain(next(named, ""), str(error))
        return None


def names(kind: type[enum.Enum]) -> dict[str, enum.Enum]:
    """How the members of an enumeration are called in the file: lower case with hyphens."""
    return {member.name.lower().replace("_", "-"): member for member in kind}


def _value(table: Table, key: str, hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is tuple:
        return _tuple(table, key, get_args(hint)[0])
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        members = names(hint)
        return members.get(table.choice(key, tuple(members), next(iter(members))))
    if is_dataclass(hint):
        return read(table.table(key), hint)  # type: ignore[arg-type]
    if hint is float:
        value = table.get(key, (int, float), "a number")
        return None if value is None else float(value)
    return table.get(key, hint, _WORDS[hint])


_WORDS: Mapping[type, str] = {bool: "true or false", int: "a whole number", str: "a text"}


def _tuple(table: Table, key: str, hint: Any) -> Any:
    if is_dataclass(hint):
        found = [read(each, hint) for each in table.tables(key)]  # type: ignore[arg-type]
        return None if any(each is None for each in found) else tuple(found)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        members = names(hint)
        return tuple(members[name] for name in table.choices(key, tuple(members), ()))
    return table.integers(key, ()) if hint is int else table.texts(key)
