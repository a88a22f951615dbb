"""The journal keeps what was recorded: through a crash, a full disk, an older or newer format."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from evse_controller.store import Journal, JournalError, Retention, SessionRecord, StoredEvent


def record(session_id: str = "00000000000000AB") -> SessionRecord:
    return SessionRecord(
        session_id,
        1.7e9,
        "WMIV1234567890ABCDEX",
        "ISO 15118-20 DC",
        "",
        import_start_wh=1000.0,
        export_start_wh=50.0,
        import_last_wh=1500.0,
        export_last_wh=80.0,
    )


def event(number: int, session_id: str | None = None) -> StoredEvent:
    return StoredEvent(1.7e9 + number, float(number), session_id, "test", f"event {number}", {"n": number})


def test_a_session_comes_back_with_its_energy(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.save_session(record())
    journal.save_registers("00000000000000AB", 1600.0, 80.0)
    stored = journal.session("00000000000000AB")
    assert stored is not None
    assert stored.charged_wh == 600.0
    assert stored.discharged_wh == 30.0
    assert journal.session("00") == stored
    assert journal.session("FF") is None


def test_events_are_written_in_order_and_as_json_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db", tmp_path / "events.jsonl")
    for number in range(3):
        journal.event(event(number, "AB"))
    journal.flush()
    assert [e.data["n"] for e in journal.events("AB")] == [0, 1, 2]
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["event 0", "event 1", "event 2"]


def test_a_killed_process_loses_no_flushed_event_and_leaves_an_open_session_marked(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; sys.path.insert(0, os.getcwd())\n"
        "from tests.store.test_journal import Journal, event, record\nfrom pathlib import Path\n"
        f"j = Journal(Path({str(tmp_path / 'j.db')!r}))\n"
        "j.save_session(record())\nj.event(event(7))\nj.flush()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL
    journal = Journal(tmp_path / "j.db")
    assert [e.data["n"] for e in journal.events()] == [7]
    assert journal.close_interrupted(1.8e9) == ["00000000000000AB"]
    stored = journal.session("00000000000000AB")
    assert stored is not None
    assert stored.end_kind == "interrupted"
    assert stored.charged_wh == 500.0


def test_latched_faults_survive_and_clear(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.latch("contactor-welded", "station", "feedback closed", 1.7e9)
    journal.latch("contactor-welded", "station", "again", 1.8e9)
    journal.close()
    journal = Journal(tmp_path / "j.db")
    assert journal.latched() == [("contactor-welded", "station", "feedback closed", 1.7e9)]
    journal.unlatch("contactor-welded")
    assert journal.latched() == []


def test_a_newer_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="newer release"):
        Journal(path)


def test_a_file_that_is_no_journal_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(JournalError, match=r"j\.db"):
        Journal(path)


def test_while_the_journal_is_locked_events_wait_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    journal = Journal(path, busy_timeout_s=0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    journal.event(event(1))
    with pytest.raises(JournalError):
        journal.flush()
    other.execute("ROLLBACK")
    journal.flush()
    assert [e.data["n"] for e in journal.events()] == [1]


def test_old_events_and_sessions_make_room_for_new_ones(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db", retention=Retention(events=10, sessions=2))
    for number in range(25):
        journal.event(event(number))
        journal.flush()
    assert [e.data["n"] for e in journal.events()] == list(range(15, 25))
    for number in range(4):
        journal.save_session(replace(record(f"{number:016X}"), started_utc_s=1.7e9 + number))
    assert [r.session_id[-1] for r in journal.sessions()] == ["3", "2"]


def test_the_event_log_rotates_and_keeps_so_many_files(tmp_path: Path) -> None:
    retention = Retention(log_bytes=500, log_files=2)
    journal = Journal(tmp_path / "j.db", tmp_path / "events.jsonl", retention=retention)
    for number in range(40):
        journal.event(event(number))
        journal.flush()
    journal.close()
    names = sorted(path.name for path in tmp_path.glob("events.jsonl*"))
    assert names == ["events.jsonl", "events.jsonl.1", "events.jsonl.2"]
    assert all(path.stat().st_size < 700 for path in tmp_path.glob("events.jsonl*"))
