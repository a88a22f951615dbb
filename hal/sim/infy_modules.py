"""Simulated bidirectional power modules, Infypower BEG / Phoenix Contact TRIO-HP BI protocol.

Identifier: error[28:26] device[25:22] command[21:16] destination[15:8] source[7:0]; command 0x23 reads, 0x24 writes;
data is sub-register (2 bytes), two zero bytes, a big-endian 32 bit value. Currents are magnitudes; the direction is
the working mode (register 21 10). What this model decides where the documents are silent: a refused write is answered
with error 3 and changes nothing; a mode or country code is refused while on; without any traffic for 10 s a module
switches off and says "CAN interrupted" until somebody has talked to it again for a second (or switches it on; how a
real module clears the bit is unverified); its country code is unwritten (reads 0) after a reset.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hal.sim.can_bus import CanBus, CanNode, Frame
from hal.sim.faults import COMMON, Faults
from hal.sim.power_stage import INVERTER, RECTIFIER, PowerStage

READ = 0x23
WRITE = 0x24
CONTROLLER = 0xF0
BROADCAST = 0x3F
SINGLE = 0x0A
GROUP = 0x0B
OK, BAD_COMMAND, BAD_DATA, STARTING = 0, 2, 3, 7
WATCHDOG_S = 10.0
REMEMBERED_S = 1.0
ON, OFF = 0xA0, 0xA1
MODULE_FAULTS = COMMON | {
    "disconnected",
    "mode_refused",
    "mode_ignored",
    "no_output",
    "over_voltage",
    "setpoint_ignored",
    "trip",
}

_MODES = {0xA0: RECTIFIER, 0xA1: INVERTER}
_SETPOINTS = frozenset({0x1001, 0x1002, 0x1101, 0x1102, 0x1131, 0x1132})
_ECHO_ONLY = frozenset({0x1120, 0x1121, 0x1122, 0x1123, 0x1126, 0x1134, 0x2105, 0x2114, 0x2117, 0x2118})


def identifier(error: int, device: int, command: int, destination: int, source: int) -> int:
    return error << 26 | device << 22 | command << 16 | destination << 8 | source


def payload(register: int, value: int) -> bytes:
    return register.to_bytes(2, "big") + b"\0\0" + (value & 0xFFFFFFFF).to_bytes(4, "big")


class _Refused(Exception):
    def __init__(self, error: int) -> None:
        super().__init__(f"error {error}")
        self.error = error


class InfyModule:
    """One module at `address` (0..60) in group `group`."""

    def __init__(self, address: int, stage: PowerStage, rack: InfyRack, group: int = 0) -> None:
        self.address = address
        self.group = group
        self.stage = stage
        self.faults = Faults(stage.name, MODULE_FAULTS)
        self.faults.on_reset = self.restart
        self.heard_at_s: float | None = None
        self.watchdog_tripped = False
        self._together_s = 0.0  # since when somebody talks to it without a gap of WATCHDOG_S
        self.starting_until_s = float("-inf")
        self._rack = rack
        self._tripped = False

    def restart(self) -> None:
        """Supply came back: off, defaults, not ready for a second."""
        stage = self.stage
        stage.switch(False, self._rack.link_v())
        stage.mode, stage.voltage_set_v, stage.current_set_a = RECTIFIER, 0.0, 0.0
        stage.floor_v, stage.upper_v = stage.config.min_voltage_v, stage.config.max_voltage_v
        stage.country_code = None
        self._tripped = self.watchdog_tripped = False
        self.starting_until_s = self.faults.now_s + 1.0

    @property
    def answers(self) -> bool:
        return not (self.faults.active("silent") or self.faults.active("disconnected"))

    def poll(self, now_s: float) -> None:
        faults, stage = self.faults, self.stage
        faults.now_s = now_s
        stage.broken = faults.active("no_output")
        stage.over_voltage_v = faults.parameter("over_voltage", "volts", 50.0) if faults.active("over_voltage") else 0.0
        if faults.active("trip"):
            self._tripped = True
        if self._tripped and stage.on:
            stage.switch(False, self._rack.link_v())
        if self.heard_at_s is None:
            return
        if now_s - self.heard_at_s > WATCHDOG_S:
            if not self.watchdog_tripped:
                self.watchdog_tripped = True
                stage.switch(False, self._rack.link_v())
        elif self.heard_at_s - self._together_s > REMEMBERED_S:
            self.watchdog_tripped = False

    def hear(self, at_s: float) -> None:
        """Somebody talks on the bus."""
        if self.heard_at_s is None or at_s - self.heard_at_s > WATCHDOG_S:
            self._together_s = at_s
        self.heard_at_s = at_s

    def obey(self, command: int, register: int, value: int) -> tuple[int, int]:
        """Returns (error code, value) of the answer."""
        if self.faults.now_s < self.starting_until_s:
            return STARTING, 0
        try:
            if command == READ:
                return OK, self._read(register)
            self._write(register, value)
        except _Refused as refused:
            return refused.error, value
        return OK, value

    def _read(self, register: int) -> int:
        stage, config, rack = self.stage, self.stage.config, self._rack
        if register in (0x1001, 0x1101, 0x4101):
            return max(0, round(self.faults.measured("voltage", rack.link_v()) * 1000))
        if register in (0x1002, 0x1102, 0x4102):
            total = sum(module.stage.current_a for module in rack.modules) if register == 0x1002 else stage.current_a
            return abs(round(self.faults.measured("current", total) * 1000))
        if register in (0x1103, 0x1104, 0x1105):
            return 400_000 if rack.grid_present() else 0
        fixed = {
            0x1010: len(rack.modules),
            0x1106: 42_000,
            0x1110: self._state(),
            0x1111: 1 if stage.mode == INVERTER and stage.on else 0,
            0x1130: round(config.max_voltage_v * 1000),
            0x1131: round(config.min_voltage_v * 1000),
            0x1132: round(config.max_current_a * 1000),
            0x1133: round(config.rated_power_w * 1000),
            0x2110: ON if stage.mode == RECTIFIER else OFF,
            0x31C1: stage.country_code or 0,
        }
        if register not in fixed:
            raise _Refused(BAD_COMMAND)
        return fixed[register]

    def _state(self) -> int:
        state_0 = 0 if self._rack.grid_present() else 1 << 3
        state_1 = (0 if self.stage.on else 1) | (2 if self._tripped else 0) | (0x80 if self.watchdog_tripped else 0)
        state_2 = 0 if self._rack.grid_present() else 1 << 5
        return state_2 << 16 | state_1 << 8 | state_0

    def _write(self, register: int, value: int) -> None:
        stage, config = self.stage, self.stage.config
        count = len(self._rack.modules)
        if register in _SETPOINTS and self.faults.active("setpoint_ignored"):
            return  # echoed like any other, and nothing changes: what it fed it feeds on; on / off it still obeys
        if register in (0x1001, 0x1101):
            stage.voltage_set_v = _within(value / 1000.0, config.max_voltage_v)
        elif register == 0x1002:
            stage.current_set_a = _within(value / 1000.0 / count, config.max_current_a)
        elif register == 0x1102:
            stage.current_set_a = _within(value / 1000.0, config.max_current_a)
        elif register == 0x1110:
            self._switch(value)
        elif register == 0x1131:
            stage.upper_v = _within(value / 1000.0, config.max_voltage_v)
        elif register == 0x1132:
            stage.floor_v = _within(value / 1000.0, config.max_voltage_v)
        elif register == 0x2110:
            self._set_mode(value)
        elif register == 0x31C1:
            if value not in (0, 1, 3) or stage.on:
                raise _Refused(BAD_DATA)
            stage.country_code = value
        elif register not in _ECHO_ONLY:
            raise _Refused(BAD_COMMAND)

    def _switch(self, value: int) -> None:
        if value not in (ON, OFF):
            raise _Refused(BAD_DATA)
        if value == ON and (self._tripped or not self._rack.grid_present()):
            raise _Refused(BAD_DATA)
        if value == ON:
            self.watchdog_tripped = False
        self.stage.switch(value == ON, self._rack.link_v())

    def _set_mode(self, value: int) -> None:
        wanted = _MODES.get(value)
        if wanted is None:
            raise _Refused(BAD_DATA)
        stage = self.stage
        refused = (stage.on and wanted != stage.mode) or self.faults.active("mode_refused")
        accepted = not refused and not self.faults.active("mode_ignored")
        self._rack.mode_written(stage, wanted, accepted)
        if refused:
            raise _Refused(BAD_DATA)
        if accepted:
            stage.mode = wanted


def _within(value: float, limit: float) -> float:
    if value > limit * 1.0001:
        raise _Refused(BAD_DATA)
    return value


class InfyRack:
    """All modules of one outlet on one bus. The lowest address that still talks is the group's master."""

    def __init__(
        self,
        bus: CanBus,
        stages: Sequence[PowerStage],
        addresses: Sequence[int],
        link_v: Callable[[], float],
        grid_present: Callable[[], bool],
        on_mode: Callable[[PowerStage, str, bool], None],
        answer_s: float = 0.002,
    ) -> None:
        if len(stages) != len(addresses) or len(set(addresses)) != len(addresses):
            raise ValueError("each module needs its own address")
        if not all(0 <= address <= 60 for address in addresses):
            raise ValueError("module addresses are 0..60")
        self.link_v = link_v
        self.grid_present = grid_present
        self.mode_written = on_mode
        self.modules = [InfyModule(address, stage, self) for address, stage in zip(addresses, stages, strict=True)]
        self._answer_s = answer_s
        self._nodes: dict[int, CanNode] = {}
        for module in self.modules:
            # All modules hear the bus; one listener per module keeps their transmit queues apart.
            self._nodes[module.address] = bus.attach(module.stage.name, _listener(self, module))

    @property
    def master(self) -> InfyModule | None:
        talking = [module for module in self.modules if module.answers]
        return min(talking, key=lambda module: module.address) if talking else None

    def poll(self, now_s: float) -> None:
        for module in self.modules:
            module.poll(now_s)

    def hear(self, module: InfyModule, frame: Frame, at_s: float) -> None:
        """One frame arrives at one module."""
        ident = frame.identifier
        device, command = ident >> 22 & 0xF, ident >> 16 & 0x3F
        destination, source = ident >> 8 & 0xFF, ident & 0xFF
        if not frame.extended or device not in (SINGLE, GROUP) or not 0xF0 <= source <= 0xF8 or len(frame.data) != 8:
            return
        if module.faults.active("disconnected"):
            return
        single = device == SINGLE and destination == module.address
        if not single and destination != (module.group if device == GROUP else BROADCAST) and destination != BROADCAST:
            return
        module.faults.now_s = max(module.faults.now_s, at_s)
        module.hear(at_s)
        register = int.from_bytes(frame.data[:2], "big")
        if command not in (READ, WRITE):
            self._reply(module, device, command, source, frame.data, BAD_COMMAND, at_s)
            return
        error, value = module.obey(command, register, int.from_bytes(frame.data[4:], "big"))
        spoken_by_master = register >> 8 == 0x10 or (command == WRITE and register in (0x1101, 0x1102))
        if not single and spoken_by_master and error == OK and module is not self.master:
            return
        self._reply(module, device, command, source, payload(register, value), error, at_s)

    def _reply(
        self, module: InfyModule, device: int, command: int, to: int, data: bytes, error: int, at_s: float
    ) -> None:
        if module.answers:
            answer = Frame(identifier(error, device, command, to, module.address), data)
            self._nodes[module.address].send(answer, at_s + self._answer_s + module.faults.delay_s)


def _listener(rack: InfyRack, module: InfyModule) -> Callable[[Frame, float], None]:
    return lambda frame, at_s: rack.hear(module, frame, at_s)
