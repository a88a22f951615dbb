"""Simulated pilot and safety board: chargebyte Charge SOM safety controller on its UART.

Frame: A5, id, eight data bytes (one big-endian word), CRC-8 SAE J1850 over id and data, 03. The board opens its
contactors by itself: pilot out of C or D, emergency stop, RCM trip, missing heartbeat. The last three (and an internal
fault) end in the safe state, which only a reset leaves. After it opened for the pilot it wants to see "open" commanded
once before it closes again.
"""

from __future__ import annotations

from dataclasses import dataclass

from evse_controller.model.pilot import PilotState
from hal.channel import ByteChannel
from hal.sim.faults import Faults
from hal.sim.line import TimedLine
from hal.sim.world import World

START, END = 0xA5, 0x03
CONTROL, STATE, TEMPERATURE = 0x06, 0x07, 0x08
VERSION, GIT_HASH = 0x0A, 0x0B
ACTION, INQUIRY = 0xFE, 0xFF
REASON_INTERNAL, REASON_TIMEOUT, REASON_EMERGENCY, REASON_RCM = 1, 2, 0x10, 0x11
MCU_FAULTS = frozenset(
    {"silent", "frozen", "late", "noise", "reset", "deaf", "internal", "cp_short", "cp_diode", "rcm", "emergency_stop"}
)

_PP_CODE = {0: 0, 13: 1, 20: 2, 32: 3, 63: 4}
_CP_CODE = {
    PilotState.A: 1,
    PilotState.B: 2,
    PilotState.C: 3,
    PilotState.D: 4,
    PilotState.E: 5,
    PilotState.F: 6,
    PilotState.INVALID: 7,
}


def crc8(data: bytes) -> int:
    """SAE J1850: polynomial 0x1D, start 0xFF, inverted at the end."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x1D) & 0xFF if crc & 0x80 else crc << 1
    return crc ^ 0xFF


def frame(ident: int, word: int) -> bytes:
    body = bytes([ident]) + word.to_bytes(8, "big")
    return bytes([START]) + body + bytes([crc8(body), END])


@dataclass(frozen=True, slots=True)
class McuConfig:
    """Times in s. `heartbeat_s` is how old the newest ChargeControl may get before the board opens by itself.

    `contactors` are the board's outputs (0..2) that drive the DC pair: it closes when all of them are commanded.
    """

    boot_s: float = 0.3
    period_s: float = 0.1
    heartbeat_s: float = 0.5
    baudrate: int = 115_200
    temperature_c: float = 31.5
    contactors: tuple[int, ...] = (0, 1)

    def __post_init__(self) -> None:
        if not self.contactors or not set(self.contactors) <= {0, 1, 2}:
            raise ValueError("contactors: the board's outputs are 0, 1 and 2")


class SafetyMcu:
    """Owns the EVSE contactor command, the pilot oscillator, the emergency stop input. `poll` every few ms."""

    def __init__(self, name: str, world: World, channel: ByteChannel, config: McuConfig | None = None) -> None:
        self.name = name
        self.config = config or McuConfig()
        self.faults = Faults(name, MCU_FAULTS)
        self.faults.on_reset = self.reset
        self.safe_reason = 0
        self.safe = False
        self._world = world
        self._line = TimedLine(channel, self.config.baudrate)
        self._inbox = bytearray()
        self._now_s = world.now_s
        self._ready_at_s = world.now_s + self.config.boot_s
        self._next_s = self._ready_at_s
        self._held_word: int | None = None
        self._beat_at_s: float | None = None
        self._want_closed = False
        self._armed = True

    def reset(self) -> None:
        """The reset line: contactors open, oscillator off, silent for the boot time, safe state left."""
        self._ready_at_s = self._next_s = self._now_s + self.config.boot_s
        self.safe, self.safe_reason = False, 0
        self._want_closed, self._armed = False, True
        self._inbox.clear()
        self._line.drop()
        world = self._world
        self._beat_at_s = None
        world.pilot_pwm, world.mcu_safe_state = False, False
        world.evse_contactor.command(False)

    @property
    def pilot(self) -> PilotState:
        """What the board measures on the control pilot."""
        if self.faults.active("cp_short"):
            return PilotState.E
        return self._world.vehicle_pilot

    def poll(self, now_s: float) -> None:
        self._now_s = self.faults.now_s = now_s
        arrived = self._line.take()
        if now_s + 1e-9 < self._ready_at_s:
            return
        if not self.faults.active("deaf"):
            self._inbox += arrived
            self._parse()
        self._protect()
        if now_s + 1e-9 >= self._next_s:
            self._next_s += self.config.period_s
            if self._next_s <= now_s:
                self._next_s = now_s + self.config.period_s
            self._report()
        self._line.poll(now_s)

    # -- receiving -------------------------------------------------------------------------------------------------
    def _parse(self) -> None:
        data = self._inbox
        while True:
            start = data.find(START)
            if start < 0:
                data.clear()
                return
            del data[:start]
            if len(data) < 12:
                return
            if data[11] != END or crc8(bytes(data[1:10])) != data[10]:
                del data[0]
                continue
            ident, word = data[1], int.from_bytes(data[2:10], "big")
            del data[:12]
            self._obey(ident, word)

    def _obey(self, ident: int, word: int) -> None:
        if ident == CONTROL:
            self._control(word)
        elif ident == INQUIRY:
            wanted = word >> 56
            if wanted == VERSION:
                self._send(VERSION, 1 << 56 | 4 << 48 | 2 << 40 | 0x81 << 32)
            elif wanted == GIT_HASH:
                self._send(GIT_HASH, 0x5117_D0_5117_D0_51)
            elif wanted == STATE:
                self._send(STATE, self._state_word())
        elif ident == ACTION and word >> 48 & 0xFF == 1:
            self._send(ACTION, word)

    def _control(self, word: int) -> None:
        world = self._world
        self._beat_at_s = world.heartbeat_at_s = self._now_s
        if self.safe:
            return
        world.pilot_pwm = bool(word >> 63)
        world.pilot_duty_percent = min(word >> 48 & 0x3FF, 1000) / 10.0
        self._want_closed = all(word >> (40 + output) & 1 for output in self.config.contactors)
        if not self._want_closed:
            self._armed = True

    # -- protecting ------------------------------------------------------------------------------------------------
    def _protect(self) -> None:
        world = self._world
        world.emergency_stop = self.faults.active("emergency_stop")
        beat = self._beat_at_s
        if world.emergency_stop:
            self._enter_safe_state(REASON_EMERGENCY)
        elif self.faults.active("rcm"):
            self._enter_safe_state(REASON_RCM)
        elif self.faults.active("internal"):
            self._enter_safe_state(REASON_INTERNAL)
        elif beat is not None and self._now_s - beat > self.config.heartbeat_s:
            self._enter_safe_state(REASON_TIMEOUT)
        if not self.pilot.ready and world.evse_contactor.commanded:
            self._armed = False
        permitted = not self.safe and self._armed and self.pilot.ready and beat is not None
        world.evse_contactor.command(self._want_closed and permitted)

    def _enter_safe_state(self, reason: int) -> None:
        if not self.safe:
            self.safe, self.safe_reason = True, reason
            self._world.mcu_safe_state = True
            self._world.pilot_pwm = False
            self._want_closed = False

    # -- reporting -------------------------------------------------------------------------------------------------
    def _state_word(self) -> int:
        world = self._world
        word = 1 << 63 if world.pilot_pwm else 0
        word |= (1 if self.safe else 0) << 58
        word |= round(world.pilot_duty_percent * 10) << 48 if world.pilot_pwm else 0
        word |= (1 if self.faults.active("cp_short") else 0) << 43 | (1 if self.faults.active("cp_diode") else 0) << 44
        word |= _CP_CODE[self.pilot] << 40
        if world.ac is not None and world.plugged:
            word |= _PP_CODE[world.ac.proximity_a] << 32
        word |= (1 if self.pilot.ready and not self.safe else 0) << 30
        feedback = 2 if world.evse_contactor.feedback_closed else 1
        for output in range(3):
            word |= (feedback if output in self.config.contactors else 3) << (24 + 2 * output)
        word |= (1 if self.faults.active("rcm") else 0) << 22
        word |= (1 if world.emergency_stop else 0) << 16 | 3 << 18 | 3 << 20
        word |= self.safe_reason << 8
        if self.faults.active("frozen"):
            self._held_word = word if self._held_word is None else self._held_word
            return self._held_word
        self._held_word = None
        return word

    def _report(self) -> None:
        self._send(STATE, self._state_word())
        tenths = round(self.config.temperature_c * 10) & 0x3FFF
        unused = 0x1FFF << 2
        self._send(TEMPERATURE, tenths << 2 << 48 | unused << 32 | unused << 16 | unused)

    def _send(self, ident: int, word: int) -> None:
        if self.faults.active("silent"):
            return
        data = bytearray(frame(ident, word))
        if self.faults.active("noise"):
            data[5] ^= 0x40
        self._line.send(bytes(data), self._now_s + self.faults.delay_s)
