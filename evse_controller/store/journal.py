"""The journal. Events are committed in batches by `flush`; what must survive power loss is committed before returning.

SQLite's write-ahead log keeps every committed row through a crash of the process. Against power loss the durable
writes (sessions, latched faults) also wait for the disk; ordinary events reach it with the next durable write or
checkpoint. The journal refuses to run on a file it does not understand and never deletes one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from evse_controller.model.commands import MeterConfirmed, PausedSession
from evse_controller.store.event_log import EventLog, StoredEvent
from evse_controller.store.schema import MIGRATIONS

_MAX_PENDING = 5000  # events kept in memory while the disk refuses; older ones are counted, not kept


class JournalError(Exception):
    """The journal cannot be opened or written; the text names the file and the reason."""


@dataclass(slots=True)
class SessionRecord:
    """One charging session. Registers are the meter's lifetime totals in Wh at start and last seen; energy is their
    difference. `end_kind` None means the session has not ended (or the process died in it)."""

    session_id: str
    started_utc_s: float
    evccid: str
    protocol: str
    lab_switches: str
    ended_utc_s: float | None = None
    service: str | None = None
    control_mode: str | None = None
    meter_id: str | None = None
    import_start_wh: float | None = None
    export_start_wh: float | None = None
    import_last_wh: float | None = None
    export_last_wh: float | None = None
    end_kind: str | None = None
    end_reason: str | None = None
    settlement: str | None = None

    @property
    def charged_wh(self) -> float:
        return _between(self.import_start_wh, self.import_last_wh)

    @property
    def discharged_wh(self) -> float:
        return _between(self.export_start_wh, self.export_last_wh)


def _between(start_wh: float | None, last_wh: float | None) -> float:
    """Nothing is known to have flowed while one of the two readings is missing."""
    return 0.0 if start_wh is None or last_wh is None else last_wh - start_wh


_SESSION_COLUMNS = tuple(field.name for field in fields(SessionRecord))
_CONFIRMATION_COLUMNS = "confirmed_utc_s, meter_id, charged_wh, discharged_wh, meter_utc_s, signed"
_MOST_PAUSED = 16  # newest first; a charger has one car at a time, and unplugging forgets what was paused


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Registers of a session (Wh since it began) that the EV confirmed. `signed`: with a signature that was good."""

    confirmed_utc_s: float
    meter_id: str
    charged_wh: int
    discharged_wh: int
    meter_utc_s: int | None
    signed: bool


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept, newest first: a car that comes and goes for ever fills no disk."""

    events: int = 200_000
    sessions: int = 10_000
    log_bytes: int = 10 * 1024 * 1024
    log_files: int = 5


class Journal:
    """One SQLite file, plus the same events as JSON lines in `event_log` for people and log shippers."""

    def __init__(
        self,
        path: Path,
        event_log: Path | None = None,
        busy_timeout_s: float = 0.05,
        retention: Retention | None = None,
    ) -> None:
        self.path = path
        self._retention = retention = retention or Retention()
        self.dropped_events = 0
        self._pending: list[StoredEvent] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=busy_timeout_s)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._migrate()
            self._log = EventLog(event_log, retention.log_bytes, retention.log_files) if event_log is not None else None
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{path}: {error}") from error

    def _migrate(self) -> None:
        version = int(self._db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise JournalError(
                f"{self.path}: written by a newer release (format {version}, this one knows {len(MIGRATIONS)})"
            )
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._db.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")

    @contextmanager
    def _durable(self) -> Iterator[sqlite3.Connection]:
        """One transaction that is on the disk when the block ends."""
        try:
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}") from error
        finally:
            self._db.execute("PRAGMA synchronous=NORMAL")

    # sessions

    def save_session(self, record: SessionRecord) -> None:
        """Insert or replace the whole record, durably."""
        marks = ",".join("?" * len(_SESSION_COLUMNS))
        values = [getattr(record, name) for name in _SESSION_COLUMNS]
        with self._durable() as db:
            db.execute(f"INSERT OR REPLACE INTO session ({','.join(_SESSION_COLUMNS)}) VALUES ({marks})", values)
            db.execute(
                "DELETE FROM session WHERE session_id NOT IN"
                " (SELECT session_id FROM session ORDER BY started_utc_s DESC LIMIT ?)",
                (self._retention.sessions,),
            )
            db.execute("DELETE FROM meter_confirmation WHERE session_id NOT IN (SELECT session_id FROM session)")

    def save_registers(self, session_id: str, import_last_wh: float, export_last_wh: float) -> None:
        """The newest meter registers of a running session; cheap, called about once a second."""
        try:
            self._db.execute(
                "UPDATE session SET import_last_wh=?, export_last_wh=? WHERE session_id=?",
                (import_last_wh, export_last_wh, session_id),
            )
        except sqlite3.Error as error:
            raise JournalError(f"{self.path}: {error}") from error

    def sessions(self, limit: int = 50) -> list[SessionRecord]:
        """The newest first."""
        rows = self._db.execute(
            f"SELECT {','.join(_SESSION_COLUMNS)} FROM session ORDER BY started_utc_s DESC, rowid DESC LIMIT ?",
            (limit,),
        )
        return [SessionRecord(**dict(zip(_SESSION_COLUMNS, row, strict=True))) for row in rows]

    def session(self, session_id: str) -> SessionRecord | None:
        """By its id or a unique beginning of it."""
        rows = self._db.execute(
            f"SELECT {','.join(_SESSION_COLUMNS)} FROM session WHERE substr(session_id, 1, ?) = ? LIMIT 2",
            (len(session_id), session_id),
        ).fetchall()
        return SessionRecord(**dict(zip(_SESSION_COLUMNS, rows[0], strict=True))) if len(rows) == 1 else None

    def close_interrupted(self, utc_s: float) -> list[str]:
        """Mark sessions that a previous run left open; returns their ids."""
        ids = [row[0] for row in self._db.execute("SELECT session_id FROM session WHERE end_kind IS NULL")]
        if ids:
            with self._durable() as db:
                db.execute(
                    "UPDATE session SET end_kind='interrupted', end_reason='the daemon stopped', ended_utc_s=?"
                    " WHERE end_kind IS NULL",
                    (utc_s,),
                )
        return ids

    # events

    def event(self, event: StoredEvent) -> None:
        """Queue an event; `flush` writes it. Bounded: with a refusing disk the oldest are dropped and counted."""
        self._pending.append(event)
        if len(self._pending) > _MAX_PENDING:
            self.dropped_events += len(self._pending) - _MAX_PENDING
            del self._pending[: len(self._pending) - _MAX_PENDING]

    def flush(self) -> None:
        """Write queued events in one transaction. Raises JournalError; the events stay queued for the next try."""
        if not self._pending:
            return
        rows = [
            (e.at_utc_s, e.at_s, e.session_id, e.kind, e.text, json.dumps(e.data, separators=(",", ":")))
            for e in self._pending
        ]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO event (at_utc_s, at_s, session_id, kind, text, data) VALUES (?,?,?,?,?,?)", rows
            )
            newest = self._db.execute("SELECT max(id) FROM event").fetchone()[0]
            self._db.execute("DELETE FROM event WHERE id <= ?", (newest - self._retention.events,))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise JournalError(f"{self.path}: {error}") from error
        written, self._pending = self._pending, []
        if self._log is None:
            return
        try:
            self._log.write(written)
        except OSError as error:  # the journal has them; the readable copy has a gap, and says so
            raise JournalError(f"{self._log.path}: {error}") from error

    def events(self, session_id: str | None = None, limit: int = 1000) -> list[StoredEvent]:
        """Stored events in order; of one session, or the newest of all."""
        where, values = ("WHERE session_id=?", [session_id]) if session_id is not None else ("", [])
        rows = self._db.execute(
            "SELECT at_utc_s, at_s, session_id, kind, text, data FROM"
            f" (SELECT * FROM event {where} ORDER BY id DESC LIMIT ?) ORDER BY id",
            [*values, limit],
        )
        return [StoredEvent(a, b, c, d, e, json.loads(f)) for a, b, c, d, e, f in rows]

    def count_events(self, session_id: str) -> int:
        row = self._db.execute("SELECT count(*) FROM event WHERE session_id=?", (session_id,)).fetchone()
        return int(row[0])

    # paused sessions and what the EV confirmed

    def keep_paused(self, context: PausedSession) -> None:
        """What must survive until the EV comes back; on the disk when this returns."""
        said = asdict(context) | {"contract_der": context.contract_der and context.contract_der.hex()}
        row = (context.session_id, context.paused_utc_s, json.dumps(said, separators=(",", ":")))
        with self._durable() as db:
            db.execute("INSERT OR REPLACE INTO paused_session VALUES (?,?,?)", row)
            db.execute(
                "DELETE FROM paused_session WHERE session_id NOT IN"
                " (SELECT session_id FROM paused_session ORDER BY paused_utc_s DESC, rowid DESC LIMIT ?)",
                (_MOST_PAUSED,),
            )

    def paused(self) -> list[PausedSession]:
        """Everything that is kept, the newest first. What another release wrote in another form counts as lost."""
        rows = self._db.execute("SELECT context FROM paused_session ORDER BY paused_utc_s DESC, rowid DESC")
        found = (_paused(row[0]) for row in rows)
        return [context for context in found if context is not None]

    def drop_paused(self, session_id: str) -> None:
        """Forget it, durably: nobody may join it again, also not after a restart."""
        with self._durable() as db:
            db.execute("DELETE FROM paused_session WHERE session_id=?", (session_id,))

    def confirm_meter(self, session_id: str, confirmed: MeterConfirmed, utc_s: float) -> None:
        row = (session_id, utc_s, confirmed.meter_id, confirmed.charged_wh, confirmed.discharged_wh)
        with self._durable() as db:
            db.execute(
                f"INSERT INTO meter_confirmation (session_id, {_CONFIRMATION_COLUMNS}) VALUES (?,?,?,?,?,?,?)",
                (*row, confirmed.at_utc_s, int(confirmed.signed)),
            )

    def confirmations(self, session_id: str) -> list[Confirmation]:
        """What the EV confirmed of this session, oldest first."""
        rows = self._db.execute(
            f"SELECT {_CONFIRMATION_COLUMNS} FROM meter_confirmation WHERE session_id=? ORDER BY id", (session_id,)
        )
        return [Confirmation(a, b, c, d, e, bool(f)) for a, b, c, d, e, f in rows]

    # latched faults

    def latch(self, code: str, source: str, cause: str, utc_s: float) -> None:
        with self._durable() as db:
            db.execute("INSERT OR IGNORE INTO latched_fault VALUES (?,?,?,?)", (code, source, cause, utc_s))

    def unlatch(self, code: str) -> None:
        with self._durable() as db:
            db.execute("DELETE FROM latched_fault WHERE code=?", (code,))

    def latched(self) -> list[tuple[str, str, str, float]]:
        """(code, source, cause, since UTC) of every fault that survives a restart."""
        return list(self._db.execute("SELECT code, source, cause, since_utc_s FROM latched_fault ORDER BY since_utc_s"))

    def close(self) -> None:
        self.flush()
        self._db.close()
        if self._log is not None:
            self._log.close()


def _paused(text: str) -> PausedSession | None:
    try:
        data = json.loads(text)
        pairs = {
            name: tuple((int(a), int(b)) for a, b in data[name])
            for name in ("offered", "value_added")
            if name != "value_added" or name in data  # rows of older versions do not say
        }
        contract = data.get("contract_der")
        return PausedSession(**data | pairs | {"contract_der": None if contract is None else bytes.fromhex(contract)})
    except (ValueError, TypeError, KeyError):
        return None
