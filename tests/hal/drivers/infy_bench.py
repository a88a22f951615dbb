"""Scripted power modules that know only registers, and the driver on a bus with them."""

from __future__ import annotations

from hal.api import PowerMode
from hal.power import infy_frames as frames
from hal.power.infy_beg import InfyBeg
from tests.hal.drivers.bench import STEP_S, FakeBus

DC_OFF = 1 << 8


class Scripted:
    """Modules that answer at once from register tables and obey on / off and mode."""

    def __init__(self, bus: FakeBus, addresses: tuple[int, ...]) -> None:
        self.bus = bus
        self.frames_answered = 0
        self.tables = {address: self.fresh() for address in addresses}
        self.mute: set[int] = set()
        self.deaf_to_off = False
        self.ignore_mode = False
        self.mode_readable = True

    @staticmethod
    def fresh() -> dict[int, int]:
        return {
            0x1101: 400_000,
            0x1102: 0,
            0x1110: DC_OFF,
            0x1111: 0,
            0x1130: 1_000_000,
            0x1131: 150_000,
            0x1132: 73_000,
            0x1133: 22_000_000,
            0x2110: 0xA0,
            0x31C1: 0,
        }

    def poll(self, seen: int) -> int:
        for _, can_id, data in self.bus.sent[seen:]:
            frame = frames.decode(can_id, data)
            assert frame is not None
            assert frame.source == 0xF0
            for address, table in self.tables.items():
                if address not in self.mute and frame.destination in (address, 0x3F):
                    self.obey(address, table, frame)
        return len(self.bus.sent)

    def obey(self, address: int, table: dict[int, int], frame: frames.Frame) -> None:
        value, error = frame.value, 0
        if frame.command == frames.READ:
            if frame.register not in table or (frame.register == 0x2110 and not self.mode_readable):
                error = 2
            else:
                value = table[frame.register]
        elif frame.register == 0x1110:
            if not (value == 0xA1 and self.deaf_to_off):
                table[0x1110] = 0 if value == 0xA0 else DC_OFF
        elif frame.register == 0x2110 and not self.ignore_mode:
            table[0x2110] = value
        elif frame.register == 0x31C1:
            table[0x31C1] = value
        elif frame.register in (0x1001, 0x1002) and address != min(self.tables):
            return  # the group's master answers these alone
        self.answer(address, frame.command, frame.register, value, error)

    def answer(self, address: int, command: int, register: int, value: int, error: int = 0) -> None:
        self.frames_answered += 1
        self.bus.put(error << 26 | 0x0A << 22 | command << 16 | 0xF0 << 8 | address, frames.payload(register, value))


class Bench:
    def __init__(self, addresses: tuple[int, ...] = (1, 2), found: bool = True, **options: int) -> None:
        self.bus = FakeBus()
        self.modules = Scripted(self.bus, addresses)
        self.psu = InfyBeg("psu", bus=self.bus, modules=len(addresses), **options)
        self.psu.open()
        self.seen = 0
        self.now_s = 0.0
        if found:
            self.run(3.0)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now_s += STEP_S
            self.bus.now_s = self.now_s
            self.psu.poll(self.now_s)
            self.seen = self.modules.poll(self.seen)

    def sent(self, since_s: float) -> list[tuple[int, bytes]]:
        return [(can_id, data) for at_s, can_id, data in self.bus.sent if at_s > since_s]

    def start(self, mode: PowerMode = PowerMode.CHARGE) -> None:
        self.psu.set_mode(mode)
        self.psu.set_output(400.0, 20.0)
        self.run(1.0)
        self.psu.switch(True)
        self.run(1.0)
