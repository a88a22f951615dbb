"""The recorder: a refusing disk stops neither car nor contactors, and nothing recorded is lost."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from evse_controller.app.describe import message_data, message_text
from evse_controller.app.recorder import Recorder
from evse_controller.energy.prices import Tariff, flat_day_ahead
from evse_controller.metering import SettlementTerms
from evse_controller.model.commands import (
    ContextDropped,
    ContextKept,
    EndKind,
    MeterConfirmed,
    PausedSession,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.fault import Fault, FaultCode
from evse_controller.secc.output import Output
from evse_controller.secc.reply import MessageEvent
from evse_controller.store import Journal
from hal.api import DcMeterReading

ID = "00000000000000AB"


def reading(import_wh: float, at_s: float = 1.0) -> DcMeterReading:
    return DcMeterReading(at_s, 400.0, 10.0, 4000.0, import_wh, 50.0)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "j.db", busy_timeout_s=0.01)


@pytest.fixture
def recorder(journal: Journal) -> Recorder:
    return Recorder(journal, "lab-tcp", Tariff(flat_day_ahead(100.0)), SettlementTerms(), "M1")


def test_a_session_is_on_the_disk_when_it_opens_and_complete_when_it_ends(recorder: Recorder, journal: Journal) -> None:
    recorder.command(SessionOpened(ID, "EV1", "ISO 15118-20 DC"), reading(1000.0), 1.7e9, 1.0)
    opened = journal.session(ID)
    assert opened is not None
    assert (opened.lab_switches, opened.import_start_wh) == ("lab-tcp", 1000.0)
    recorder.step(reading(3000.0), 0.0, 11_000.0, 1.7e9 + 3600, 2.0)
    recorder.cause("over-voltage: 510 V")
    recorder.command(SessionEnded(EndKind.FAILED, "the EV closed"), reading(3000.0), 1.7e9 + 3600, 2.0)
    ended = journal.session(ID)
    assert ended is not None
    assert ended.charged_wh == 2000.0
    assert ended.end_reason == "over-voltage: 510 V; the EV closed"
    assert ended.settlement is not None


def test_while_the_disk_refuses_the_session_goes_on_and_is_written_later(
    recorder: Recorder, journal: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocker = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    recorder.command(SessionOpened(ID, "EV1", "ISO 15118-20 DC"), reading(1000.0), 1.7e9, 1.0)
    recorder.faults((Fault(FaultCode.CONTACTOR_WELDED, "mcu", "closed", 1.0),), 1.7e9)
    recorder.step(reading(1500.0), 0.0, 11_000.0, 1.7e9 + 60, 2.0)
    assert recorder.problem is not None
    assert capsys.readouterr().err.count("evsed: journal") == 1
    blocker.execute("ROLLBACK")
    recorder.step(reading(1600.0), 0.0, 11_000.0, 1.7e9 + 120, 4.0)
    assert recorder.problem is None
    stored = journal.session(ID)
    assert stored is not None
    assert stored.charged_wh == 600.0
    assert [row[0] for row in journal.latched()] == ["contactor-welded"]


def test_a_falling_meter_register_is_told_once_and_changes_nothing(recorder: Recorder, journal: Journal) -> None:
    recorder.command(SessionOpened(ID, "EV1", "ISO 15118-20 DC"), reading(1000.0), 1.7e9, 1.0)
    for step in range(5):
        recorder.step(reading(900.0), 0.0, 0.0, 1.7e9 + step, 2.0 + step)
    assert [e.kind for e in journal.events(ID)] == ["meter"]
    stored = journal.session(ID)
    assert stored is not None
    assert stored.charged_wh == 0.0


PAUSED = PausedSession(ID, "ab" * 64, "EV1", "ISO 15118-20 DC", 6, 2, ((6, 2),), 1.7e9)


def sleeping(journal: Journal) -> None:
    """A session that charged 2000 Wh from 1000 Wh on, and sleeps; its process is gone."""
    recorder = Recorder(journal, "", Tariff(flat_day_ahead(100.0)), SettlementTerms(), "M1")
    recorder.command(SessionOpened(ID, "EV1", "ISO 15118-20 DC"), reading(1000.0), 1.7e9, 1.0)
    recorder.step(reading(3000.0), 0.0, 11_000.0, 1.7e9 + 3600, 2.0)
    recorder.command(ContextKept(PAUSED), reading(3000.0), 1.7e9 + 3600, 2.0)
    recorder.command(SessionEnded(EndKind.PAUSED, "sleeps"), reading(3000.0), 1.7e9 + 3600, 2.0)


def test_a_session_that_goes_on_is_one_record_with_the_sum_of_energy_and_money(
    recorder: Recorder, journal: Journal
) -> None:
    sleeping(journal)
    first = journal.session(ID)
    assert first is not None
    assert recorder.account(ID, reading(3000.0)) == (1000.0, 50.0)
    opened = SessionOpened(ID, "EV1", "ISO 15118-20 DC", resumed=True)
    recorder.command(opened, reading(3000.0), 1.7e9 + 7200, 3.0)
    recorder.command(ContextDropped(ID), reading(3000.0), 1.7e9 + 7200, 3.0)
    again = journal.session(ID)
    assert again is not None
    assert (again.end_kind, again.started_utc_s, again.charged_wh) == (None, 1.7e9, 2000.0)
    recorder.step(reading(4000.0), 0.0, 11_000.0, 1.7e9 + 9000, 4.0)
    recorder.command(SessionEnded(EndKind.TERMINATED, "done"), reading(4000.0), 1.7e9 + 9000, 4.0)
    (whole,) = journal.sessions()
    assert (whole.end_kind, whole.charged_wh) == ("terminated", 3000.0)
    assert first.settlement is not None
    assert whole.settlement is not None
    before, after = json.loads(first.settlement), json.loads(whole.settlement)
    assert after["cost"] == pytest.approx(before["cost"] * 1.5)
    assert after["charged_kwh"] == pytest.approx(3.0)


def test_what_the_outlet_delivered_to_others_meanwhile_is_not_the_sleepers(
    recorder: Recorder, journal: Journal
) -> None:
    sleeping(journal)
    assert recorder.account(ID, reading(9000.0)) == (7000.0, 50.0)
    opened = SessionOpened(ID, "EV1", "ISO 15118-20 DC", resumed=True)
    recorder.command(opened, reading(9000.0), 1.7e9 + 7200, 3.0)
    recorder.step(reading(9500.0), 0.0, 11_000.0, 1.7e9 + 9000, 4.0)
    recorder.command(SessionEnded(EndKind.TERMINATED, "done"), reading(9500.0), 1.7e9 + 9000, 4.0)
    stored = journal.session(ID)
    assert stored is not None
    assert stored.charged_wh == 2500.0


def test_a_session_that_nobody_remembers_begins_a_record_of_its_own(recorder: Recorder, journal: Journal) -> None:
    opened = SessionOpened(ID, "EV1", "ISO 15118-20 DC", resumed=True)
    recorder.command(opened, reading(3000.0), 1.7e9, 1.0)
    stored = journal.session(ID)
    assert stored is not None
    assert stored.charged_wh == 0.0
    assert recorder.account("FF", reading(3000.0)) is None


def test_while_the_disk_refuses_what_was_paused_can_be_joined_and_what_is_over_cannot(
    recorder: Recorder, journal: Journal, tmp_path: Path
) -> None:
    recorder.paused.keep(PausedSession("AA", "", "EV1", "", 6, 2, (), 1.7e9))
    blocker = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    recorder.command(ContextKept(PAUSED), None, 1.7e9, 1.0)
    recorder.command(ContextDropped("AA"), None, 1.7e9, 1.0)
    assert recorder.paused.find(ID, 1.7e9 + 86_400) == PAUSED
    assert recorder.paused.find(ID, 1.7e9 + 86_401) is None
    assert recorder.paused.find(ID, 1.6e9) == PAUSED  # the clock was set back
    assert recorder.paused.find("AA", 1.7e9) is None
    assert recorder.problem is not None
    blocker.execute("ROLLBACK")
    recorder.step(None, 0.0, 0.0, 1.7e9, 4.0)
    assert journal.paused() == [PAUSED]


def test_a_confirmed_meter_reading_is_kept_with_its_session(recorder: Recorder, journal: Journal) -> None:
    recorder.command(MeterConfirmed("M1", 1, 0, None, False), None, 1.7e9, 1.0)  # nobody charges: nothing to keep
    recorder.command(SessionOpened(ID, "EV1", "ISO 15118-20 DC"), reading(1000.0), 1.7e9, 1.0)
    recorder.command(MeterConfirmed("M1", 500, 0, 1_700_000_000, True), None, 1.7e9, 1.0)
    (confirmed,) = journal.confirmations(ID)
    assert (confirmed.charged_wh, confirmed.signed) == (500, True)


def test_a_late_answer_says_so_in_its_one_event() -> None:
    event = MessageEvent("AC_ChargeLoopReq", "AC_ChargeLoopRes", "OK", "ChargeLoop", "ChargeLoop", None, 0.25)
    assert message_text(event, 0.3) == (
        "AC_ChargeLoopReq -> AC_ChargeLoopRes OK; LATE: 0.30 s, allowed are 0.25 s"
    )
    output = Output(payload_type=0x8003)
    assert message_data(output, event, 0.3) == {
        "state": "ChargeLoop",
        "next": "ChargeLoop",
        "meaning": "power now, limits now",
        "payload": "0x8003",
        "ms": 300.0,
    }
