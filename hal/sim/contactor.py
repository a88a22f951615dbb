"""A contactor pair with its delays, its auxiliary contact and its ways to fail."""

from __future__ import annotations


class Contactor:
    """Follows `command` after `close_s` / `open_s`. A withdrawn command that has not yet moved the contacts is void."""

    def __init__(self, name: str, close_s: float = 0.05, open_s: float = 0.02) -> None:
        self.name = name
        self.close_s = close_s
        self.open_s = open_s
        self.closed = False
        self.commanded = False
        self.welded = False
        self.stuck_open = False
        self.feedback_wrong = False
        self._left_s: float | None = None

    def command(self, closed: bool) -> None:
        if closed == self.commanded:
            return
        self.commanded = closed
        self._left_s = self.close_s if closed else self.open_s

    @property
    def left_s(self) -> float | None:
        """Seconds until the contacts would move, None when nothing is under way."""
        return self._left_s

    @property
    def feedback_closed(self) -> bool:
        """The auxiliary contact, mirrored mechanically unless it is the faulty part."""
        return self.closed != self.feedback_wrong

    def advance(self, seconds: float) -> bool:
        """Let time pass; True when the contacts move now."""
        if self._left_s is not None:
            self._left_s -= seconds
            if self._left_s > 1e-9:
                return False
            self._left_s = None
        wanted = self.commanded and not self.stuck_open
        if self.welded and self.closed:
            wanted = True
        if self._left_s is None and wanted != self.closed:
            self.closed = wanted
            return True
        return False
