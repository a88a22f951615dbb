"""Bender isoCHA425HV with AGH420/421: isolation monitor on the vehicle side, Modbus RTU, driver `bender-isocha425hv`.

Wire facts: FC3, four registers a measurement: IEEE-754 single in the first two (high word first); third register, high
byte: alarm in bits 2..0 (0 none, 1 prewarning, 2 device error, 4 warning, 5 alarm), test in bits 7..6 (1 internal,
2 external test running); low byte: unit in bits 4..0 (2 = ohm), validity in bits 7..6 (0 true, 1 "<", 2 ">",
3 invalid); fourth register channel. Insulation R_F at 1000. FC16: 0x5445 to 8005 starts the self-test, 3026 switches
the measurement on (1) or off (0), 3005 / 3007 set prealarm and alarm in kohm.

Bring-up: 19200 8E1, unit 3 (menu of the device; other ports ship 9600). Even parity: a line set to 8N1 looks dead.
It wants 10 to 20 ms of silence between frames. Self-test fails: AGH coupling leads L1/L2, KE and E wires. Firmware
before 5.00 takes about 22 s for a self-test; newer has a fast one. Wire the alarm relay into the contactor chain.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from hal import modbus_rtu
from hal.api import IsolationReading, IsolationState
from hal.modbus import ModbusBus, Transaction, shared_bus, take_options
from hal.options import Options

R_F = 1000
PREALARM_KOHM, ALARM_KOHM, DEVICE_ENABLE, SELF_TEST = 3005, 3007, 3026, 8005
SELF_TEST_KEY = 0x5445
UNIT_OHM = 2
ALARM_DEVICE_ERROR = 2
VALID, BELOW, ABOVE, INVALID = 0, 1, 2, 3

_PERIOD_S = 0.2
_GAP_S = 0.02
_TEST_START_S = 5.0  # the device must show its test bits by then
_TEST_LONGEST_S = 35.0
_RETRY_S = 0.5


class BenderIsoCha425:
    """Measurement is off until `set_measuring(True)` was acknowledged.

    A resistance that the device marks "<" is reported as 0: it says only that the true one is smaller. A self-test that
    does not start, does not end, or ends in a device error has failed.
    """

    READING = IsolationReading

    def __init__(
        self,
        name: str,
        bus: ModbusBus,
        unit: int = 3,
        *,
        timeout_s: float = 0.2,
        prealarm_kohm: int | None = None,
        alarm_kohm: int | None = None,
    ) -> None:
        self._name = name
        self._bus = bus
        self._client = bus.client(unit, timeout_s, _GAP_S)
        self._thresholds = [
            (address, value)
            for address, value in ((PREALARM_KOHM, prealarm_kohm), (ALARM_KOHM, alarm_kohm))
            if value is not None
        ]
        self._writes: deque[tuple[int, int]] = deque(self._thresholds)
        self._write: Transaction | None = None
        self._write_after_s = 0.0
        self._read: Transaction | None = None
        self._next_read_s = 0.0
        self._wanted = False
        self._enabled: bool | None = None
        self._test: _SelfTest | None = None
        self._self_test_ok: bool | None = None
        self._was_silent = False
        self._reading: IsolationReading | None = None
        self._note: str | None = None
        self._write_note: str | None = None
        self._writes.append((DEVICE_ENABLE, 0))

    @property
    def name(self) -> str:
        return self._name

    def open(self) -> None:
        self._bus.open(self._name)

    def close(self) -> None:
        self._bus.close(self._name)

    def reading(self) -> IsolationReading | None:
        return self._reading

    def problem(self) -> str | None:
        return self._bus.problem() or self._client.problem() or self._write_note or self._note

    def start_self_test(self) -> None:
        self._self_test_ok = None
        self._test = _SelfTest()
        self._queue_write(SELF_TEST, SELF_TEST_KEY)

    def set_measuring(self, on: bool) -> None:
        if on != self._wanted:
            self._wanted = on
            self._queue_write(DEVICE_ENABLE, int(on))

    def poll(self, now_s: float) -> None:
        self._bus.poll(now_s)
        self._poll_writes(now_s)
        if self._read is not None and self._read.done:
            self._take(self._read)
            self._read = None
        if self._read is None and now_s >= self._next_read_s:
            self._read = self._client.read(modbus_rtu.READ_HOLDING, R_F, 4)
            self._next_read_s = now_s + _PERIOD_S
        if self._test is not None and self._test.over_due(now_s):
            self._end_test(False, "did not start" if not self._test.seen else "did not end")

    def _poll_writes(self, now_s: float) -> None:
        if self._write is not None:
            if not self._write.done:
                return
            address, value = self._writes[0]
            self._write_note = None
            if self._write.ok:
                self._writes.popleft()
                if address == DEVICE_ENABLE:
                    self._enabled = bool(value)
                elif address == SELF_TEST and self._test is not None:
                    self._test.started_s = self._write.at_s
            else:
                self._write_note = f"writing {value} to register {address}: {self._write.error}"
                self._write_after_s = now_s + _RETRY_S
            self._write = None
        if self._client.problem() is not None:
            self._was_silent = True
        elif self._was_silent and not self._client.timeouts:
            # It was away and may have lost its settings: give it all of them again.
            self._was_silent = False
            for address, value in (*self._thresholds, (DEVICE_ENABLE, int(self._wanted))):
                self._queue_write(address, value)
        if self._writes and now_s >= self._write_after_s:
            address, value = self._writes[0]
            self._write = self._client.write(address, (value,))

    def _queue_write(self, address: int, value: int) -> None:
        """Queue a write; it replaces an older one to the same register that is not on the line yet."""
        self._drop_writes(address)
        self._writes.append((address, value))

    def _drop_writes(self, address: int) -> None:
        in_flight = 1 if self._write is not None else 0
        kept = [write for index, write in enumerate(self._writes) if index < in_flight or write[0] != address]
        self._writes = deque(kept)

    def _take(self, transaction: Transaction) -> None:
        self._note = transaction.error
        if not transaction.ok:
            return
        high, low, flags, _channel = transaction.registers
        value_ohm = modbus_rtu.f32(high, low)
        alarm, test = flags >> 8 & 0x07, flags >> 14 & 0x03
        unit, validity = flags & 0x1F, flags >> 6 & 0x03
        usable = validity != INVALID and unit == UNIT_OHM and not math.isnan(value_ohm) and value_ohm >= 0
        if alarm == ALARM_DEVICE_ERROR:
            self._note = "device error: see its display"
        if self._test is not None:
            self._follow_test(self._test, transaction.at_s, bool(test), alarm == ALARM_DEVICE_ERROR)
        if test or self._test is not None:
            state = IsolationState.SELF_TEST
        elif alarm == ALARM_DEVICE_ERROR:
            state = IsolationState.FAULT
        elif self._enabled and self._wanted:
            state = IsolationState.MEASURING
        else:
            state = IsolationState.OFF
        self._reading = IsolationReading(
            at_s=transaction.at_s,
            state=state,
            resistance_ohm=value_ohm if usable and validity != BELOW else 0.0,
            valid=usable and state is IsolationState.MEASURING,
            self_test_ok=self._self_test_ok,
        )

    def _follow_test(self, test: _SelfTest, at_s: float, running: bool, device_error: bool) -> None:
        if test.started_s is None:
            return  # bits seen before our start was acknowledged belong to an older test
        test.seen = test.seen or running
        if test.seen and not running:
            self._end_test(not device_error, "ended in a device error")
        elif device_error and at_s - test.started_s > _TEST_START_S and not running:
            self._end_test(False, "ended in a device error")

    def _end_test(self, good: bool, why_not: str) -> None:
        self._test = None
        self._drop_writes(SELF_TEST)  # a start that never got through must not start a test much later
        self._self_test_ok = good
        if not good:
            self._note = f"self-test {why_not}"


class _SelfTest:
    """One self-test from its request to its result. `started_s` is when the device acknowledged the start."""

    __slots__ = ("asked_s", "seen", "started_s")

    def __init__(self) -> None:
        self.asked_s: float | None = None
        self.started_s: float | None = None
        self.seen = False

    def over_due(self, now_s: float) -> bool:
        if self.asked_s is None:
            self.asked_s = now_s
        since_s = now_s - (self.asked_s if self.started_s is None else self.started_s)
        return since_s > (_TEST_LONGEST_S if self.seen else _TEST_START_S)


def create(name: str, options: Mapping[str, object]) -> BenderIsoCha425:
    """Options: port, unit (3), baudrate (19200), parity (E), stop_bits, timeout_s, prealarm_kohm, alarm_kohm."""
    taken = Options(name, options)
    line = take_options(taken, unit=3, baudrate=19200, parity="E")
    prealarm = taken.integer("prealarm_kohm", None, 1, 1000) if taken.given("prealarm_kohm") else None
    alarm = taken.integer("alarm_kohm", None, 1, 1000) if taken.given("alarm_kohm") else None
    taken.done()
    if prealarm is not None and alarm is not None and alarm >= prealarm:
        raise taken.error("alarm_kohm", f"must lie below prealarm_kohm ({prealarm}), got {alarm}")
    return BenderIsoCha425(
        name,
        shared_bus(taken, line),
        line.unit,
        timeout_s=line.timeout_s,
        prealarm_kohm=prealarm,
        alarm_kohm=alarm,
    )
