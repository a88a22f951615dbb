"""Infypower BEG / BEC and Phoenix Contact TRIO-HP BI: bidirectional power modules on CAN, driver `infy-beg`.

Wire facts: `hal.power.infy_frames`; 125 kbit/s, extended frames. Set-points 10 01 (mV) and 10 02 (mA, magnitude of the
whole group), on / off 11 10, mode 21 10, discharge cut-off 11 32, upper limit in discharge 11 31 and country code 31 C1
go to all modules by broadcast; each module is read by itself: 11 01, 11 02, 11 10, 11 11 in turn. The direction comes
only from the mode. Modules feed on for 10 s after the last frame, so a dead bus means: open the contactors.

Pacing: the driver sends on a bit budget of 45 % of the bus, answers included (150 bits a frame), and asks the same
module at most every 50 ms. All four registers of each module are refreshed within (measured in tests/hal/drivers)
0.25 s for 1 to 8 modules, 0.35 s for 12, 0.6 s for 16 and 1.25 s for 30: above 12 modules the caller must allow more
than its 500 ms. Off frames go before everything, outside the budget, and repeat until every module reads back off.

Bring-up: 120 ohm at both ends, CAN ground, no address twice (front panel). `modules` is their number, or the list of
their addresses. Silent: bit rate (125 kbit/s), CAN H/L swapped, no three-phase supply (modules then do not boot), or
another controller at address 0xF0. "refuses register": the firmware does not know that command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hal.api import DeviceError, PowerCapability, PowerMode, PowerReading
from hal.can_port import CanPort, PythonCanPort, open_port
from hal.options import Options
from hal.power import infy_frames as frames
from hal.power.infy_frames import Register
from hal.power.infy_module import CAPABILITY, KEEP_ALIVE_S, NEVER, Module, Setting

if TYPE_CHECKING:
    import can

FRAME_BITS = 150
BUS_SHARE = 0.45
HIGHEST_ADDRESS = 60
_BURST_S = 0.02
_MODULE_GAP_S = 0.05
_OFF_REPEAT_S = 0.05
_COMMAND_REPEAT_S = 0.5
_ON_REPEAT_S = 0.5
_ON_PATIENCE_S = 5.0
_SCAN_GAP_S = 0.01
_SLOW_SCAN_GAP_S = 0.2
_REFUSAL_SHOWN_S = 5.0
_STALE_POLL_S = 0.3
_MOST_FRAMES_PER_POLL = 100
_MODE_VALUE = {PowerMode.CHARGE: frames.MODE_RECTIFIER, PowerMode.DISCHARGE: frames.MODE_INVERTER}


class InfyBeg:
    """A group of modules as one source and sink.

    `modules` is how many there should be (found by scanning addresses 0..60) or their addresses; until all of them
    have answered there is no capability, and without it the station starts nothing. `switch(True)` takes
    effect only once every module confirmed the wanted mode and, for discharge, the written grid profile. A module that
    was on and goes off by itself is not switched on again: `switch(False)` and `switch(True)` start anew.
    """

    READING = PowerReading

    def __init__(
        self,
        name: str,
        make_port: Callable[[], CanPort] | None = None,
        *,
        bus: can.BusABC | None = None,
        modules: int | tuple[int, ...] = 1,
        country_code: int | None = None,
        bitrate: int = 125_000,
    ) -> None:
        if (make_port is None) == (bus is None):
            raise ValueError(f"{name}: give either make_port or bus")
        self._name = name
        self._make_port = make_port
        self._bus = bus
        self._expected = modules if isinstance(modules, int) else len(modules)
        self._addresses = tuple(range(HIGHEST_ADDRESS + 1)) if isinstance(modules, int) else modules
        self._budget_bits_per_s = bitrate * BUS_SHARE
        self._port: CanPort | None = None
        self._modules: dict[int, Module] = {}
        self._polled_s: float | None = None
        self._credit_bits = 0.0
        self._scan = 0
        self._scanned_s = NEVER
        self._floor = Setting(frames.DISCHARGE_FLOOR_MV)
        self._upper = Setting(frames.UPPER_LIMIT_MV)
        self._voltage = Setting(Register.GROUP_VOLTAGE_MV)
        self._current = Setting(Register.GROUP_CURRENT_MA)
        self._wanted_mode = PowerMode.CHARGE
        self._mode_sent_s = NEVER
        self._profile = country_code
        self._profile_sent_s = NEVER
        self._wanted_on = False
        self._on_sent_s = NEVER
        self._on_first_s: float | None = None
        self._was_on = False
        self._off_wanted_s: float | None = None
        self._off_sent_s = NEVER
        self._read_turn = 0
        self._writes_first = True

    @property
    def name(self) -> str:
        return self._name

    def open(self) -> None:
        """Open the bus. Raises DeviceError."""
        if self._bus is not None:
            self._port = PythonCanPort(self._bus)
        elif self._make_port is not None:
            try:
                self._port = self._make_port()
            except DeviceError as error:
                raise DeviceError(self._name, str(error)) from error

    def close(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None

    def capability(self) -> PowerCapability | None:
        found = list(self._modules.values())
        # A module that hears broadcasts but does not answer would add its current to what the others were asked for.
        if len(found) < self._expected or not all(module.capable for module in found):
            return None
        values = [[module.values[register] / 1000.0 for module in found] for register in CAPABILITY]
        return PowerCapability(min(values[0]), max(values[1]), sum(values[2]), sum(values[3]), True, len(found))

    def reading(self) -> PowerReading | None:
        found = list(self._modules.values())
        if not found or self._polled_s is None or not all(module.complete for module in found):
            return None
        now_s = self._polled_s
        modes = {module.mode for module in found}
        # A code that an earlier owner wrote does not count (`_not_ready`), so it is not reported either: the caller
        # would take it for its own, write nothing, and wait in vain for discharge.
        written = self._profile is not None and all(module.has_profile(self._profile) for module in found)
        faults = [f"module {module.address}: {', '.join(module.faults())}" for module in found if module.faults()]
        return PowerReading(
            at_s=min(module.oldest_s for module in found),
            voltage_v=max(module.voltage_v for module in found),
            current_a=sum(module.current_a for module in found),
            on=any(module.on for module in found),
            mode=modes.pop() if len(modes) == 1 else None,
            modules_online=sum(module.online(now_s) for module in found),
            grid_profile=self._profile if written else None,
            fault="; ".join(faults) or None,
        )

    def problem(self) -> str | None:
        if self._port is None:
            return "CAN bus is not open"
        now_s = self._polled_s if self._polled_s is not None else 0.0
        found = self._modules.values()
        silent = [module.address for module in found if not module.online(now_s)]
        if self._port.problem() is not None:
            return self._port.problem()
        if silent:
            return f"no answer from module {', '.join(map(str, silent))}"
        if len(self._modules) != self._expected:
            return f"{len(self._modules)} of {self._expected} modules found"
        for module in found:
            if module.refusal is not None and now_s - module.refusal[0] < _REFUSAL_SHOWN_S:
                return f"module {module.address} {module.refusal[1]}"
        if self._wanted_on and not all(module.on for module in found):
            off = ", ".join(str(module.address) for module in found if not module.on)
            if self._was_on:
                return f"module {off} went off by itself"
            return self._not_ready() or f"module {off} is not on yet"
        alone = ", ".join(str(module.address) for module in found if module.was_alone)
        return f"module {alone} was without CAN traffic and switched itself off" if alone else None

    def set_output(self, voltage_v: float, current_a: float) -> None:
        if voltage_v < 0 or current_a < 0:
            raise ValueError(f"{self._name}: set-points are magnitudes, got {voltage_v} V, {current_a} A")
        self._voltage.value = round(voltage_v * 1000)
        self._current.value = round(current_a * 1000)
        self._follow_upper_limit()

    def set_discharge_floor(self, voltage_v: float) -> None:
        if voltage_v < 0:
            raise ValueError(f"{self._name}: discharge floor must be >= 0, got {voltage_v} V")
        self._floor.value = round(voltage_v * 1000)

    def set_mode(self, mode: PowerMode) -> None:
        if self._wanted_on or any(module.on for module in self._modules.values()):
            raise ValueError(f"{self._name}: mode {mode.value} refused while the modules are on")
        self._wanted_mode = mode
        self._mode_sent_s = NEVER
        self._follow_upper_limit()

    def switch(self, on: bool) -> None:
        if on and not self._wanted_on:
            self._on_sent_s, self._on_first_s, self._was_on = NEVER, None, False
        if not on and self._wanted_on:
            self._off_wanted_s = self._polled_s  # before the first poll None, which that poll stamps
            self._off_sent_s = NEVER
        self._wanted_on = on

    def write_grid_profile(self, country_code: int) -> None:
        if not 0 <= country_code <= 0xFFFF:
            raise ValueError(f"{self._name}: country code must be 0..65535, got {country_code}")
        self._profile = country_code
        self._profile_sent_s = NEVER

    def stop(self, now_s: float) -> None:
        self._wanted_on = False
        self._off_wanted_s = now_s
        self._current.value = 0
        self._send_off(now_s)

    def poll(self, now_s: float) -> None:
        if self._port is None:
            return
        since_s = 0.0 if self._polled_s is None else now_s - self._polled_s
        self._polled_s = now_s
        self._receive(now_s, drop=since_s > _STALE_POLL_S)
        self._credit_bits += since_s * self._budget_bits_per_s
        self._credit_bits = min(self._credit_bits, _BURST_S * self._budget_bits_per_s)
        if not self._wanted_on and self._off_wanted_s is None:
            self._off_wanted_s = now_s
        if self._wanted_on and self._modules and all(module.on for module in self._modules.values()):
            self._was_on = True
        if self._off_due(now_s):
            self._send_off(now_s)
        while self._credit_bits > 0 and self._send_next(now_s):
            pass

    # --- receiving

    def _receive(self, now_s: float, drop: bool) -> None:
        assert self._port is not None  # poll checked
        for _ in range(_MOST_FRAMES_PER_POLL if not drop else 100 * _MOST_FRAMES_PER_POLL):
            received = self._port.receive()
            if received is None:
                return
            frame = frames.decode(*received)
            # After a stand-still of this process the age of waiting answers is unknown: they are dropped.
            if drop or frame is None or frame.destination != frames.CONTROLLER or frame.source > HIGHEST_ADDRESS:
                continue
            module = self._modules.get(frame.source)
            if module is None:
                # Whoever answers also obeys our broadcasts, so it belongs to the group, expected or not.
                module = self._modules[frame.source] = Module(frame.source)
            module.take(frame, now_s)

    # --- sending

    def _send(self, destination: int, command: int, register: int, value: int, answers: int) -> None:
        assert self._port is not None  # poll and stop checked
        self._credit_bits -= (1 + answers) * FRAME_BITS
        self._port.send(frames.identifier(command, destination), frames.payload(register, value))

    @property
    def _echoes(self) -> int:
        """Answers to expect to a broadcast write, counting modules not found yet."""
        return max(len(self._modules), self._expected)

    def _broadcast(self, register: int, value: int, answers: int) -> None:
        self._send(frames.BROADCAST, frames.WRITE, register, value, answers)

    def _off_due(self, now_s: float) -> bool:
        if self._wanted_on:
            return False
        command_s = self._off_wanted_s if self._off_wanted_s is not None else now_s
        if self._modules and all(module.off_since(command_s) for module in self._modules.values()):
            return False
        if not self._modules:
            return now_s - self._off_sent_s >= KEEP_ALIVE_S
        # The first one goes at once; repeats keep to the budget, which with many modules is what one echo each costs.
        return now_s - self._off_sent_s >= _OFF_REPEAT_S and (self._credit_bits > 0 or self._off_sent_s == NEVER)

    def _send_off(self, now_s: float) -> None:
        if self._port is not None:
            self._off_sent_s = now_s
            self._broadcast(Register.STATUS, frames.OFF, self._echoes)

    def _send_next(self, now_s: float) -> bool:
        """Send the one frame that is most urgent now; False when nothing is due. Writes and reads take turns."""
        order = (self._send_write, self._send_read) if self._writes_first else (self._send_read, self._send_write)
        for send in order:
            if send(now_s):
                self._writes_first = send == self._send_read
                return True
        return False

    def _send_write(self, now_s: float) -> bool:
        count = self._echoes
        found = self._modules.values()
        command_s = self._off_wanted_s if self._off_wanted_s is not None else now_s
        # Long enough to read all modules back before asking again.
        repeat_s = _COMMAND_REPEAT_S + 0.1 * count
        settled = not self._wanted_on or self._on_first_s is None  # off, or not switched on yet
        if settled and found and all(module.off_since(command_s) for module in found):
            if any(module.mode is not self._wanted_mode for module in found) and now_s - self._mode_sent_s >= repeat_s:
                self._mode_sent_s = now_s
                self._broadcast(Register.WORKING_MODE, _MODE_VALUE[self._wanted_mode], count)
                return True
            if (
                self._profile is not None
                and not all(module.has_profile(self._profile) for module in found)
                and now_s - self._profile_sent_s >= repeat_s
            ):
                self._profile_sent_s = now_s
                self._broadcast(Register.COUNTRY_CODE, self._profile, count)
                return True
        if self._on_due(now_s):
            self._on_sent_s = now_s
            self._on_first_s = now_s if self._on_first_s is None else self._on_first_s
            self._broadcast(Register.STATUS, frames.ON, count)
            return True
        for setting in (self._current, self._voltage, self._floor, self._upper):
            if found and setting.due(now_s):
                assert setting.value is not None  # due says so
                setting.sent, setting.sent_s = setting.value, now_s
                group = setting in (self._current, self._voltage)
                self._broadcast(setting.register, setting.value, 1 if group else count)
                return True
        return False

    def _on_due(self, now_s: float) -> bool:
        if not self._wanted_on or self._was_on or not self._modules or now_s - self._on_sent_s < _ON_REPEAT_S:
            return False
        if self._on_first_s is not None and now_s - self._on_first_s > _ON_PATIENCE_S:
            return False
        return self._not_ready() is None and not any(
            setting.dirty for setting in (self._current, self._voltage, self._floor, self._upper)
        )

    def _not_ready(self) -> str | None:
        """Why the modules must not be switched on now."""
        found = self._modules.values()
        # Once some are on, their mode shows in operation; before that each one must have confirmed it.
        if any(module.mode is not self._wanted_mode for module in found):
            return f"waiting for all modules to confirm mode {self._wanted_mode.value}"
        if self._wanted_mode is PowerMode.DISCHARGE:
            if self._profile is None:
                return "discharge needs a grid profile and none was written"
            if not all(module.has_profile(self._profile) for module in found):
                return f"waiting for all modules to confirm grid profile {self._profile}"
        return None

    def _send_read(self, now_s: float) -> bool:
        if self._scan_due(now_s):
            return True
        found = list(self._modules.values())
        for offset in range(len(found)):
            module = found[(self._read_turn + offset) % len(found)]
            if now_s - module.asked_s < _MODULE_GAP_S - 1e-9:
                continue
            self._read_turn = (self._read_turn + offset + 1) % len(found)
            module.asked_s = now_s
            register = module.next_read(now_s, self._wanted_mode, self._profile)
            self._send(module.address, frames.READ, register, 0, 1)
            return True
        return False

    def _scan_due(self, now_s: float) -> bool:
        if len(self._modules) >= self._expected:
            return False
        gap_s = _SCAN_GAP_S if self._scan < len(self._addresses) + len(self._modules) else _SLOW_SCAN_GAP_S
        if now_s - self._scanned_s < gap_s - 1e-9:
            return False
        for _ in self._addresses:
            address = self._addresses[self._scan % len(self._addresses)]
            self._scan += 1
            if address not in self._modules and address != frames.BROADCAST:
                self._scanned_s = now_s
                self._send(address, frames.READ, Register.MAX_VOLTAGE_MV, 0, 1)
                return True
        return False

    def _follow_upper_limit(self) -> None:
        """In discharge the module also wants an upper voltage limit: the voltage set-point, the EV's maximum."""
        discharge = self._wanted_mode is PowerMode.DISCHARGE
        self._upper.value = self._voltage.value if discharge and self._voltage.value else None


def create(name: str, options: Mapping[str, object]) -> InfyBeg:
    """Options: interface (python-can's name, or slcan), channel, bitrate (125000), modules (number or addresses),
    country_code (written to the modules at start), tty_baudrate (slcan on a real serial line, 115200)."""
    taken = Options(name, options)
    interface = taken.text("interface")
    channel = taken.text("channel")
    bitrate = taken.integer("bitrate", 125_000, 10_000, 1_000_000)
    modules: int | tuple[int, ...]
    if taken.is_list("modules"):
        modules = taken.integers("modules", (), 0, HIGHEST_ADDRESS)
    else:
        modules = taken.integer("modules", 1, 1, HIGHEST_ADDRESS)
    country_code = taken.integer("country_code", None, 0, 0xFFFF) if taken.given("country_code") else None
    tty_baudrate = taken.integer("tty_baudrate", 115_200, 9600, 4_000_000) if interface == "slcan" else 0
    taken.done()

    def make_port() -> CanPort:
        return open_port(interface, channel, bitrate, tty_baudrate)

    return InfyBeg(name, make_port, modules=modules, country_code=country_code, bitrate=bitrate)
