"""Whatever arrives on the cable: the daemon answers as the protocol says, lives, and serves the next car."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from evse_controller.messages import Message, decode, encode
from evse_controller.messages.base import Schema
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.app_protocol import AppProtocol, SupportedAppProtocolReq
from evse_controller.messages.generated.common_types import MessageHeader, ResponseCode
from hil.bench import START_UTC_S, Bench, Setting
from hil.evcc import sdp_request
from hil.evcc.wire import APP_PROTOCOL, COMMON, frame
from hil.evcc_net import discover
from tests.e2e.support import vehicle

DC = "urn:iso:std:iso:15118:-20:DC"
SAP = frame(APP_PROTOCOL, encode(SupportedAppProtocolReq([AppProtocol(DC, 1, 0, 1, 1)])))
_NO_SESSION = bytes(8)


def _setup(session_id: bytes = _NO_SESSION) -> bytes:
    header = MessageHeader(session_id=session_id, time_stamp=START_UTC_S)
    return frame(COMMON, encode(cm.SessionSetupReq(header=header, evccid="ROGUE")))


def _authorization_setup(session_id: bytes) -> bytes:
    header = MessageHeader(session_id=session_id, time_stamp=START_UTC_S)
    return frame(COMMON, encode(cm.AuthorizationSetupReq(header=header)))


class Peer:
    """A connection that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, bench: Bench) -> Peer:
        await asyncio.sleep(0.15)  # the station takes ten connections a second
        return cls(*await bench.connect())

    async def answer(self, schema: Schema) -> Message:
        async with asyncio.timeout(5.0):
            header = await self.reader.readexactly(8)
            return decode(schema, await self.reader.readexactly(int.from_bytes(header[4:], "big")))

    async def begin(self) -> bytes:
        """Up to the assigned session id."""
        self.writer.write(SAP + _setup())  # two frames in one segment
        await self.answer(Schema.APP_PROTOCOL)
        response = await self.answer(Schema.ISO20_COMMON)
        assert isinstance(response, cm.SessionSetupRes)
        assert response.response_code is ResponseCode.OK_NewSessionEstablished
        return response.header.session_id

    async def ended(self) -> bool:
        async with asyncio.timeout(10.0):
            try:
                while await self.reader.read(4096):
                    pass
            except ConnectionError:
                pass
        return True

    def leave(self) -> None:
        self.writer.close()


async def _rogues(bench: Bench) -> None:
    absurd = await Peer.to(bench)
    absurd.writer.write(b"\x01\xfe\x80\x01\x7f\xff\xff\xff" + bytes(64))
    assert await absurd.ended()

    malformed = await Peer.to(bench)
    malformed.writer.write(frame(APP_PROTOCOL, bytes.fromhex("80ffffffffffffff")))
    assert await malformed.ended()

    split = await Peer.to(bench)
    for index in range(len(SAP)):
        split.writer.write(SAP[index : index + 1])
        await asyncio.sleep(0.002)
    await split.answer(Schema.APP_PROTOCOL)
    split.leave()

    stranger = await Peer.to(bench)
    await stranger.begin()
    stranger.writer.write(_authorization_setup(bytes(range(8))))
    refused = await stranger.answer(Schema.ISO20_COMMON)
    assert isinstance(refused, cm.AuthorizationSetupRes)
    assert refused.response_code is ResponseCode.FAILED_UnknownSession
    assert await stranger.ended()

    gibberish = await Peer.to(bench)
    session_id = await gibberish.begin()
    gibberish.writer.write(frame(0x8123, b"never heard of it"))  # unknown payload type: ignored
    gibberish.writer.write(_authorization_setup(session_id))
    answered = await gibberish.answer(Schema.ISO20_COMMON)
    assert isinstance(answered, cm.AuthorizationSetupRes)
    assert answered.response_code is ResponseCode.OK
    gibberish.writer.write(frame(COMMON, bytes.fromhex("80fe00112233")))  # no message of the schema
    assert await gibberish.ended()


async def _flood(bench: Bench) -> None:
    options = bench.net_options(tls=False)
    index = options.host.index(options.interface) if options.interface else 0
    with bench.vehicle_socket(socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        if index:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        target = ("ff02::1" if index else "::1", bench.sdp_port, 0, index)
        for number in range(4000):
            try:
                sender.sendto(sdp_request(tls=False) if number % 2 else bytes(number % 60), target)
            except BlockingIOError:
                await asyncio.sleep(0.001)
            if number % 50 == 0:
                await asyncio.sleep(0.001)


async def test_bad_input_stops_nothing(tmp_path: Path) -> None:
    async with Bench(tmp_path, Setting(lab=("lab-tcp",))) as bench:
        await bench.start()
        bench.plug()
        await bench.until_status(lambda s: s["outlet"]["pilot"] == "B", "the plug seen")
        await _rogues(bench)
        await _flood(bench)
        silent = [await Peer.to(bench) for _ in range(2)]  # half-open: connected, and not a word
        assert (await discover(bench.net_options())).port
        session = bench.charge(vehicle())
        await bench.until(lambda: bench.power_w > 5_000.0 or session.task.done(), "a car charges after all that")
        await _flood(bench)
        assert bench.power_w > 5_000.0
        session.evcc.request_stop("enough")
        outcome = await bench.outcome(session)
        assert outcome.completed, await bench.story()
        for peer in silent:
            peer.leave()
        records = await bench.call("session.list")
        assert [record["evccid"] for record in records] == ["EVLAB0000000001", "ROGUE", "ROGUE"]
        assert all(record["ended_utc_s"] and record["end_reason"] for record in records)
        assert {record["lab_switches"] for record in records} == {"lab-tcp"}
        assert [record["charged_wh"] for record in records[1:]] == [0.0, 0.0]
        status = await bench.call("status")
        assert status["lab"] == ["lab-tcp"]
        assert status["faults"] == []
        assert "LAB SWITCH lab-tcp IS ON" in bench.log()
        assert "Traceback" not in bench.log()
