"""Layout of generated source: bracketed lists that wrap at the line length."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 120


def bracketed(head: str, items: Sequence[str], tail: str, indent: int, trailing: bool = True) -> list[str]:
    """`head` + comma-separated items + `tail`, on one line if it fits, else filled lines between the brackets."""
    pad = " " * indent
    single = f"{pad}{head}{', '.join(items)}{',' if trailing and len(items) == 1 else ''}{tail}"
    if len(single) <= WIDTH:
        return [single]
    lines = [pad + head.rstrip()]
    current = ""
    inner = pad + "    "
    for item in items:
        if current and len(inner) + len(current) + len(item) + 2 > WIDTH:
            lines.append(inner + current.rstrip())
            current = ""
        current += item + ", "
    lines += [inner + current.rstrip(), pad + tail]
    return lines


def signature(name: str, parameters: Sequence[str], result: str) -> list[str]:
    """The first lines of a function."""
    single = f"def {name}({', '.join(parameters)}) -> {result}:"
    if len(single) <= WIDTH:
        return [single]
    return [f"def {name}(", f"    {', '.join(parameters)}", f") -> {result}:"]


def union(head: str, alternatives: Sequence[str], tail: str, indent: int) -> list[str]:
    """An annotated name whose type is a union, in parentheses over several lines if it does not fit."""
    pad = " " * indent
    single = f"{pad}{head}{' | '.join(alternatives)}{tail}"
    if len(single) <= WIDTH:
        return [single]
    lines = [f"{pad}{head}("]
    lines += [f"{pad}    {'| ' if index else ''}{name}" for index, name in enumerate(alternatives)]
    return [*lines, f"{pad}){tail}"]
