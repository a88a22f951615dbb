"""Simulated power modules against the protocol's published vectors and rules."""

from __future__ import annotations

from collections.abc import Iterator

import can
import pytest

from hal.sim.infy_modules import identifier
from hal.sim.plant import Plant
from hal.sim.power_stage import INVERTER, RECTIFIER


class Host:
    """A bare CAN host: sends words, collects answers."""

    def __init__(self, plant: Plant) -> None:
        assert plant.virtual_can is not None
        self.plant = plant
        self.port = can.Bus(interface="virtual", channel=plant.virtual_can)

    def ask(self, ident: int, data: str) -> list[tuple[int, str]]:
        self.port.send(can.Message(arbitration_id=ident, data=bytes.fromhex(data), is_extended_id=True))
        self.plant.step(0.03)
        answers = []
        while (message := self.port.recv(0)) is not None:
            answers.append((message.arbitration_id, message.data.hex().upper()))
        return answers


@pytest.fixture
def host(plant: Plant) -> Iterator[Host]:
    host = Host(plant)
    yield host
    host.port.shutdown()


ALL_WRITE, ALL_READ, ONE_READ, ONE_WRITE = 0x02A43FF0, 0x02A33FF0, 0x02A301F0, 0x02A401F0


def test_the_identifier_is_the_documents() -> None:
    assert identifier(0, 0x0A, 0x24, 0x3F, 0xF0) == ALL_WRITE
    assert identifier(0, 0x0A, 0x23, 0x01, 0xF0) == ONE_READ


def test_the_published_vector_sets_750_volts_on_all_and_the_master_echoes(host: Host) -> None:
    assert host.ask(ALL_WRITE, "10010000000B71B0") == [(0x02A4F001, "10010000000B71B0")]
    assert [stage.voltage_set_v for stage in host.plant.world.stages.values()] == [750.0, 750.0]


def test_the_published_vector_sets_16_amperes(host: Host) -> None:
    host.ask(ALL_WRITE, "1102000000003E80")
    assert [stage.current_set_a for stage in host.plant.world.stages.values()] == [16.0, 16.0]
    host.ask(ALL_WRITE, "1002000000003E80")
    assert [stage.current_set_a for stage in host.plant.world.stages.values()] == [8.0, 8.0]


def test_on_off_and_mode_are_echoed_by_every_module(host: Host) -> None:
    assert {ident for ident, _ in host.ask(ALL_WRITE, "21100000000000A1")} == {0x02A4F001, 0x02A4F002}
    assert {stage.mode for stage in host.plant.world.stages.values()} == {INVERTER}
    assert host.ask(ONE_READ, "2110000000000000") == [(0x02A3F001, "21100000000000A1")]
    assert len(host.ask(ALL_WRITE, "11100000000000A0")) == 2
    assert all(stage.on for stage in host.plant.world.stages.values())
    host.ask(ALL_WRITE, "11100000000000A1")
    assert not any(stage.on for stage in host.plant.world.stages.values())


def test_a_mode_change_is_refused_while_on_and_the_referee_hears_of_it(host: Host) -> None:
    host.ask(ALL_WRITE, "11100000000000A0")
    host.plant.referee.waive("mode-change-under-power", "asked for on purpose")
    answers = host.ask(ALL_WRITE, "21100000000000A1")
    assert {ident >> 26 for ident, _ in answers} == {3}
    assert {stage.mode for stage in host.plant.world.stages.values()} == {RECTIFIER}


def test_that_attempt_is_an_objection_without_the_waiver(host: Host) -> None:
    host.ask(ALL_WRITE, "11100000000000A0")
    host.ask(ALL_WRITE, "21100000000000A1")
    with pytest.raises(AssertionError, match="mode-change-under-power"):
        host.plant.referee.check()
    host.plant.referee.objections.clear()


def test_capability_and_count_registers(host: Host) -> None:
    registers = ("1010", "1130", "1131")
    values = {register: host.ask(ONE_READ, register + "000000000000")[0][1][8:] for register in registers}
    assert values == {"1010": "00000002", "1130": "000F4240", "1131": "000249F0"}
    assert host.ask(ONE_READ, "1132000000000000")[0][1] == "1132000000011D28"
    assert host.ask(ONE_READ, "1133000000000000")[0][1] == "1133000001" + "4FB180"


def test_register_11_31_reads_the_minimum_but_writes_the_upper_limit(host: Host) -> None:
    host.ask(ALL_WRITE, "11310000000C0DF0")
    assert host.plant.world.stages["power.1"].upper_v == 790.0
    assert host.ask(ONE_READ, "1131000000000000")[0][1] == "11310000000249F0"
    host.ask(ALL_WRITE, "1132000000055730")
    assert host.plant.world.stages["power.2"].floor_v == 350.0


def test_country_code_is_unwritten_at_first_and_reads_back(host: Host) -> None:
    assert host.plant.world.stages["power.1"].country_code is None
    host.ask(ALL_WRITE, "31C1000000000001")
    assert host.ask(ONE_READ, "31C1000000000000")[0][1] == "31C1000000000001"
    assert host.plant.world.stages["power.2"].country_code == 1
    assert host.ask(ONE_WRITE, "31C1000000000077")[0][0] >> 26 == 3


@pytest.mark.parametrize(
    ("ident", "data", "error"),
    [
        (ONE_READ, "9999000000000000", 2),
        (ONE_WRITE, "9999000000000000", 2),
        (ONE_WRITE, "11100000000000A7", 3),
        (ONE_WRITE, "1001000001000000", 3),
        (ONE_WRITE, "1102000000FFFFFF", 3),
        (0x02A101F0, "1001000000000000", 2),
    ],
)
def test_wrong_requests_are_answered_with_their_error(host: Host, ident: int, data: str, error: int) -> None:
    ((answer, _),) = host.ask(ident, data)
    assert answer >> 26 == error


@pytest.mark.parametrize("ident", [0x02A307F0, 0x02A30100, 0x007501F0, 0x02E301F0])
def test_frames_for_others_are_met_with_silence(host: Host, ident: int) -> None:
    assert host.ask(ident, "1130000000000000") == []


def test_group_device_code_is_accepted_for_broadcast(host: Host) -> None:
    assert [ident for ident, _ in host.ask(0x02E43FF0, "10010000000B71B0")] == [0x02E4F001]


def test_a_module_feeds_on_for_ten_seconds_after_its_master_died_and_then_stops(host: Host) -> None:
    stage = host.plant.world.stages["power.1"]
    host.ask(ALL_WRITE, "10010000000493E0")
    host.ask(ALL_WRITE, "11020000000007D0")
    host.ask(ALL_WRITE, "11100000000000A0")
    host.plant.step(9.9)
    assert stage.on
    assert host.plant.world.link_v == pytest.approx(300.0, abs=0.1)
    host.plant.step(0.2)
    assert not stage.on
    assert int(host.ask(ONE_READ, "1110000000000000")[0][1], 16) >> 8 & 0x81 == 0x81


def test_a_module_left_alone_says_so_until_somebody_has_talked_to_it_for_a_second(host: Host) -> None:
    def interrupted() -> bool:
        return bool(int(host.ask(ONE_READ, "1110000000000000")[0][1], 16) >> 8 & 0x80)

    assert not interrupted()
    host.plant.step(10.1)
    assert interrupted()
    assert interrupted()
    for _ in range(6):
        host.plant.step(0.3)
        said = interrupted()
    assert not said


def test_voltage_and_current_are_read_in_milli_units_and_as_magnitude(host: Host) -> None:
    world = host.plant.world
    host.ask(ALL_WRITE, "10010000000493E0")
    host.ask(ALL_WRITE, "11020000000007D0")
    host.ask(ALL_WRITE, "11100000000000A0")
    host.plant.step(1.5)
    answer = host.ask(ONE_READ, "1101000000000000")[0][1]
    assert int(answer[8:], 16) == pytest.approx(300_000, abs=50)
    world.stages["power.1"].current_a = -5.0
    module = host.plant.rack.modules[0]
    assert module.obey(0x23, 0x1102, 0)[1] == 5000


def test_faults_of_a_module(host: Host) -> None:
    plant = host.plant
    plant.inject("power.1", "silent")
    assert host.ask(ONE_READ, "1130000000000000") == []
    assert [ident for ident, _ in host.ask(ALL_WRITE, "10010000000B71B0")] == [0x02A4F002]
    plant.clear("power.1")
    plant.inject("power.1", "disconnected")
    host.ask(ALL_WRITE, "1001000000055730")
    assert [stage.voltage_set_v for stage in plant.world.stages.values()] == [750.0, 350.0]
    plant.clear()
    plant.inject("power.1", "mode_ignored")
    assert len(host.ask(ALL_WRITE, "21100000000000A1")) == 2
    assert host.ask(ONE_READ, "2110000000000000")[0][1].endswith("A0")
    plant.clear()
    plant.inject("power.1", "mode_refused")
    assert host.ask(ONE_WRITE, "21100000000000A1")[0][0] >> 26 == 3
    plant.clear()
    plant.inject("power.1", "late", delay_s=0.2)
    assert host.ask(ONE_READ, "1130000000000000") == []
    plant.step(0.2)
    assert host.port.recv(0) is not None
    plant.clear()
    plant.inject("power.1", "reset")
    assert host.ask(ONE_READ, "1130000000000000")[0][0] >> 26 == 7
    plant.step(1.0)
    assert host.ask(ONE_READ, "1130000000000000")[0][0] >> 26 == 0


def test_a_module_that_ignores_set_points_echoes_them_feeds_on_as_before_and_still_obeys_off(host: Host) -> None:
    stage = host.plant.world.stages["power.1"]
    host.ask(ALL_WRITE, "10010000000493E0")
    host.ask(ALL_WRITE, "11020000000007D0")
    host.ask(ALL_WRITE, "11100000000000A0")
    host.plant.inject("power.1", "setpoint_ignored")
    assert host.ask(ONE_WRITE, "1102000000000000") == [(0x02A4F001, "1102000000000000")]
    host.ask(ONE_WRITE, "1101000000000000")
    assert (stage.voltage_set_v, stage.current_set_a) == (300.0, 2.0)
    host.ask(ALL_WRITE, "11100000000000A1")
    assert not stage.on
    host.plant.clear()
    host.ask(ONE_WRITE, "1102000000000000")
    assert stage.current_set_a == 0.0


def test_a_tripped_module_is_off_and_cannot_be_switched_on(host: Host) -> None:
    host.ask(ALL_WRITE, "11100000000000A0")
    host.plant.inject("power.1", "trip")
    host.plant.step(0.02)
    assert not host.plant.world.stages["power.1"].on
    assert host.ask(ONE_WRITE, "11100000000000A0")[0][0] >> 26 == 3
    assert int(host.ask(ONE_READ, "1110000000000000")[0][1], 16) >> 8 & 2
