"""Coders for types that no row of fields describes, driven by their table of states (XML signature types).

A state is a tuple of productions (event, field index, next state) in the order of their event codes. Productions
for wildcards (SE*) and mixed content (CH) hold their place in the numbering; content that uses them is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evse_controller.exi.errors import ExiError, unexpected, within

Reader = Callable[[int, int], tuple[Any, int]]
Writer = Callable[[int, Any], int]
States = tuple[tuple[tuple[str, int, int], ...], ...]
Names = tuple[tuple[str, bool], ...]

MAX_REPEATED = 32  # occurrences of one element in such a type


def decode_states(n: int, e: int, states: States, names: Names, readers: tuple[Reader, ...]) -> tuple[list[Any], int]:
    """The values of the fields in order; `names` holds each field's element and whether it is a list."""
    values: list[Any] = [None] * len(readers)
    state = 0
    at = ""
    try:
        while True:
            edges = states[state]
            e -= len(edges).bit_length()
            code = n >> e & (1 << len(edges).bit_length()) - 1
            if code >= len(edges):
                raise unexpected(e)
            event, field, state = edges[code]
            if event == "EE":
                return values, e
            if field < 0:
                raise ExiError("mixed or foreign content, which is not supported", e)
            at, repeated = names[field]
            value, e = readers[field](n, e)
            if not repeated:
                values[field] = value
            elif values[field] is None:
                values[field] = [value]
            elif len(values[field]) < MAX_REPEATED:
                values[field].append(value)
            else:
                raise ExiError(f"more than {MAX_REPEATED} occurrences", e)
            at = ""
    except ValueError as error:
        raise within(error, at, e) from None


def encode_states(x: int, values: list[Any], states: States, names: Names, writers: tuple[Writer, ...]) -> int:
    """Append the fields' values in the order in which the states allow them."""
    pending = []
    for value, (name, repeated) in zip(values, names, strict=True):
        if repeated and value is not None and type(value) is not list:
            raise within(ExiError(f"{type(value).__name__} is not a list"), name)
        pending.append([] if value is None else list(value) if repeated else [value])
    state = 0
    at = ""
    try:
        while True:
            edges = states[state]
            done = not any(pending)
            fits = [done if event == "EE" else field >= 0 and bool(pending[field]) for event, field, _ in edges]
            code = fits.index(True) if True in fits else -1
            if code < 0:
                rest = next((name for (name, _), values_left in zip(names, pending, strict=True) if values_left), "")
                raise ExiError(f"element {rest} is not allowed here" if rest else "required content is missing")
            event, field, target = edges[code]
            x = x << len(edges).bit_length() | code
            if event == "EE":
                return x
            at = names[field][0]
            x = writers[field](x, pending[field].pop(0))
            at = ""
            state = target
    except ValueError as error:
        raise within(error, at) from None
