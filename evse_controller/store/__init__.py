"""What survives power loss: sessions, paused ones too, registers, events, latched faults, in one SQLite journal."""

from evse_controller.store.event_log import StoredEvent
from evse_controller.store.journal import Confirmation, Journal, JournalError, Retention, SessionRecord

__all__ = ["Confirmation", "Journal", "JournalError", "Retention", "SessionRecord", "StoredEvent"]
