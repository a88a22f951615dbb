"""What is known of one Infypower module (its newest answers, each with the time it arrived), and one set-point."""

from __future__ import annotations

from dataclasses import dataclass

from hal.api import PowerMode
from hal.power import infy_frames as frames
from hal.power.infy_frames import Frame, Register

CYCLE = (Register.VOLTAGE_MV, Register.CURRENT_MA, Register.STATUS, Register.INVERTER)
CAPABILITY = (Register.MAX_VOLTAGE_MV, Register.MIN_VOLTAGE_MV, Register.MAX_CURRENT_MA, Register.RATED_POWER_MW)
ONLINE_S = 1.0
KEEP_ALIVE_S = 1.0
SETPOINT_GAP_S = 0.05
FLOWING_MA = 1000
NEVER = float("-inf")
# After a silence this long the module may have restarted: what it confirmed before counts no more.
_FORGET_S = 2.0
_SLOW_READ_S = 2.0
_UNREADABLE_AFTER = 4
_MODES = {frames.MODE_RECTIFIER: PowerMode.CHARGE, frames.MODE_INVERTER: PowerMode.DISCHARGE}


@dataclass(slots=True)
class Setting:
    """A broadcast set-point: sent when it changes (not more often than the gap), repeated as keep-alive."""

    register: Register
    value: int | None = None
    sent: int | None = None
    sent_s: float = NEVER

    @property
    def dirty(self) -> bool:
        return self.value is not None and self.value != self.sent

    def due(self, now_s: float) -> bool:
        gap_s = SETPOINT_GAP_S if self.dirty else KEEP_ALIVE_S
        return self.value is not None and now_s - self.sent_s >= gap_s


class Module:
    """One module at `address`. `asked_s` is when it was last sent a read."""

    def __init__(self, address: int) -> None:
        self.address = address
        self.asked_s = NEVER
        self.heard_s = NEVER
        self.values: dict[int, int] = {}
        self.at_s: dict[int, float] = {}
        self.refusal: tuple[float, str] | None = None
        self.profile_acknowledged: int | None = None
        self._mode_echo: PowerMode | None = None
        self._mode_read: PowerMode | None = None
        self._mode_asked = 0  # reads of 21 10 without an answer: older firmware knows it only for writing
        self._turn = 0
        self._extra = 0

    def take(self, frame: Frame, now_s: float) -> None:
        """An answer or an echo of this module."""
        if now_s - self.heard_s > _FORGET_S or frame.error == frames.STARTING:
            self._mode_echo = self._mode_read = self.profile_acknowledged = None
            self.values.pop(Register.COUNTRY_CODE, None)
        self.heard_s = now_s
        if frame.error:
            if frame.command == frames.READ and frame.register == Register.WORKING_MODE:
                self._mode_asked = _UNREADABLE_AFTER
            text = frames.ERRORS.get(frame.error, f"error {frame.error}")
            # A read that this firmware does not know is no trouble; a refused command is.
            if frame.command == frames.WRITE:
                self.refusal = (now_s, f"refuses register {frame.register:04X}: {text}")
            return
        if frame.command == frames.WRITE:
            # An echo says "heard", not "done": what was confirmed before must be read again.
            if frame.register == Register.WORKING_MODE:
                self._mode_echo = _MODES.get(frame.value & 0xFF)
                if self._mode_read is not self._mode_echo:
                    self._mode_read = None
            elif frame.register == Register.COUNTRY_CODE:
                self.profile_acknowledged = frame.value
                if self.country_code != frame.value:
                    self.values.pop(Register.COUNTRY_CODE, None)
            return
        self.values[frame.register] = frame.value
        self.at_s[frame.register] = now_s
        if frame.register == Register.WORKING_MODE:
            self._mode_read, self._mode_asked = _MODES.get(frame.value & 0xFF), 0

    @property
    def complete(self) -> bool:
        """True once each register of the cycle was answered at least once."""
        return all(register in self.at_s for register in CYCLE)

    @property
    def oldest_s(self) -> float:
        return min(self.at_s[register] for register in CYCLE)

    @property
    def capable(self) -> bool:
        return all(register in self.values for register in CAPABILITY)

    def online(self, now_s: float) -> bool:
        return now_s - self.heard_s <= ONLINE_S

    @property
    def on(self) -> bool | None:
        """DC output on; None before its first status."""
        status = self.values.get(Register.STATUS)
        return None if status is None else frames.dc_on(status)

    @property
    def was_alone(self) -> bool:
        """It switched itself off because nobody talked to it. No fault while it is off."""
        return frames.can_interrupted(self.values.get(Register.STATUS, 0))

    def off_since(self, command_s: float) -> bool:
        """True when a status that arrived after `command_s` says off."""
        return self.on is False and self.at_s[Register.STATUS] > command_s

    @property
    def mode(self) -> PowerMode | None:
        """The mode as the module tells it. While current flows, the actual direction of conversion is the truth; an
        idle inverter may not show as one, so otherwise the mode read back counts (the echo, if it cannot be read)."""
        if frames.inverting(self.values.get(Register.INVERTER, 0)):
            return PowerMode.DISCHARGE
        if self.on and abs(frames.signed(self.values.get(Register.CURRENT_MA, 0))) > FLOWING_MA:
            return PowerMode.CHARGE
        if self._mode_read is not None:
            return self._mode_read
        return self._mode_echo if self._mode_asked >= _UNREADABLE_AFTER else None

    @property
    def voltage_v(self) -> float:
        return frames.signed(self.values[Register.VOLTAGE_MV]) / 1000.0

    @property
    def current_a(self) -> float:
        """Signed, + to the EV. The wire carries a magnitude; the direction is the module's mode."""
        raw_a = frames.signed(self.values[Register.CURRENT_MA]) / 1000.0
        return -abs(raw_a) if self.mode is PowerMode.DISCHARGE else raw_a

    @property
    def country_code(self) -> int | None:
        """As read back; None until it was read after the newest write."""
        return self.values.get(Register.COUNTRY_CODE)

    def has_profile(self, profile: int) -> bool:
        """True when the module took this write and reads it back (one that was never written may read 0 as well)."""
        return self.profile_acknowledged == profile and self.country_code == profile

    def faults(self) -> list[str]:
        found = frames.status_faults(self.values.get(Register.STATUS, 0))
        return found + frames.inverter_faults(self.values.get(Register.INVERTER, 0))

    def next_read(self, now_s: float, mode_wanted: PowerMode, profile_wanted: int | None) -> Register:
        """The register to ask now: the four of the cycle in turn, then one of the rarer ones when one is due."""
        if self._turn < len(CYCLE):
            register = CYCLE[self._turn]
            self._turn += 1
            return register
        self._turn = 0
        rare = [register for register in CAPABILITY if register not in self.values]
        mode_s = self.at_s.get(Register.WORKING_MODE, NEVER)
        if self._mode_read is not mode_wanted or now_s - mode_s > _SLOW_READ_S:
            rare.append(Register.WORKING_MODE)
        read_s = self.at_s.get(Register.COUNTRY_CODE, NEVER)
        if self.country_code is None or self.country_code != profile_wanted or now_s - read_s > _SLOW_READ_S:
            rare.append(Register.COUNTRY_CODE)
        if not rare:
            self._turn = 1
            return CYCLE[0]
        self._extra += 1
        register = rare[self._extra % len(rare)]
        if register == Register.WORKING_MODE:
            self._mode_asked += 1
        return register
