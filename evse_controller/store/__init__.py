"""What survives power loss: sessions, registers, events, latched faults, in one SQLite journal."""

from evse_controller.store.journal import Journal, JournalError, SessionRecord, StoredEvent

__all__ = ["Journal", "JournalError", "SessionRecord", "StoredEvent"]
