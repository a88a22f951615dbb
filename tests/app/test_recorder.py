"""The recorder: a refusing disk stops neither car nor contactors, and nothing recorded is lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from evse_controller.app.recorder import Recorder
from evse_controller.energy.prices import Tariff, flat_day_ahead
from evse_controller.metering import SettlementTerms
from evse_controller.model.commands import EndKind, SessionEnded, SessionOpened
from evse_controller.model.fault import Fault, FaultCode
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
