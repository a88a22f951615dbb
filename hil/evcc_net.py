"""The vehicle on real sockets: SDP, TCP or TLS 1.3 mutual, and the message log with the station's latencies."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from evse_controller.net.tls import Handshake, TlsContext, TlsEngine, TlsError
from hil.evcc import Close, Evcc, Exchange, Output, SdpResponse, Send, parse_sdp_response, sdp_request
from hil.evcc.wire import SDP_GROUP, SDP_PORT, WireError

SDP_ATTEMPTS, SDP_PERIOD_S = 50, 0.25
_READ_SIZE = 65536
_OUTSTANDING = 32  # a side stream's request may be answered after some loops


class DiscoveryFailed(ConnectionError):
    """No station answered, or none with the wanted security."""


class Host(Protocol):
    """Where the vehicle's sockets live: this process's own network, or one side of `hil.netns.Link`."""

    def socket(self, kind: socket.SocketKind) -> socket.socket: ...

    def index(self, interface: str) -> int: ...


class ThisHost:
    def socket(self, kind: socket.SocketKind) -> socket.socket:
        return socket.socket(socket.AF_INET6, kind)

    def index(self, interface: str) -> int:
        return socket.if_nametoindex(interface)


@dataclass(frozen=True, slots=True)
class NetOptions:
    """Where to look for the station. With `interface`: SDP by multicast on it; with `direct` (an IPv6 address): SDP by
    unicast to that address. `sdp_port` other than 15118 only in tests. `tls` None means plain TCP (lab). `host` opens
    the sockets.
    """

    interface: str | None = None
    direct: str | None = None
    sdp_port: int = SDP_PORT
    tls: TlsContext | None = None
    sdp_attempts: int = SDP_ATTEMPTS
    host: Host = field(default_factory=ThisHost)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the session went. `exchanges` is the message log with send and receive times in control seconds."""

    failure: str | None
    reason: str
    exchanges: tuple[Exchange, ...]
    station: SdpResponse
    tls_suite: str | None
    tls_group: str | None

    @property
    def completed(self) -> bool:
        return self.failure is None

    def latencies_s(self, request: str | None = None) -> list[float]:
        """Request-to-response times, of one request type (element name) or of all."""
        return [
            exchange.latency_s for exchange in self.exchanges
            if exchange.latency_s is not None and request in (None, exchange.request.ELEMENT)
        ]


async def discover(options: NetOptions) -> SdpResponse:
    """Ask up to 50 times, 250 ms apart [V2G20 SDP]. Raises DiscoveryFailed; answers of a kind not asked for count not.

    A station that offers no TLS when TLS was asked for is refused: this vehicle speaks -20 over TLS unless told plain.
    """
    loop = asyncio.get_running_loop()
    wants_tls = options.tls is not None
    index = options.host.index(options.interface) if options.interface else 0
    refused = None
    with options.host.socket(socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        if index:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, struct.pack("@I", index))
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
        target = (options.direct or SDP_GROUP, options.sdp_port, 0, index)
        for _ in range(options.sdp_attempts):
            await loop.sock_sendto(sender, sdp_request(wants_tls), target)
            try:
                data = await asyncio.wait_for(loop.sock_recv(sender, 2048), SDP_PERIOD_S)
                response = parse_sdp_response(data)
            except TimeoutError:
                continue
            except (WireError, ConnectionRefusedError):
                await asyncio.sleep(SDP_PERIOD_S)
                continue
            if response.tls is wants_tls:
                return response
            refused = "with TLS" if response.tls else "without TLS"
            await asyncio.sleep(SDP_PERIOD_S)
    raise DiscoveryFailed(
        f"the station answers only {refused}" if refused else f"no station answered {options.sdp_attempts} SDP requests"
    )


async def connect(options: NetOptions, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A TCP connection to the station from where `options` say. Raises OSError."""
    local = options.interface is not None and ipaddress.IPv6Address(address).is_link_local
    scope = options.host.index(options.interface) if local and options.interface else 0
    sock = options.host.socket(socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (address, port, 0, scope))
    except BaseException:
        sock.close()
        raise
    return await asyncio.open_connection(sock=sock)


class Client:
    """Carries one `Evcc` over one connection. `now_s` is the control clock; `on_exchange` is called when a request has
    been answered, `on_open` once the connection (with TLS: the handshake) stands."""

    def __init__(
        self, evcc: Evcc, options: NetOptions, *, now_s: Callable[[], float] = time.monotonic,
        on_exchange: Callable[[Exchange], None] | None = None, on_open: Callable[[str], None] | None = None,
    ) -> None:
        self._evcc = evcc
        self._options = options
        self._now_s = now_s
        self._on_exchange = on_exchange
        self._on_open = on_open
        self._engine: TlsEngine | None = options.tls.engine() if options.tls else None
        self._reason = "the station closed the connection"

    async def run(self) -> Outcome:
        """Discover, connect, charge, leave. Raises DiscoveryFailed, OSError or TlsError when no session came about."""
        station = await discover(self._options)
        address = str(station.address)
        reader, writer = await connect(self._options, address, station.port)
        if self._options.interface:
            address += f"%{self._options.interface}"
        engine = self._engine
        try:
            if engine is not None:
                await asyncio.wait_for(self._handshake(engine, reader, writer), 5.0)
            if self._on_open is not None:
                self._on_open(f"{address} port {station.port}" + (f", {engine.suite}" if engine else ", plain TCP"))
            await self._converse(reader, writer)
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except ConnectionError:
                self._reason += " (connection was reset)"
        return Outcome(
            self._evcc.failure, self._reason, tuple(self._evcc.exchanges), station,
            engine.suite if engine else None, engine.group if engine else None,
        )

    async def _handshake(
        self, engine: TlsEngine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            writer.write(engine.take_ciphertext())
            await writer.drain()
            if engine.state is not Handshake.RUNNING:
                return
            data = await reader.read(_READ_SIZE)
            if not data:
                raise TlsError("the station closed the connection during the handshake")
            try:
                engine.feed(data)
            except TlsError:
                writer.write(engine.take_ciphertext())  # the alert that says why
                raise

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        evcc, engine = self._evcc, self._engine
        open_ = await self._carry_out(evcc.start(self._now_s()), writer)
        if engine is not None and (early := engine.read()):
            open_ = await self._carry_out(evcc.receive(early, self._now_s()), writer) and open_
        read: asyncio.Task[bytes] | None = None
        try:
            while open_:
                read = read or asyncio.ensure_future(reader.read(_READ_SIZE))
                deadline_s = evcc.deadline_s
                wait_s = None if deadline_s is None else max(0.0, deadline_s - self._now_s())
                await asyncio.wait({read}, timeout=wait_s)
                now_s = self._now_s()
                if not read.done():
                    open_ = await self._carry_out(evcc.on_timer(now_s), writer)
                    continue
                data, read = self._result(read), None
                if engine is not None and data:
                    engine.feed(data)
                    writer.write(engine.take_ciphertext())
                    data = engine.read() if engine.state is Handshake.DONE else b""
                    if not data and engine.state is Handshake.DONE:
                        continue  # a TLS record without content of ours, e.g. a session ticket
                if not data:
                    await self._after_close(evcc.connection_lost(now_s), writer)
                    return
                asked = [exchange for exchange in evcc.exchanges[-_OUTSTANDING:] if exchange.response is None]
                open_ = await self._carry_out(evcc.receive(data, now_s), writer)
                for exchange in asked:
                    if self._on_exchange is not None and exchange.response is not None:
                        self._on_exchange(exchange)
        finally:
            if read is not None:
                read.cancel()

    @staticmethod
    def _result(read: asyncio.Task[bytes]) -> bytes:
        try:
            return read.result()
        except ConnectionError:
            return b""

    async def _after_close(self, outputs: list[Output], writer: asyncio.StreamWriter) -> None:
        """The station is gone; the vehicle still brings itself into a safe state."""
        open_ = await self._carry_out(outputs, writer)
        while open_ and self._evcc.deadline_s is not None:
            await asyncio.sleep(max(0.0, self._evcc.deadline_s - self._now_s()))
            open_ = await self._carry_out(self._evcc.on_timer(self._now_s()), writer)

    async def _carry_out(self, outputs: list[Output], writer: asyncio.StreamWriter) -> bool:
        """False when the vehicle has closed."""
        for output in outputs:
            if isinstance(output, Send):
                self._write(output.data, writer)
            elif isinstance(output, Close):
                self._reason = output.reason
                if self._engine is not None and self._engine.state is Handshake.DONE:
                    self._engine.close()
                    writer.write(self._engine.take_ciphertext())
                return False
        return True

    def _write(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        if self._engine is not None:
            self._engine.write(data)
            data = self._engine.take_ciphertext()
        writer.write(data)
