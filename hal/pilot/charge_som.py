"""chargebyte Charge SOM / CCY safety controller: pilot, contactors, emergency stop, UART, driver `charge-som-uart`.

Wire facts: 115200 8N1. Frame `A5 | id | 8 data bytes | CRC-8 | 03`; CRC-8 SAE-J1850 (polynomial 0x1D, start 0xFF, final
xor 0xFF) over id and data; the data is one big-endian 64-bit word, whose bits are numbered 63..0.
- 06 ChargeControl, to the board, at most 100 ms apart, also its keep-alive: 63 PWM on; 57-48 duty in 0.1 %; 40+i close
  contactor i.
- 07 ChargeState, from the board every 100 ms: 63 PWM on; 59-58 safe state (0 normal, 1 safe, 3 not available); 57-48
  duty; 43 pilot short, 44 diode fault; 42-40 pilot (1..6 = A..F, 7 invalid); 34-32 proximity (0 none, 1..4 = 13, 20,
  32, 63 A, 5 and 6 type 1, 7 invalid); 24+2i contactor i (0 undefined, 1 open,
  2 closed, 3 unused); 16+2i emergency stop i (0 ok, 1 tripped, 3 unused), i 0..2; 15-8 reason of the safe state.
- 08 PT1000: channel i in 16 bits at 48-16i: signed 14-bit 0.1 degC above two flags (bit 0 charging stopped, bit 1
  self-test failed); 0x1FFF unused. 0E error: 63 active, 62-48 module, 47-32 reason. FF inquiry, 0A firmware version.

Bring-up: `/dev/ttyLP2` on the Charge SOM. The board boots 300 ms after its reset line is released (active low) and
falls into its safe state when control frames stop or something is wrong; only a reset ends that, and `safe_reason` is
its code. Silent: reset line held low, RX/TX swapped, another program on the port. Contactor types and feedback,
temperature limits and emergency stop inputs live in the board's own parameter block.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from evse_controller.model.pilot import PilotState
from hal.api import Contact, DeviceError, McuReading
from hal.channel import ByteChannel
from hal.options import Options
from hal.serial_port import SerialPort

CHARGE_CONTROL, CHARGE_STATE, PT1000, FIRMWARE, ERROR, INQUIRY = 0x06, 0x07, 0x08, 0x0A, 0x0E, 0xFF
_SOF, _EOF, _LENGTH = 0xA5, 0x03, 12
_STALE_POLL_S = 0.3
_SILENT_S = 0.3
_INQUIRY_PERIOD_S = 1.0
_PT1000_UNUSED = 0x1FFF
_NORMAL, _NOT_AVAILABLE = 0, 3

_PILOT = {1: PilotState.A, 2: PilotState.B, 3: PilotState.C, 4: PilotState.D, 5: PilotState.E, 6: PilotState.F}
_CABLE_A = {1: 13.0, 2: 20.0, 3: 32.0, 4: 63.0, 7: 0.0}
_CONTACT_OPEN, _CONTACT_CLOSED, _UNUSED = 1, 2, 3


def _crc_table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value << 1 ^ 0x1D) & 0xFF if value & 0x80 else value << 1
        rows.append(value)
    return tuple(rows)


_CRC_TABLE = _crc_table()


def crc8_j1850(data: bytes | bytearray) -> int:
    crc = 0xFF
    for byte in data:
        crc = _CRC_TABLE[crc ^ byte]
    return crc ^ 0xFF


def encode_frame(frame_id: int, data: int) -> bytes:
    """One frame around the 64-bit word `data`."""
    body = struct.pack(">BQ", frame_id, data)
    return bytes((_SOF,)) + body + bytes((crc8_j1850(body), _EOF))


class FrameDecoder:
    """Cuts frames out of a byte stream; after garbage it finds the next good frame, wherever that starts."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.dropped = 0

    def feed(self, data: bytes) -> list[tuple[int, int]]:
        """All good frames that are complete now, as (id, 64-bit word)."""
        buffer = self._buffer
        buffer += data
        frames: list[tuple[int, int]] = []
        start = 0
        while True:
            found = buffer.find(_SOF, start)
            self.dropped += (len(buffer) if found < 0 else found) - start
            start = len(buffer) if found < 0 else found
            if len(buffer) - start < _LENGTH:
                break
            body = buffer[start + 1 : start + 10]
            if buffer[start + 11] == _EOF and buffer[start + 10] == crc8_j1850(body):
                frame_id, word = struct.unpack(">BQ", body)
                frames.append((frame_id, word))
                start += _LENGTH
            else:
                self.dropped += 1
                start += 1  # an A5 inside other data: the real frame may begin at the very next byte
        del buffer[:start]
        return frames

    def clear(self) -> None:
        self._buffer.clear()


def charge_control(pwm: bool, duty_percent: float, contactors: int) -> int:
    """The ChargeControl word; `contactors` is a bit mask of contactors to close."""
    return int(pwm) << 63 | round(duty_percent * 10) << 48 | (contactors & 0x07) << 40


class ChargeSomMcu:
    """The board behind `hal.api.SafetyMcu`. `contactors` are the board's contactor numbers of the DC pair."""

    READING = McuReading

    def __init__(
        self, name: str, make_channel: Callable[[], ByteChannel], contactors: tuple[int, ...] = (0, 1)
    ) -> None:
        self._name = name
        self._make_channel = make_channel
        self._contactors = contactors
        self._channel: ByteChannel | None = None
        self._decoder = FrameDecoder()
        self._polled_s: float | None = None
        self._opened_s: float | None = None
        self._heard_s: float | None = None
        self._reading: McuReading | None = None
        self._not_available = False
        self._board_error: str | None = None
        self._hot: str | None = None
        self._firmware: str | None = None
        self._asked_s: float | None = None
        self._duty_percent: float | None = None
        self._close_contactors = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def firmware(self) -> str | None:
        """Version of the board's firmware, None until it told."""
        return self._firmware

    def open(self) -> None:
        """Open the port. Raises DeviceError."""
        try:
            self._channel = self._make_channel()
        except DeviceError as error:
            raise DeviceError(self._name, str(error)) from error

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def reading(self) -> McuReading | None:
        return self._reading

    def set_duty(self, duty_percent: float | None) -> None:
        if duty_percent is not None and not 0.0 <= duty_percent <= 100.0:
            raise ValueError(f"{self._name}: duty must be 0..100 %, got {duty_percent}")
        self._duty_percent = duty_percent

    def set_contactors(self, closed: bool) -> None:
        self._close_contactors = closed

    def beat(self, now_s: float) -> None:
        if self._channel is None:
            return
        mask = sum(1 << index for index in self._contactors) if self._close_contactors else 0
        pwm = self._duty_percent is not None
        word = charge_control(pwm, self._duty_percent or 0.0, mask)
        self._channel.write(encode_frame(CHARGE_CONTROL, word))
        ask = self._firmware is None and self._heard_s is not None
        if ask and (self._asked_s is None or now_s - self._asked_s >= _INQUIRY_PERIOD_S):
            self._asked_s = now_s
            self._channel.write(encode_frame(INQUIRY, FIRMWARE << 56))

    def poll(self, now_s: float) -> None:
        if self._channel is None:
            return
        data = self._channel.read()
        frozen = self._polled_s is not None and now_s - self._polled_s > _STALE_POLL_S
        self._polled_s = now_s
        if self._opened_s is None:
            self._opened_s = now_s
        if frozen:
            # This process stood still; what lies in the buffer is of unknown age and must not look new.
            self._decoder.clear()
            return
        for frame_id, word in self._decoder.feed(data):
            self._heard_s = now_s
            if frame_id == CHARGE_STATE:
                self._take_state(word, now_s)
            elif frame_id == PT1000:
                self._hot = _temperature_problem(word)
            elif frame_id == ERROR:
                self._board_error = _board_error(word)
            elif frame_id == FIRMWARE:
                self._firmware = f"{word >> 56}.{word >> 48 & 0xFF}.{word >> 40 & 0xFF}"

    def problem(self) -> str | None:
        if self._channel is None:
            return "port is not open"
        line = self._channel.problem()
        if line is not None:
            return line
        if self._polled_s is not None and self._opened_s is not None:
            since_s = self._polled_s - (self._opened_s if self._reading is None else self._reading.at_s)
            if since_s > _SILENT_S:
                seen = f", {self._decoder.dropped} bytes of garbage" if self._decoder.dropped else ""
                return f"no ChargeState for {since_s:.1f} s{seen}"
        reading = self._reading
        if reading is not None and reading.safe_state:
            return f"board is in its safe state, reason {reading.safe_reason}; only a reset ends it"
        if self._not_available:
            return "board is still starting"
        return self._board_error or self._hot or (reading.pilot_fault if reading is not None else None)

    def _take_state(self, word: int, now_s: float) -> None:
        safe = word >> 58 & 0x03
        self._not_available = safe == _NOT_AVAILABLE
        faults = [text for bit, text in ((43, "pilot short circuit"), (44, "pilot diode fault")) if word >> bit & 1]
        stops = [word >> 16 + 2 * index & 0x03 for index in range(3)]
        self._reading = McuReading(
            at_s=now_s,
            pilot=_PILOT.get(word >> 40 & 0x07, PilotState.INVALID),
            duty_percent=(word >> 48 & 0x3FF) / 10.0 if word >> 63 else 0.0,
            contactor=self._contact(word),
            # 2 is not defined; an undefined emergency stop counts as pressed.
            emergency_stop=any(stop not in (0, _UNUSED) for stop in stops),
            safe_state=safe not in (_NORMAL, _NOT_AVAILABLE),
            safe_reason=word >> 8 & 0xFF,
            pilot_fault=", ".join(faults) or None,
            cable_a=_CABLE_A.get(word >> 32 & 0x07),
        )

    def _contact(self, word: int) -> Contact:
        states = {word >> 24 + 2 * index & 0x03 for index in self._contactors} - {_UNUSED}
        if states == {_CONTACT_OPEN}:
            return Contact.OPEN
        if states == {_CONTACT_CLOSED}:
            return Contact.CLOSED
        return Contact.UNDEFINED


def _temperature_problem(word: int) -> str | None:
    for channel in range(4):
        field = word >> 48 - 16 * channel & 0xFFFF
        raw = field >> 2
        if raw == _PT1000_UNUSED:
            continue
        celsius = (raw - 0x4000 if raw & 0x2000 else raw) / 10.0
        if field & 0x01:
            return f"temperature channel {channel} stopped charging at {celsius:.1f} degC"
        if field & 0x02:
            return f"temperature channel {channel} failed its self-test"
    return None


def _board_error(word: int) -> str | None:
    if not word >> 63:
        return None
    return f"board error: module {word >> 48 & 0x7FFF}, reason {word >> 32 & 0xFFFF}, data {word & 0xFFFFFFFF:08X}"


def create(name: str, options: Mapping[str, object]) -> ChargeSomMcu:
    """Options: port, baudrate (115200), contactors ([0, 1]): the board's contactor numbers of the DC pair."""
    taken = Options(name, options)
    path = taken.text("port")
    baudrate = taken.integer("baudrate", 115200, 1200, 1_000_000)
    contactors = taken.integers("contactors", (0, 1), 0, 2)
    taken.done()

    def make_channel() -> ByteChannel:
        port = SerialPort(path, baudrate)
        port.open()
        return port

    return ChargeSomMcu(name, make_channel, contactors)
