"""Tables of the journal and the steps that bring an older one up to date (never down: a newer one is refused)."""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE session (
        session_id TEXT PRIMARY KEY,
        started_utc_s REAL NOT NULL,
        ended_utc_s REAL,
        evccid TEXT NOT NULL,
        protocol TEXT NOT NULL,
        service TEXT,
        control_mode TEXT,
        lab_switches TEXT NOT NULL,
        meter_id TEXT,
        import_start_wh REAL,
        export_start_wh REAL,
        import_last_wh REAL,
        export_last_wh REAL,
        end_kind TEXT,
        end_reason TEXT,
        settlement TEXT
    );
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        at_utc_s REAL NOT NULL,
        at_s REAL NOT NULL,
        session_id TEXT,
        kind TEXT NOT NULL,
        text TEXT NOT NULL,
        data TEXT NOT NULL
    );
    CREATE INDEX event_by_session ON event (session_id, id);
    CREATE TABLE latched_fault (
        code TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        cause TEXT NOT NULL,
        since_utc_s REAL NOT NULL
    );
    """,
    """
    CREATE TABLE paused_session (
        session_id TEXT PRIMARY KEY,
        paused_utc_s REAL NOT NULL,
        context TEXT NOT NULL
    );
    CREATE TABLE meter_confirmation (
        id INTEGER PRIMARY KEY,
        session_id TEXT NOT NULL,
        confirmed_utc_s REAL NOT NULL,
        meter_id TEXT NOT NULL,
        charged_wh INTEGER NOT NULL,
        discharged_wh INTEGER NOT NULL,
        meter_utc_s INTEGER,
        signed INTEGER NOT NULL
    );
    CREATE INDEX meter_confirmation_by_session ON meter_confirmation (session_id, id);
    """,
)
