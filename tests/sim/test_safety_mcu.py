"""The simulated pilot board: its bytes, its periods, and that it opens by itself."""

from __future__ import annotations

from itertools import pairwise

import pytest

from evse_controller.model.pilot import PilotState
from hal.channel import memory_pair
from hal.sim.battery import BatteryConfig
from hal.sim.power_stage import PowerStageConfig
from hal.sim.safety_mcu import SafetyMcu, crc8, frame
from hal.sim.world import World, WorldConfig

CLOSE = 1 << 63 | 50 << 48 | 3 << 40
OPEN = 1 << 63 | 50 << 48


class Board:
    def __init__(self) -> None:
        self.world = World(WorldConfig(), BatteryConfig(), {"power.1": PowerStageConfig()})
        self.host, end = memory_pair()
        self.mcu = SafetyMcu("mcu", self.world, end)
        self.states: list[int] = []
        self.frames: list[tuple[float, int]] = []
        self._inbox = bytearray()

    def run(self, seconds: float, control: int | None = None) -> None:
        """Time passes; with `control` given the frame is sent every 50 ms."""
        for step in range(round(seconds / 0.005)):
            if control is not None and step % 10 == 0:
                self.host.write(frame(0x06, control))
            self.world.step(0.005)
            self.mcu.poll(self.world.now_s)
            self._collect()

    def _collect(self) -> None:
        self._inbox += self.host.read()
        while len(self._inbox) >= 12:
            data, self._inbox = bytes(self._inbox[:12]), self._inbox[12:]
            assert data[0] == 0xA5
            assert data[11] == 0x03
            assert crc8(data[1:10]) == data[10]
            self.frames.append((self.world.now_s, data[1]))
            if data[1] == 0x07:
                self.states.append(int.from_bytes(data[2:10], "big"))

    @property
    def state(self) -> int:
        return self.states[-1]

    def ready(self) -> None:
        """Booted, car in state C, contactors closed."""
        self.run(0.5, OPEN)
        self.world.plug()
        self.world.vehicle_pilot = PilotState.C
        self.run(0.3, CLOSE)
        assert self.world.evse_contactor.closed


@pytest.fixture
def board() -> Board:
    return Board()


def test_crc8_is_sae_j1850() -> None:
    assert crc8(b"123456789") == 0x4B


def test_it_boots_for_300_ms_and_then_reports_every_100_ms(board: Board) -> None:
    board.run(1.5, OPEN)
    times = [at_s for at_s, ident in board.frames if ident == 0x07]
    assert times[0] == pytest.approx(0.305, abs=0.006)
    assert all(later - earlier == pytest.approx(0.1, abs=0.006) for earlier, later in pairwise(times))
    assert [ident for _, ident in board.frames[:2]] == [0x07, 0x08]


@pytest.mark.parametrize(("pilot", "code"), [(PilotState.B, 2), (PilotState.C, 3), (PilotState.D, 4)])
def test_pilot_and_duty_are_reported(board: Board, pilot: PilotState, code: int) -> None:
    board.world.plug()
    board.world.vehicle_pilot = pilot
    board.run(0.6, OPEN)
    assert board.state >> 40 & 7 == code
    assert board.state >> 63 == 1
    assert board.state >> 48 & 0x3FF == 50
    assert board.world.pilot_duty_percent == 5.0


def test_contactor_feedback_follows_the_contacts(board: Board) -> None:
    board.run(0.5, OPEN)
    assert [board.state >> shift & 3 for shift in (24, 26, 28)] == [1, 1, 3]
    board.ready()
    board.run(0.2, CLOSE)
    assert board.state >> 24 & 3 == 2
    board.world.evse_contactor.welded = True
    board.run(0.3, OPEN)
    assert board.state >> 24 & 3 == 2


def test_half_a_pair_commanded_closes_nothing(board: Board) -> None:
    board.run(0.5, OPEN)
    board.world.plug()
    board.world.vehicle_pilot = PilotState.C
    board.run(0.3, OPEN | 1 << 40)
    assert not board.world.evse_contactor.closed


def test_it_does_not_close_before_the_car_is_ready(board: Board) -> None:
    board.world.plug()
    board.run(0.5, OPEN)
    for _ in range(20):
        board.run(0.005, CLOSE)
        assert not board.world.evse_contactor.commanded


def test_a_missing_heartbeat_opens_the_contactors_and_only_a_reset_ends_the_safe_state(board: Board) -> None:
    board.ready()
    board.run(0.43)
    assert board.world.evse_contactor.closed
    board.run(0.17)
    assert not board.world.evse_contactor.closed
    board.run(0.2)
    assert board.state >> 58 & 3 == 1
    assert board.state >> 8 & 0xFF == 2
    board.run(0.5, CLOSE)
    assert not board.world.evse_contactor.commanded
    board.mcu.faults.inject("reset")
    board.mcu.faults.clear("reset")
    board.run(0.5, OPEN)
    assert board.state >> 58 & 3 == 0
    board.run(0.2, CLOSE)
    assert board.world.evse_contactor.closed


def test_leaving_state_c_opens_within_100_ms_and_needs_an_open_command_before_closing_again(board: Board) -> None:
    board.ready()
    board.world.vehicle_pilot = PilotState.B
    board.run(0.05, CLOSE)
    assert not board.world.evse_contactor.closed
    board.world.vehicle_pilot = PilotState.C
    board.run(0.3, CLOSE)
    assert not board.world.evse_contactor.closed
    board.run(0.1, OPEN)
    board.run(0.2, CLOSE)
    assert board.world.evse_contactor.closed


@pytest.mark.parametrize(("fault", "shift", "reason"), [("emergency_stop", 16, 0x10), ("rcm", 22, 0x11)])
def test_emergency_stop_and_rcm_open_at_once(board: Board, fault: str, shift: int, reason: int) -> None:
    board.ready()
    board.mcu.faults.inject(fault)
    board.run(0.03, CLOSE)
    assert not board.world.evse_contactor.closed
    board.run(0.2, CLOSE)
    assert board.state >> shift & 3 == 1
    assert board.state >> 8 & 0xFF == reason
    board.mcu.faults.clear(fault)
    board.run(0.3, CLOSE)
    assert not board.world.evse_contactor.closed


def test_pilot_faults_show_and_open(board: Board) -> None:
    board.ready()
    board.mcu.faults.inject("cp_short")
    board.run(0.2, CLOSE)
    assert board.state >> 40 & 7 == 5
    assert board.state >> 43 & 1 == 1
    assert not board.world.evse_contactor.closed
    board.mcu.faults.clear("cp_short")
    board.mcu.faults.inject("cp_diode")
    board.run(0.2, CLOSE)
    assert board.state >> 44 & 1 == 1


def test_damaged_and_foreign_bytes_are_no_heartbeat(board: Board) -> None:
    board.ready()
    good = frame(0x06, CLOSE)
    for _ in range(15):
        board.host.write(b"\x00\xa5" + good[:10] + bytes([good[10] ^ 1, good[11]]))
        board.run(0.05)
    assert not board.world.evse_contactor.closed


def test_a_frame_after_noise_is_still_found(board: Board) -> None:
    board.run(0.5)
    board.host.write(b"\xa5\x06\x00" + frame(0x06, OPEN))
    board.run(0.05)
    assert board.world.heartbeat_at_s is not None


def test_inquiry_and_action(board: Board) -> None:
    board.run(0.5, OPEN)
    board.host.write(frame(0xFF, 0x0A << 56) + frame(0xFE, 0xFE << 56 | 1 << 48))
    board.run(0.05)
    idents = [ident for _, ident in board.frames]
    assert 0x0A in idents
    assert 0xFE in idents


def test_silent_and_frozen_boards(board: Board) -> None:
    board.ready()
    board.mcu.faults.inject("frozen")
    board.run(0.15, CLOSE)
    held = board.state
    board.world.vehicle_pilot = PilotState.B
    board.run(0.3, CLOSE)
    assert board.state == held
    board.mcu.faults.clear("frozen")
    board.run(0.2, CLOSE)
    assert board.state != held
    count = len(board.frames)
    board.mcu.faults.inject("silent")
    board.run(0.3, CLOSE)
    assert len(board.frames) == count


def test_a_deaf_board_opens(board: Board) -> None:
    board.ready()
    board.mcu.faults.inject("deaf")
    board.run(0.6, CLOSE)
    assert not board.world.evse_contactor.closed
