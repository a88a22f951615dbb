"""The events as JSON lines, for people and log shippers: bounded files that rotate (`events.jsonl`, `.1`, ...)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event: world time, control time, the session it belongs to (None: none open), and its data."""

    at_utc_s: float
    at_s: float
    session_id: str | None
    kind: str
    text: str
    data: Mapping[str, Any]


class EventLog:
    """Appends; a file that reached `max_bytes` becomes `.1`, and so on up to `.keep`. Raises OSError."""

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._stream = path.open("a", encoding="utf-8")

    def write(self, events: Iterable[StoredEvent]) -> None:
        for event in events:
            line: dict[str, Any] = {"utc_s": round(event.at_utc_s, 3), "t_s": round(event.at_s, 3)}
            line |= {"session": event.session_id, "kind": event.kind, "text": event.text}
            if event.data:
                line["data"] = event.data
            self._stream.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._stream.flush()
        if self._stream.tell() >= self._max_bytes:
            self._rotate()

    def _rotate(self) -> None:
        self._stream.close()
        for number in range(self._keep - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self.path.replace(self._numbered(1))
        self._stream = self.path.open("a", encoding="utf-8")

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def close(self) -> None:
        self._stream.close()
