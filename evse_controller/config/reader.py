"""TOML tables read key by key: every wrong, missing or unknown key is reported with file and line, all in one go."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-\.\"']+)\s*=")


class ConfigError(Exception):
    """A configuration that cannot be used; `problems` are lines `file:line: key: what is wrong`."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


def _clean(dotted: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in dotted.split("."))


def _lines_of_keys(text: str) -> dict[str, int]:
    """Line number of every `table.key` and `[table]` (first occurrence); `[[table]]` are `table[0]`, `table[1]`, ..."""
    found: dict[str, int] = {}
    newest: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _numbered(_clean(header[2]), header[1] == "[[", newest)
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            name = _clean(key[1])
            found.setdefault(f"{table}.{name}" if table else name, number)
    return found


def _numbered(dotted: str, array: bool, newest: dict[str, int]) -> str:
    """The header's name with the number of each array of tables in it; counts a new element of one in `newest`."""
    name = ""
    parts = dotted.split(".")
    for place, part in enumerate(parts, start=1):
        name = f"{name}.{part}" if name else part
        if array and place == len(parts):
            newest[name] = newest.get(name, -1) + 1
        if name in newest:
            name = f"{name}[{newest[name]}]"
    return name


def _not_finite(key: str, value: Any) -> Iterator[str]:
    """Where NaN, inf, or a whole number that no float holds stands. Nothing that is compared with one is a limit, so no
    number of a file may be one, whatever it is for."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _not_finite(f"{key}.{name}" if key else name, item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _not_finite(f"{key}[{number}]" if isinstance(item, dict) else key, item)
    elif (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, int) and abs(value) >= 2**63):
        yield key


class Document:
    """One parsed file that collects problems while its tables are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(
                [f"{path}: not UTF-8 text: byte {error.object[error.start]:#04x} at {error.start}"]
            ) from error
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except ValueError as error:  # also a whole number of more digits than Python reads
            raise ConfigError([f"{path}: not TOML: {error}"]) from error
        self._lines = _lines_of_keys(text)
        for key in _not_finite("", self.data):
            self.complain(key, "must be a finite number")
        if self.problems:
            raise ConfigError(self.problems)

    def line(self, key: str) -> int:
        """Where `key` stands, or the nearest table around it."""
        line = self._lines.get(key)
        while line is None and "." in key:
            key = key.rpartition(".")[0]
            line = self._lines.get(key)
        return line or 1

    def complain(self, key: str, what: str) -> None:
        self.problems.append(f"{self.path}:{self.line(key)}: {key}: {what}")

    def root(self) -> Table:
        return Table(self, "", self.data)


class Table:
    """One table. Getters take a default; without one the key is required. `done` reports keys nobody asked for."""

    def __init__(self, document: Document, name: str, data: Mapping[str, Any]) -> None:
        self._document = document
        self._data = data
        self._asked: set[str] = set()
        self.name = name

    def __contains__(self, key: str) -> bool:
        return key in self._data

    @property
    def problems(self) -> int:
        """How many problems the whole document has so far."""
        return len(self._document.problems)

    def _full(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name and key else self.name or key

    def complain(self, key: str, what: str) -> None:
        """`key` empty: the whole table."""
        self._document.complain(self._full(key), what)

    def line(self, key: str) -> int:
        return self._document.line(self._full(key))

    def know(self, keys: Iterable[str]) -> None:
        """These may stand here, whether anybody reads them or not."""
        self._asked.update(keys)

    def get(self, key: str, kind: type | tuple[type, ...], words: str) -> Any:
        """Any value of a type, None when there is none of it."""
        return self._get(key, kind, words, False)

    def _get(self, key: str, kind: type | tuple[type, ...], words: str, required: bool) -> Any:
        self._asked.add(key)
        if key not in self._data:
            if required:
                self.complain(key, f"is missing ({words})")
            return None
        value = self._data[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.complain(key, f"must be {words}, is {value!r}")
            return None
        return value

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, str, "a text", default is None)
        return value if isinstance(value, str) else (default or "")

    def optional_text(self, key: str) -> str | None:
        value = self._get(key, str, "a text", False)
        return value if isinstance(value, str) else None

    def choice(self, key: str, choices: Sequence[str], default: str) -> str:
        value = self.text(key, default)
        if value not in choices:
            self.complain(key, f"must be one of {', '.join(choices)}, is {value!r}")
            return default
        return value

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        value = self._get(key, (int, float), f"a number from {low:g} to {high:g}", default is None)
        if value is None:
            return default if default is not None else low
        if not low <= value <= high:
            self.complain(key, f"must be from {low:g} to {high:g}, is {value:g}")
        return float(value)

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value = self._get(key, int, f"a whole number from {low} to {high}", default is None)
        if value is None:
            return default if default is not None else low
        if not low <= value <= high:
            self.complain(key, f"must be from {low} to {high}, is {value}")
        return int(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._get(key, bool, "true or false", False)
        return default if value is None else bool(value)

    def texts(self, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
        value = self._get(key, list, "a list of texts", False)
        if value is None:
            return tuple(default)
        if not all(isinstance(item, str) for item in value):
            self.complain(key, f"must be a list of texts, is {value!r}")
            return tuple(default)
        return tuple(value)

    def integers(self, key: str, default: Sequence[int]) -> tuple[int, ...]:
        value = self._get(key, list, "a list of whole numbers", False)
        if value is None:
            return tuple(default)
        if not all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            self.complain(key, f"must be a list of whole numbers, is {value!r}")
            return tuple(default)
        return tuple(value)

    def choices(self, key: str, choices: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
        """A list of names, each once and one at least."""
        value = self.texts(key, default)
        unknown = [name for name in value if name not in choices]
        if unknown or not value or len(set(value)) != len(value):
            self.complain(key, f"must name each once, of {', '.join(choices)}, is {list(value)}")
            return tuple(default)
        return value

    def numbers(self, key: str, count: int) -> tuple[float, ...] | None:
        """A list of exactly `count` numbers."""
        value = self._get(key, list, f"a list of {count} numbers", True)
        if value is None:
            return None
        if len(value) != count or not all(isinstance(item, int | float) for item in value):
            self.complain(key, f"must be a list of {count} numbers")
            return None
        return tuple(float(item) for item in value)

    def utc(self, key: str, default: float) -> float:
        """A TOML date-time with offset (`2024-01-17T06:00:00Z`) as Unix seconds."""
        value = self._get(key, datetime, "a date-time with offset, like 2024-01-17T06:00:00Z", False)
        if value is None:
            return default
        if value.tzinfo is None:
            self.complain(key, "needs an offset (a Z at its end for UTC)")
            return default
        return float(value.astimezone(UTC).timestamp())

    def path(self, key: str, default: str | None = None) -> Path:
        """A path; a relative one is taken from the folder of the configuration file."""
        return self.resolve(self.text(key, default))

    def resolve(self, text: str) -> Path:
        return self._document.path.parent / Path(text).expanduser()

    def table(self, key: str, required: bool = False) -> Table:
        value = self._get(key, dict, "a table", required)
        return Table(self._document, self._full(key), value or {})

    def tables(self, key: str) -> list[Table]:
        """An array of tables, `[[key]]`."""
        value = self._get(key, list, "an array of tables", False)
        if value is None:
            return []
        if not all(isinstance(item, dict) for item in value):
            self.complain(key, "must be an array of tables")
            return []
        return [Table(self._document, f"{self._full(key)}[{number}]", item) for number, item in enumerate(value)]

    def rest(self, *known: str) -> dict[str, Any]:
        """Every key but `known`, for a driver that checks its own options."""
        self._asked.update(self._data)
        return {key: value for key, value in self._data.items() if key not in known}

    def done(self) -> None:
        for key in self._data:
            if key not in self._asked:
                near = difflib.get_close_matches(key, self._asked, 1)
                self.complain(key, "unknown key" + (f"; did you mean {near[0]!r}?" if near else ""))
