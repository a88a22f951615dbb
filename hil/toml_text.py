"""Plain data as TOML, the little that configurations of ours hold (the standard library reads TOML only)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def toml_text(data: Mapping[str, Any], name: str = "") -> str:
    """Plain tables, texts, numbers, flags, lists and times: all that a configuration of ours holds."""
    lines = [f"[{name}]"] if name else []
    lines += [f"{key} = {_literal(value)}" for key, value in data.items() if not isinstance(value, Mapping)]
    tables = [
        toml_text(value, f"{name}.{key}" if name else key) for key, value in data.items() if isinstance(value, Mapping)
    ]
    return "\n".join(lines) + "\n" + "".join(tables)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)
