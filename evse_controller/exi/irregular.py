"""Coders for types that no row of fields describes, driven by their table of states (XML signature types).

A state is a tuple of productions (event, field index, next state) in the order of their event codes. Productions
for wildcards (SE*) and mixed content (CH) hold their place in the numbering; content that uses them is refused.

The values are kept by field, in the order in which each came. Where children of several names may alternate
(KeyInfo, X509Data) the order between them is not kept: such content is a deviation, and is encoded again with the
children in the order of the states.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evse_controller.exi.errors import ExiError, invalid, unexpected, within
from evse_controller.exi.leniency import tolerate

Reader = Callable[[int, int], tuple[Any, int]]
Writer = Callable[[int, Any], int]
States = tuple[tuple[tuple[str, int, int], ...], ...]
Names = tuple[tuple[str, bool], ...]

MAX_REPEATED = 32  # occurrences of one element in such a type


def decode_states(n: int, e: int, states: States, names: Names, readers: tuple[Reader, ...]) -> tuple[list[Any], int]:
    """The values of the fields in order; `names` holds each field's element and whether it is a list."""
    values: list[Any] = [None] * len(readers)
    taken: list[int] = []
    state = 0
    field = -1  # whose value is being read
    try:
        while True:
            edges = states[state]
            width = len(edges).bit_length()
            e -= width
            code = n >> e & (1 << width) - 1
            if code >= len(edges):
                raise unexpected(e)
            event, field, state = edges[code]
            if event == "EE":
                # Children of one name have one order only, and most have no children at all.
                if len(taken) > 1 and len(set(taken)) > 1 and taken != _encoded_order(states, taken, len(readers)):
                    tolerate("children in another order than the message keeps", e)
                return values, e
            if field < 0:
                raise ExiError("mixed or foreign content, which is not supported", e)
            taken.append(field)
            value, e = readers[field](n, e)
            if not names[field][1]:
                values[field] = value
            elif values[field] is None:
                values[field] = [value]
            elif len(values[field]) < MAX_REPEATED:
                values[field].append(value)
            else:
                raise ExiError(f"more than {MAX_REPEATED} occurrences", e)
            field = -1
    except ValueError as error:
        name, repeated = names[field] if field >= 0 else ("", False)
        raise within(error, f"{name}[{len(values[field] or ())}]" if repeated else name, e) from None


def encode_states(x: int, values: list[Any], states: States, names: Names, writers: tuple[Writer, ...]) -> int:
    """Append the fields' values in the order in which the states allow them."""
    contents = []
    for value, (name, repeated) in zip(values, names, strict=True):
        if repeated and value is not None and (type(value) is not list or not 1 <= len(value) <= MAX_REPEATED):
            raise within(invalid(value, f"a list of 1 to {MAX_REPEATED}"), name)
        contents.append([] if value is None else value if repeated else [value])
    pending = [len(content) for content in contents]
    state = 0
    at = ""
    try:
        while True:
            edges = states[state]
            code = _next_code(edges, pending)
            if code < 0:
                rest = next((name for (name, _), count in zip(names, pending, strict=True) if count), "")
                if rest:
                    raise ExiError(f"element {rest} is not allowed here")
                foreign = any(event == "SE*" for event, _, _ in edges)
                raise ExiError(f"required content is missing{', and foreign content not supported' if foreign else ''}")
            event, field, state = edges[code]
            x = x << len(edges).bit_length() | code
            if event == "EE":
                return x
            name, repeated = names[field]
            position = len(contents[field]) - pending[field]
            at = f"{name}[{position}]" if repeated else name
            x = writers[field](x, contents[field][position])
            pending[field] -= 1
            at = ""
    except ValueError as error:
        raise within(error, at) from None


def _next_code(edges: tuple[tuple[str, int, int], ...], pending: list[int]) -> int:
    """The first production that takes something of what is still to come, or ends if nothing is; -1 if none does."""
    for code, (event, field, _) in enumerate(edges):
        if not any(pending) if event == "EE" else field >= 0 and pending[field]:
            return code
    return -1


def _encoded_order(states: States, taken: list[int], fields: int) -> list[int]:
    """The order in which the encoder would write the fields that were taken from the data."""
    pending = [taken.count(field) for field in range(fields)]
    order: list[int] = []
    state = 0
    while len(order) < len(taken):
        code = _next_code(states[state], pending)
        if code < 0:
            break
        _, field, state = states[state][code]
        pending[field] -= 1
        order.append(field)
    return order
