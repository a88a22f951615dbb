"""Ways for a controller to reach the simulated CAN bus: python-can's `virtual` in process, slcan text over bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hal.channel import ByteChannel
from hal.sim.can_bus import CanBus, Frame

if TYPE_CHECKING:
    import can

_BITRATES = {"S0": 10, "S1": 20, "S2": 50, "S3": 100, "S4": 125, "S5": 250, "S6": 500, "S7": 750, "S8": 1000}


class VirtualGateway:
    """Joins python-can's in-process bus `channel`; the controller opens `can.Bus(interface="virtual", channel=...)`."""

    def __init__(self, bus: CanBus, channel: str) -> None:
        import can

        self._now_s = 0.0
        self._port: can.BusABC = can.Bus(interface="virtual", channel=channel)
        self._node = bus.attach("controller", self._deliver)

    def poll(self, now_s: float) -> None:
        self._now_s = now_s
        while (message := self._port.recv(0)) is not None:
            if not message.is_remote_frame and not message.is_error_frame:
                frame = Frame(message.arbitration_id, bytes(message.data), message.is_extended_id)
                self._node.send(frame, now_s)

    def _deliver(self, frame: Frame, at_s: float) -> None:
        import can

        self._port.send(
            can.Message(
                timestamp=at_s,
                arbitration_id=frame.identifier,
                data=frame.data,
                is_extended_id=frame.extended,
            )
        )

    def close(self) -> None:
        self._port.shutdown()


class SlcanGateway:
    """A serial CAN adapter (LAWICEL text). Nothing passes before `O`, or at another bit rate than the bus's (`S4` is
    125 kbit/s). As the protocol has it, `O` wants a bit rate first and `S` a closed channel; else the answer is BEL.

    It does not acknowledge frames, as CANable-type adapters do not.
    """

    def __init__(self, bus: CanBus, channel: ByteChannel) -> None:
        self._bus = bus
        self._channel = channel
        self._node = bus.attach("controller", self._deliver)
        self._line = bytearray()
        self._bitrate: int | None = None
        self.opened = False
        self.refused = 0

    def poll(self, now_s: float) -> None:
        self._line += self._channel.read()
        while (end := self._line.find(b"\r")) >= 0:
            command = self._line[:end].decode("ascii", "replace")
            del self._line[: end + 1]
            self._obey(command, now_s)

    @property
    def _passes(self) -> bool:
        return self.opened and self._bitrate == self._bus.bitrate

    def _obey(self, command: str, now_s: float) -> None:
        if command in _BITRATES and not self.opened:
            self._bitrate = _BITRATES[command] * 1000
        elif command == "O" and not self.opened and self._bitrate is not None:
            self.opened = True
        elif command in _BITRATES or command == "O":
            self._refuse()
        elif command == "C":
            self.opened = False
        elif command == "V":
            self._channel.write(b"V1013\r")
        elif command == "N":
            self._channel.write(b"NSIM1\r")
        elif command[:1] in ("T", "t"):
            frame = _parse(command)
            if frame is None:
                self._refuse()
            elif self._passes:
                self._node.send(frame, now_s)

    def _refuse(self) -> None:
        self.refused += 1
        self._channel.write(b"\a")

    def _deliver(self, frame: Frame, at_s: float) -> None:
        if self._passes:
            head = f"T{frame.identifier:08X}" if frame.extended else f"t{frame.identifier:03X}"
            self._channel.write(f"{head}{len(frame.data)}{frame.data.hex().upper()}\r".encode("ascii"))

    def close(self) -> None:
        self._channel.close()


def _parse(command: str) -> Frame | None:
    digits = 8 if command[0] == "T" else 3
    try:
        identifier = int(command[1 : 1 + digits], 16)
        length = int(command[1 + digits])
        data = bytes.fromhex(command[2 + digits :])
    except (ValueError, IndexError):
        return None
    if len(data) != length or length > 8 or identifier >= 1 << (29 if digits == 8 else 11):
        return None
    return Frame(identifier, data, digits == 8)
