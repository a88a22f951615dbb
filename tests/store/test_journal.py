"""The journal keeps what was recorded: through a crash, a full disk, an older or newer format."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from evse_controller.model.commands import MeterConfirmed, PausedSession
from evse_controller.store import Confirmation, Journal, JournalError, Retention, SessionRecord, StoredEvent
from evse_controller.store.schema import MIGRATIONS


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


def paused(session_id: str = "00000000000000AB", paused_utc_s: float = 1.7e9) -> PausedSession:
    offered = ((2, 1), (6, 2))
    return PausedSession(session_id, "ab" * 64, "EV1", "ISO 15118-20 DC", 6, 2, offered, paused_utc_s, ((65, 4),))


def test_a_paused_session_is_on_the_disk_when_keeping_it_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.keep_paused(paused())
    other = Journal(tmp_path / "j.db")  # another process, before the first one closes anything
    assert other.paused() == [paused()]
    other.close()
    by_contract = replace(paused(), contract_der=b"\x30\x00\xff")
    journal.keep_paused(by_contract)
    assert Journal(tmp_path / "j.db").paused() == [by_contract]
    journal.drop_paused("00000000000000AB")
    assert Journal(tmp_path / "j.db").paused() == []


def test_keeping_a_paused_session_waits_for_the_disk(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    seen: list[str] = []
    journal._db.set_trace_callback(seen.append)
    journal.keep_paused(paused())
    full = seen.index("PRAGMA synchronous=FULL")
    assert full < seen.index("COMMIT")
    assert "PRAGMA synchronous=NORMAL" not in seen[full : seen.index("COMMIT")]


def test_only_so_many_paused_sessions_are_kept_and_the_newest_come_first(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    for number in range(20):
        journal.keep_paused(paused(f"{number:016X}", 1.7e9 + number))
    kept = journal.paused()
    assert len(kept) == 16
    assert kept[0].session_id == f"{19:016X}"


def test_a_paused_session_of_an_older_version_has_no_value_added_services(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    old = {key: value for key, value in asdict(paused()).items() if key != "value_added"}
    journal.keep_paused(paused())
    journal._db.execute("UPDATE paused_session SET context=?", (json.dumps(old),))
    assert journal.paused() == [replace(paused(), value_added=())]


def test_a_paused_session_in_a_form_that_is_not_ours_counts_as_lost(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.keep_paused(paused())
    for text in ("{", "[]", '{"session_id": "AB", "offered": []}', '{"offered": 1}'):
        journal._db.execute("UPDATE paused_session SET context=?", (text,))
        assert journal.paused() == []


def test_what_the_ev_confirmed_goes_with_its_session(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db", retention=Retention(sessions=1))
    journal.save_session(record())
    confirmed = MeterConfirmed("M1", 500, 30, 1_700_000_000, True)
    journal.confirm_meter("00000000000000AB", confirmed, 1.7e9)
    assert journal.confirmations("00000000000000AB") == [Confirmation(1.7e9, "M1", 500, 30, 1_700_000_000, True)]
    journal.save_session(replace(record("00000000000000AC"), started_utc_s=1.8e9))
    assert journal.confirmations("00000000000000AB") == []


def test_a_journal_of_the_first_format_is_brought_up_to_date_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with sqlite3.connect(path) as db:
        db.executescript(f"{MIGRATIONS[0]}; PRAGMA user_version = 1;")
    db.close()
    journal = Journal(path)
    journal.save_session(record())
    journal.keep_paused(paused())
    assert journal.paused() == [paused()]
