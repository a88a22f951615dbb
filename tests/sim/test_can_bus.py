"""The bus carries what its bit rate allows, in the order of identifiers, and says when more is asked of it."""

from __future__ import annotations

import can
import pytest

from hal.channel import memory_pair
from hal.sim.can_bus import CanBus, Frame, frame_bits
from hal.sim.can_gateway import SlcanGateway
from hal.sim.plant import Plant


def ext(identifier: int, data: str = "") -> Frame:
    return Frame(identifier, bytes.fromhex(data))


def test_frame_lengths_without_stuffing_are_those_of_the_standard() -> None:
    # 67 fixed bits and the data for extended frames, 47 for standard ones, including three bits of interframe space.
    assert 67 + 64 <= frame_bits(ext(0x02A43FF0, "10010000000B71B0")) <= 67 + 64 + 29
    assert 47 <= frame_bits(Frame(0x555, b"", extended=False)) <= 47 + 8
    assert frame_bits(ext(0x0AAAAAAA, "AA" * 8)) < frame_bits(ext(0, "00" * 8))


def test_five_equal_bits_are_stuffed() -> None:
    # Identifier 0 with data length 0: 18 dominant bits, one recessive, ... counted by hand from ISO 11898-1:
    # SOF+11+RTR+IDE+r0+DLC = 19 dominant bits and a CRC of 15 dominant bits: 34 bits, a stuff bit after every 5th,
    # the stuff bit itself counting as the first of the next run only when the next bit equals it (it never does here
    # in a run of zeros: 5 zeros, a one, 5 zeros, ...): 34 // 5 = 6 stuff bits.
    assert frame_bits(Frame(0, b"", extended=False)) == 34 + 6 + 13


def test_a_frame_takes_its_bits() -> None:
    bus = CanBus(125_000)
    heard: list[float] = []
    bus.attach("ear", lambda frame, at_s: heard.append(at_s))
    mouth = bus.attach("mouth", lambda frame, at_s: None)
    frame = ext(0x02A301F0, "1101000000000000")
    mouth.send(frame, 1.0)
    end_s = 1.0 + frame_bits(frame) / 125_000
    bus.poll(end_s - 1e-6)
    assert heard == []
    bus.poll(end_s + 1e-6)
    assert heard == [pytest.approx(end_s)]


def test_the_lowest_identifier_wins_and_a_node_keeps_its_own_order() -> None:
    bus = CanBus()
    order: list[int] = []
    bus.attach("ear", lambda frame, at_s: order.append(frame.identifier))
    left, right = bus.attach("left", lambda f, t: None), bus.attach("right", lambda f, t: None)
    for identifier in (0x300, 0x100):
        left.send(ext(identifier), 1.0)
    for identifier in (0x200, 0x400):
        right.send(ext(identifier), 1.0)
    bus.poll(2.0)
    assert order == [0x200, 0x300, 0x100, 0x400]


def test_a_standard_frame_beats_the_extended_one_with_the_same_start() -> None:
    bus = CanBus()
    order: list[bool] = []
    bus.attach("ear", lambda frame, at_s: order.append(frame.extended))
    left, right = bus.attach("left", lambda f, t: None), bus.attach("right", lambda f, t: None)
    left.send(ext(0x123 << 18), 1.0)
    right.send(Frame(0x123, b"", extended=False), 1.0)
    bus.poll(2.0)
    assert order == [False, True]


def test_the_bit_rate_is_enforced_and_load_reported() -> None:
    bus = CanBus(125_000)
    count = 0

    def heard(frame: Frame, at_s: float) -> None:
        nonlocal count
        count += 1

    bus.attach("ear", heard)
    mouth = bus.attach("mouth", lambda f, t: None, depth=10_000)
    frame = ext(0x02A301F0, "1101000000000000")
    for _ in range(2000):
        mouth.send(frame, 1.0)
    bus.poll(2.0)
    assert count == int(125_000 / frame_bits(frame))
    assert bus.load == pytest.approx(1.0, abs=0.01)


def test_an_overrun_is_an_event_once_per_episode_and_a_full_queue_loses_frames() -> None:
    complaints: list[str] = []
    bus = CanBus(125_000, lambda detail, at_s: complaints.append(detail))
    mouth = bus.attach("mouth", lambda f, t: None, depth=5)
    assert [mouth.send(ext(1), 1.0) for _ in range(6)] == [True] * 5 + [False]
    assert mouth.lost == 1
    assert complaints == ["queue of mouth is full (5 frames)"]
    complaints.clear()
    at_s = 2.0
    for _ in range(1500):
        at_s += 0.0005
        mouth.send(ext(1, "55" * 8), at_s)
        bus.poll(at_s)
    assert sum("bits offered" in complaint for complaint in complaints) == 1


def test_a_dead_bus_carries_nothing() -> None:
    bus = CanBus()
    heard: list[Frame] = []
    bus.attach("ear", lambda frame, at_s: heard.append(frame))
    mouth = bus.attach("mouth", lambda f, t: None)
    bus.dead = True
    mouth.send(ext(1), 1.0)
    bus.poll(2.0)
    assert heard == []


def test_slcan_passes_frames_only_when_opened_at_the_bus_bit_rate() -> None:
    bus = CanBus(125_000)
    host, adapter = memory_pair()
    heard: list[Frame] = []
    ear = bus.attach("ear", lambda frame, at_s: heard.append(frame))
    gateway = SlcanGateway(bus, adapter)

    def say(text: str, at_s: float) -> None:
        host.write(text.encode())
        gateway.poll(at_s)
        bus.poll(at_s + 0.01)

    say("T02A43FF0810010000000B71B0\r", 1.0)
    assert heard == []
    say("O\rT02A43FF0810010000000B71B0\r", 1.5)  # python-can's backend and ours set a rate first
    assert heard == []
    assert host.read() == b"\a"
    say("C\rS6\rO\rT02A43FF0810010000000B71B0\r", 2.0)
    assert heard == []
    say("C\rS4\rO\rT02A43FF0810010000000B71B0\r", 3.0)
    assert heard == [ext(0x02A43FF0, "10010000000B71B0")]
    ear.send(ext(0x02A3F001, "1101000000061A80"), 4.0)
    bus.poll(4.1)
    assert host.read() == b"T02A3F00181101000000061A80\r"
    say("S6\r", 5.0)
    assert host.read() == b"\a"


BAD = ("T02A43FF08100100\r", "T\r", "Tzzzzzzzz0\r", "t8001FF\r", "TFFFFFFFF0\r", "T000000019\r")


@pytest.mark.parametrize("text", BAD)
def test_malformed_slcan_is_refused_with_a_bell(text: str) -> None:
    host, adapter = memory_pair()
    gateway = SlcanGateway(CanBus(), adapter)
    host.write(b"S4\rO\r" + text.encode())
    gateway.poll(1.0)
    assert host.read() == b"\a"


def test_a_python_can_virtual_channel_joins_the_bus(plant: Plant) -> None:
    with can.Bus(interface="virtual", channel=plant.virtual_can) as port:
        port.send(can.Message(arbitration_id=0x02A301F0, data=bytes.fromhex("1130000000000000"), is_extended_id=True))
        plant.step(0.02)
        answer = port.recv(0)
        assert answer is not None
        assert answer.arbitration_id == 0x02A3F001
        assert answer.data.hex() == "11300000000f4240"
