"""What survives power loss: sessions, registers, events, latched faults, in one SQLite journal."""

from evse_controller.store.event_log import StoredEvent
from evse_controller.store.journal import Journal, JournalError, Retention, SessionRecord

__all__ = ["Journal", "JournalError", "Retention", "SessionRecord", "StoredEvent"]
