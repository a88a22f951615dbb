"""Sessions that sleep: kept in memory and in the journal, joined again only in time, forgotten when the plug is out."""

from __future__ import annotations

from collections.abc import Callable

from evse_controller.model.commands import PausedSession
from evse_controller.store import Journal

Durably = Callable[[str, Callable[[], None]], None]
"""Carries out a write now; one that the disk refuses is told, and tried again later."""


class PausedSessions:
    """What is kept is written before anybody is told so; what is forgotten nobody joins, also while the disk refuses.

    `keep_s`: world time after which a paused session cannot be joined any more. A clock that was set back since makes
    none of them older than it is.
    """

    def __init__(self, journal: Journal, durably: Durably, keep_s: float) -> None:
        self._journal = journal
        self._durably = durably
        self._keep_s = keep_s
        self._kept = {context.session_id: context for context in journal.paused()}

    def keep(self, context: PausedSession) -> None:
        self._kept[context.session_id] = context
        self._durably(f"paused {context.session_id}", lambda: self._journal.keep_paused(context))

    def find(self, session_id: str, utc_s: float) -> PausedSession | None:
        """The paused session of this id (upper-case hex), if it is not too old."""
        context = self._kept.get(session_id)
        if context is None or utc_s - context.paused_utc_s > self._keep_s:
            return None
        return context

    def drop(self, session_id: str) -> None:
        if self._kept.pop(session_id, None) is not None:
            self._durably(f"paused {session_id}", lambda: self._journal.drop_paused(session_id))

    def drop_all(self) -> list[str]:
        """Forget every one; returns their ids."""
        dropped = list(self._kept)
        for session_id in dropped:
            self.drop(session_id)
        return dropped

    def expire(self, utc_s: float) -> list[str]:
        """Forget those that are too old; returns their ids."""
        old = [session_id for session_id in self._kept if self.find(session_id, utc_s) is None]
        for session_id in old:
            self.drop(session_id)
        return old

    @property
    def all(self) -> tuple[PausedSession, ...]:
        return tuple(self._kept.values())
