"""Checked access to a driver's options (a TOML table). Every error names the device, the key and what is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


class Options:
    """Takes options one by one with their type and range; `done` refuses whatever nobody asked for."""

    def __init__(self, name: str, values: Mapping[str, object]) -> None:
        self._name = name
        self._values = dict(values)
        self._known: set[str] = set()

    def error(self, key: str, reason: str) -> ValueError:
        return ValueError(f"{self._name}: option '{key}' {reason}")

    def text(self, key: str, default: str | None = None, choices: Iterable[str] = ()) -> str:
        """A non-empty string. Without a default the key is required."""
        value = self._take(key, default)
        if not isinstance(value, str) or not value:
            raise self.error(key, f"must be text, got {value!r}")
        allowed = tuple(choices)
        if allowed and value not in allowed:
            raise self.error(key, f"must be one of {', '.join(allowed)}, got {value!r}")
        return value

    def integer(self, key: str, default: int | None, low: int, high: int) -> int:
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(key, f"must be a whole number {low}..{high}, got {value!r}")
        return value

    def number(self, key: str, default: float | None, low: float, high: float) -> float:
        value = self._take(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(key, f"must be a number {low:g}..{high:g}, got {value!r}")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"must be true or false, got {value!r}")
        return value

    def integers(self, key: str, default: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
        """A non-empty list of different whole numbers."""
        value = self._take(key, list(default))
        if not isinstance(value, (list, tuple)) or not value:
            raise self.error(key, f"must be a list of whole numbers, got {value!r}")
        for item in value:
            if not isinstance(item, int) or isinstance(item, bool) or not low <= item <= high:
                raise self.error(key, f"must hold whole numbers {low}..{high}, got {item!r}")
        if len(set(value)) != len(value):
            raise self.error(key, f"names something twice: {value!r}")
        return tuple(value)

    def given(self, key: str) -> bool:
        """True when the key is present; it counts as known from then on."""
        self._known.add(key)
        return key in self._values

    def is_list(self, key: str) -> bool:
        return isinstance(self._values.get(key), (list, tuple))

    def done(self) -> None:
        """Call last: an option nobody asked for is a typo, and the message offers the nearest known key."""
        for key in self._values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(sorted(self._known))}"
                raise self.error(key, f"is unknown{hint}")

    def _take(self, key: str, default: object) -> object:
        self._known.add(key)
        value = self._values.get(key, default)
        if value is None:
            raise self.error(key, "is missing")
        return value
