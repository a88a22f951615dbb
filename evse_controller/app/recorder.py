"""The session record and the event log: what happened, written so that a power cut loses none of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Protocol

from evse_controller.app.paused import PausedSessions
from evse_controller.config.protocol import SERVICE_IDS
from evse_controller.energy.prices import Tariff
from evse_controller.metering import MeterRegisterError, SessionMeter, SettlementTerms, settle
from evse_controller.model.commands import (
    Command,
    ContextDropped,
    ContextKept,
    MeterConfirmed,
    ServiceSelected,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.fault import Fault
from evse_controller.store import Journal, JournalError, SessionRecord, StoredEvent

_FLUSH_PERIOD_S = 1.0
_SERVICES = {number: name for name, number in SERVICE_IDS.items()}
_ROUNDING_WH = 1.0  # two readings of one register state may differ by its last digit


class Registers(Protocol):
    """Lifetime totals of an outlet's meter, whatever kind it is, in Wh: delivered to the EV, taken from it."""

    @property
    def import_wh(self) -> float: ...

    @property
    def export_wh(self) -> float: ...


class Recorder:
    """Keeps the open session's record and meter, the paused ones, and hands events to the journal."""

    def __init__(
        self,
        journal: Journal,
        lab: str,
        tariff: Tariff,
        terms: SettlementTerms,
        meter_id: str,
        keep_paused_s: float = 86_400.0,
    ) -> None:
        self._journal = journal
        self._lab = lab
        self.tariff = tariff
        self._terms = terms
        self._meter_id = meter_id
        self._latched: set[str] = {row[0] for row in journal.latched()}
        self._flush_due_s = 0.0
        self._owed: dict[str, Callable[[], None]] = {}
        self._meter_problem = ""
        self.problem: str | None = None
        self.record: SessionRecord | None = None
        self.meter: SessionMeter | None = None
        self.soc: float | None = None
        self._cause: str | None = None
        self._unfinished: list[str] = []
        self._before: dict[str, Any] | None = None
        self.paused = PausedSessions(journal, self._durably, keep_paused_s)

    def close_interrupted(self, utc_s: float, now_s: float) -> None:
        """Sessions that a killed daemon left open end now; what the meter counted since is taken over by `step`."""
        self._unfinished = self._journal.close_interrupted(utc_s)
        for session_id in self._unfinished:
            text = f"{session_id} was open when the daemon last stopped; marked interrupted"
            self._journal.event(StoredEvent(utc_s, now_s, session_id, "session", text, {}))

    def _finish_interrupted(self, reading: Registers, utc_s: float, now_s: float) -> None:
        """The registers reach the disk once a second, and the outlet feeds on until the pilot board opens it. No car
        was served in between, so the first reading after the restart belongs to the interrupted session."""
        unfinished, self._unfinished = self._unfinished, []
        for session_id in unfinished:
            record = self._journal.session(session_id)
            if record is None or record.meter_id != self._meter_id or record.import_last_wh is None:
                continue
            charged_wh = reading.import_wh - record.import_last_wh
            discharged_wh = reading.export_wh - (record.export_last_wh or 0.0)
            if charged_wh < 0 or discharged_wh < 0:
                text = f"registers of {self._meter_id} went back while the daemon was down; the last ones stay"
            else:
                registers = (session_id, reading.import_wh, reading.export_wh)
                self._durably(f"registers {session_id}", partial(self._journal.save_registers, *registers))
                text = f"after the last entry the meter counted {charged_wh:.0f} Wh in, {discharged_wh:.0f} Wh out"
            self._journal.event(StoredEvent(utc_s, now_s, session_id, "meter", text, {}))

    def event(self, utc_s: float, now_s: float, kind: str, text: str, data: Mapping[str, Any] | None = None) -> None:
        session = self.record.session_id if self.record else None
        self._journal.event(StoredEvent(utc_s, now_s, session, kind, text, dict(data or {})))

    def command(self, command: Command, reading: Registers | None, utc_s: float, now_s: float) -> None:
        if isinstance(command, SessionOpened):
            if not (command.resumed and self._reopen(command, reading, utc_s, now_s)):
                self._open(command, reading, utc_s)
        elif isinstance(command, ServiceSelected) and self.record is not None:
            self.record.service = _SERVICES.get(command.service_id, str(command.service_id))
            self.record.control_mode = command.control_mode.name.lower()
            self._save(self.record)
        elif isinstance(command, MeterConfirmed):
            self._confirm(command, utc_s, now_s)
        elif isinstance(command, ContextKept):
            self.paused.keep(command.context)
        elif isinstance(command, ContextDropped):
            self.paused.drop(command.session_id)
        elif isinstance(command, SessionEnded):
            self._close(command, utc_s, now_s)

    def sleeping(self, utc_s: float) -> bool:
        """The last session here was paused and may still go on."""
        last = max(self._journal.sessions(), key=lambda record: record.ended_utc_s or 0.0, default=None)
        return last is not None and last.end_kind == "paused" and self.paused.find(last.session_id, utc_s) is not None

    def account(self, session_id: str, reading: Registers | None) -> tuple[float, float] | None:
        """Registers in Wh (import, export) at which the session `session_id` began, for one that goes on.

        What the outlet delivered to somebody else meanwhile is not its own: they are moved by that.
        """
        record = self._journal.session(session_id)
        if record is None or record.meter_id != self._meter_id or record.import_start_wh is None or reading is None:
            return None
        import_wh, export_wh = record.import_start_wh, record.export_start_wh or 0.0
        if abs(reading.import_wh - import_wh - record.charged_wh) > _ROUNDING_WH:
            import_wh = reading.import_wh - record.charged_wh
        if abs(reading.export_wh - export_wh - record.discharged_wh) > _ROUNDING_WH:
            export_wh = reading.export_wh - record.discharged_wh
        return import_wh, export_wh

    def _reopen(self, command: SessionOpened, reading: Registers | None, utc_s: float, now_s: float) -> bool:
        """The paused session's record goes on: one record, one sum of energy and money. False: there is none."""
        record = self._journal.session(command.session_id)
        if record is None:
            return False
        start = self.account(command.session_id, reading)
        slept_s = utc_s - (record.ended_utc_s or utc_s)
        record.ended_utc_s = record.end_kind = record.end_reason = None
        self._before = json.loads(record.settlement) if record.settlement else None
        self.record, self.meter, self._cause = record, None, None
        if reading is not None:
            self._start_meter(reading, utc_s)
            if start is not None:
                record.import_start_wh, record.export_start_wh = start
        self._save(record)
        self.event(utc_s, now_s, "session", f"goes on after {slept_s:.0f} s of sleep")
        return True

    def _confirm(self, command: MeterConfirmed, utc_s: float, now_s: float) -> None:
        if self.record is None:
            return
        session_id = self.record.session_id
        how = "signed" if command.signed else "not signed"
        text = f"the car confirms {command.charged_wh} Wh in, {command.discharged_wh} Wh out ({how})"
        self._durably(f"meter {utc_s}", lambda: self._journal.confirm_meter(session_id, command, utc_s))
        self.event(utc_s, now_s, "meter", text)

    def _open(self, command: SessionOpened, reading: Registers | None, utc_s: float) -> None:
        self.record = SessionRecord(
            command.session_id, utc_s, command.evccid, command.protocol, self._lab, meter_id=self._meter_id
        )
        self.meter, self.soc, self._cause, self._before = None, None, None, None
        if reading is not None:
            self._start_meter(reading, utc_s)
        self._save(self.record)

    def _save(self, record: SessionRecord) -> None:
        as_it_stands = replace(record)
        self._durably(f"session {record.session_id}", lambda: self._journal.save_session(as_it_stands))

    def _durably(self, what: str, write: Callable[[], None]) -> None:
        """On the disk now, or with the next flush that succeeds: neither car nor contactors wait for a full disk."""
        self._owed.pop(what, None)
        try:
            write()
        except JournalError as error:
            self._owed[what] = write
            self._complain(error)

    def _complain(self, error: JournalError) -> None:
        """On the console once, in the status as long as it lasts."""
        if self.problem is None:
            print(f"evsed: journal: {error}", file=sys.stderr, flush=True)
        self.problem = str(error)

    def _start_meter(self, reading: Registers, utc_s: float) -> None:
        if self.record is not None:
            self.meter = SessionMeter(self._meter_id, reading.import_wh, reading.export_wh, utc_s)
            self.record.import_start_wh = self.record.import_last_wh = reading.import_wh
            self.record.export_start_wh = self.record.export_last_wh = reading.export_wh

    def cause(self, text: str | None) -> None:
        """Why the station wants the open session to end. The first cause counts; the car's own words come after it."""
        if self.record is not None and self._cause is None:
            self._cause = text

    def _close(self, command: SessionEnded, utc_s: float, now_s: float) -> None:
        if self.record is None:
            return
        self.record.ended_utc_s = utc_s
        self.record.end_kind = command.kind.value
        reason = command.reason if self._cause is None else f"{self._cause}; {command.reason}"
        self.record.end_reason = reason
        if self.meter is not None:
            result = asdict(settle(self.meter.samples, self.tariff, self._terms))
            self.record.settlement = json.dumps(_sum(self._before, result))
        self._save(self.record)
        self.event(utc_s, now_s, "session", f"ended: {command.kind.value}: {reason}")
        self.record = None
        self.meter = None

    def step(
        self, reading: Registers | None, building_w: float | None, max_charge_w: float, utc_s: float, now_s: float
    ) -> None:
        """Once a control step: registers into the session's meter, and about once a second to the disk."""
        if self._unfinished and reading is not None:
            self._finish_interrupted(reading, utc_s, now_s)
        if self.record is not None and reading is not None:
            if self.meter is None:  # the meter answered only after the session began
                self._start_meter(reading, utc_s)
                self._save(self.record)
            self._meter_step(reading, building_w or 0.0, max_charge_w, utc_s, now_s)
        if now_s >= self._flush_due_s:
            self._flush_due_s = now_s + _FLUSH_PERIOD_S
            self.flush()

    def _meter_step(
        self, reading: Registers, building_w: float, max_charge_w: float, utc_s: float, now_s: float
    ) -> None:
        if self.meter is None or self.record is None:
            return
        try:
            self.meter.update(
                reading.import_wh, reading.export_wh, utc_s, building_w=building_w, max_charge_w=max_charge_w
            )
        except MeterRegisterError as error:
            if str(error) != self._meter_problem:
                self.event(utc_s, now_s, "meter", str(error))
            self._meter_problem = str(error)
            return
        self.record.import_last_wh = reading.import_wh
        self.record.export_last_wh = reading.export_wh

    def faults(self, faults: tuple[Fault, ...], utc_s: float) -> None:
        """Latching faults are on the disk before anybody may forget them; cleared ones leave it."""
        now = {fault.code.value: fault for fault in faults if fault.kind.latching}
        for code in now.keys() - self._latched:
            fault = now[code]
            self._durably(f"latch {code}", partial(self._journal.latch, code, fault.source, fault.cause, utc_s))
        for code in self._latched - now.keys():
            self._durably(f"latch {code}", partial(self._journal.unlatch, code))
        self._latched = set(now)

    def flush(self) -> None:
        """Write what is queued and owed. A refusing disk is told once; charging goes on, events wait in memory."""
        try:
            for what in list(self._owed):
                self._owed[what]()
                del self._owed[what]
            if self.record is not None and self.meter is not None:
                self._journal.save_registers(
                    self.record.session_id, self.record.import_last_wh or 0.0, self.record.export_last_wh or 0.0
                )
            self._journal.flush()
        except JournalError as error:
            self._complain(error)
        else:
            self.problem = None


def _sum(before: dict[str, Any] | None, after: dict[str, Any]) -> dict[str, Any]:
    """The money of a session's parts, before and after its sleep. In two currencies only the newest part is told."""
    if before is None or before.get("currency") != after["currency"]:
        return after
    return {key: value if isinstance(value, str) else value + before.get(key, 0.0) for key, value in after.items()}
