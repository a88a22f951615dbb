"""The server with the real protocol core above it: negotiation, the delayed close, lost and wrong frames."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace

from evse_controller.messages import decode, encode
from evse_controller.messages.base import Schema
from evse_controller.messages.generated.app_protocol import (
    AppProtocol,
    SupportedAppProtocolReq,
    SupportedAppProtocolRes,
)
from evse_controller.net.ports import ConnectionFactory, LinkInfo, V2gConnection
from evse_controller.net.tls import Side
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.connection import Connection
from evse_controller.secc.iso20.timers import Timers
from evse_controller.secc.reply import Transport
from evse_controller.secc.v2gtp import HEADER_LENGTH, PayloadType, encode_frame
from tests.net.conftest import PkiMaker
from tests.net.support import PlainClient, TlsClient, serving, tls_context

DC = "urn:iso:std:iso:15118:-20:DC"
CONFIG = SeccConfig(timers=Timers(close_after_failed_s=0.2))


def factory(config: SeccConfig) -> ConnectionFactory:
    def make(link: LinkInfo) -> V2gConnection:
        transport = Transport.TLS_1_3_MUTUAL if link.tls else Transport.TCP
        return Connection(config, transport, secrets.token_bytes, link.opened_s, link.setup_deadline_s)

    return make


def offer(namespace: str) -> bytes:
    request = SupportedAppProtocolReq([AppProtocol(namespace, 1, 0, 7, 1)])
    return encode_frame(PayloadType.APP_PROTOCOL, encode(request))


async def answer(client: PlainClient | TlsClient) -> SupportedAppProtocolRes:
    header = await client.receive(HEADER_LENGTH)
    response = decode(Schema.APP_PROTOCOL, await client.receive(int.from_bytes(header[4:], "big")))
    assert isinstance(response, SupportedAppProtocolRes)
    return response


def test_dc_is_negotiated_over_mutual_tls(lab: PkiMaker) -> None:
    async def test() -> None:
        pki = lab("strict")
        async with serving(tls_context(pki, Side.SERVER), make=factory(CONFIG)) as bench:
            client = await TlsClient.connect(bench.server, tls_context(pki, Side.CLIENT))
            await client.send(offer(DC))
            response = await answer(client)
            assert (response.response_code.name, response.schema_id) == ("OK_SuccessfulNegotiation", 7)
            client.close()

    asyncio.run(test())


def test_minus_20_is_not_served_on_plain_tcp_without_its_switch() -> None:
    """[V2G20-2356]; the response is readable before TCP is closed in time."""

    async def test() -> None:
        async with serving(make=factory(CONFIG)) as bench:
            client = await PlainClient.connect(bench.server)
            began_s = time.monotonic()
            await client.send(offer(DC))
            assert (await answer(client)).response_code.name == "Failed_NoNegotiation"
            assert await client.closed()
            assert 0.15 < time.monotonic() - began_s < 3.0

    asyncio.run(test())


def test_ignored_frames_leave_the_connection_usable() -> None:
    """Bad version, unknown payload type, length zero: no answer, no harm."""

    async def test() -> None:
        async with serving(make=factory(replace(CONFIG, lab_tcp=True))) as bench:
            client = await PlainClient.connect(bench.server)
            for bad in ("02FE800100000000", "01FD800100000001FF", "01FE77770000000401020304", "01FE800100000000"):
                await client.send(bytes.fromhex(bad))
            await client.send(offer(DC))
            assert (await answer(client)).schema_id == 7
            client.close()

    asyncio.run(test())


def test_set_up_time_ends_a_connection_that_negotiates_nothing() -> None:
    async def test() -> None:
        async with serving(make=factory(replace(CONFIG, lab_tcp=True)), communication_setup_s=0.3) as bench:
            client = await PlainClient.connect(bench.server)
            await client.send(offer(DC))
            await answer(client)
            assert await client.closed()
            assert not bench.server.enabled

    asyncio.run(test())
