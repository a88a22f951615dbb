"""What the generator and those who look for its modules must agree on: the module's name of a namespace."""

from __future__ import annotations

import re


def module_name(uri: str) -> str:
    """The module name of a namespace that is not in the table of known ones: its last part in snake case."""
    tail = re.split(r"[:/]", uri.rstrip("#/"))[-1]
    name = re.sub(r"\W+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", tail)).lower().strip("_")
    return f"schema_{name}" if not name or name[0].isdigit() else name
