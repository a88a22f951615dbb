"""A fake V2G connection, recording hooks, and small clients for tests of the network edge."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from certs import LabPki, Role
from evse_controller.model.commands import AuthorizationRequested, Command
from evse_controller.model.snapshot import EvseSnapshot, Notification
from evse_controller.net.capture import Capture
from evse_controller.net.coder import Coder
from evse_controller.net.ports import LinkInfo, NetEvent, V2gConnection
from evse_controller.net.server import ServerConfig, V2gServer
from evse_controller.net.tls import (
    PROFILES,
    Handshake,
    Side,
    TlsContext,
    TlsEngine,
    TlsError,
    load_credential,
    load_roots,
)
from evse_controller.secc.coding import Coded, Work
from evse_controller.secc.v2gtp import FrameReader, encode_frame

MAINSTREAM = 0x8002


def frame(payload: bytes) -> bytes:
    return encode_frame(MAINSTREAM, payload)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


async def until(condition: Any, timeout_s: float = 2.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "condition not met in time"
        await asyncio.sleep(0.005)


@dataclass
class FakeOutput:
    data: bytes | None = None
    commands: Sequence[Command] = ()
    close: object | None = None
    work: Work | None = None
    beside: bool = False


@dataclass
class FakeConnection:
    """Answers each frame with its payload reversed. `stop` ends with a lingering close, `bye` closes at once."""

    link: LinkInfo
    log: list[str] = field(default_factory=list)
    state_name: str = "Running"
    session_id: str | None = None
    next_deadline_s: float | None = None
    reader: FrameReader = field(default_factory=FrameReader)
    behave: Callable[[FakeConnection, bytes], FakeOutput] | None = None
    frames: int = 0

    def receive(self, data: bytes, snapshot: Any, now_s: float) -> list[FakeOutput]:
        outputs = []
        for got in self.reader.feed(data):
            self.frames += 1
            if self.behave is not None:
                outputs.append(self.behave(self, got.payload))
                continue
            if got.payload == b"stop":
                self.state_name = "Ended"
            close = "bye" if got.payload == b"bye" else None
            outputs.append(FakeOutput(frame(got.payload[::-1]), (AuthorizationRequested(),), close))
        if self.reader.broken:
            outputs.append(FakeOutput(close=self.reader.broken))
        return outputs

    def coded(self, work: Work, result: Coded, snapshot: Any, now_s: float) -> list[FakeOutput]:
        self.log.append("coded")
        assert isinstance(result, bytes)
        return [FakeOutput(frame(result))]

    def on_sent(self, now_s: float) -> None:
        self.log.append("sent")

    def on_timer(self, now_s: float, snapshot: Any) -> list[FakeOutput]:
        if self.next_deadline_s is None or now_s < self.next_deadline_s:
            return []
        self.next_deadline_s = None
        self.log.append("timer")
        return [FakeOutput(close="timeout")]

    def never_served(self, wanted: Notification, snapshot: EvseSnapshot) -> str | None:
        return None

    def on_disconnect(self, now_s: float) -> list[FakeOutput]:
        self.log.append("disconnect")
        return []

    def abort(self, reason: str, now_s: float) -> list[FakeOutput]:
        self.log.append(f"abort {reason}")
        return [FakeOutput(close=reason)]


@dataclass
class Recorder:
    """Hooks that remember everything."""

    events: list[NetEvent] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    took_s: list[float | None] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    def now_s(self) -> float:
        return time.monotonic()

    def snapshot(self) -> Any:
        return None

    def on_commands(self, commands: Sequence[Command]) -> None:
        self.commands += commands
        self.order.append("commands")

    def on_output(self, link: LinkInfo, output: Any, took_s: float | None) -> None:
        self.outputs.append(output)
        self.took_s.append(took_s)
        self.order.append("told")

    def on_event(self, event: NetEvent) -> None:
        self.events.append(event)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def text(self, kind: str) -> str:
        return "\n".join(event.text for event in self.events if event.kind == kind)


@dataclass
class Bench:
    """A running server with what it talked to."""

    server: V2gServer
    hooks: Recorder
    connections: list[FakeConnection]

    @property
    def last(self) -> FakeConnection:
        return self.connections[-1]


def tls_context(pki: LabPki, side: Side, profile: str = "strict", *, keylog: bool = False) -> TlsContext:
    role, trust = (Role.SECC, pki.trust_of_secc) if side is Side.SERVER else (Role.VEHICLE, pki.trust_of_vehicle)
    files = pki.files(role)
    credential = load_credential(str(files.chain), str(files.key))
    return TlsContext(side, PROFILES[profile], credential, load_roots(*map(str, trust)), lab_keylog=keylog)


@contextlib.asynccontextmanager
async def serving(
    tls: TlsContext | None = None,
    *,
    make: Callable[[LinkInfo], V2gConnection] | None = None,
    capture: Capture | None = None,
    enable: bool = True,
    coder: Coder | None = None,
    **options: Any,
) -> AsyncIterator[Bench]:
    """A server on ::1 with ephemeral ports; plain TCP when `tls` is None."""
    hooks, connections = Recorder(), []

    def factory(link: LinkInfo) -> V2gConnection:
        if make is not None:
            return make(link)
        connections.append(FakeConnection(link))
        return connections[-1]

    settings = {"address": "::1", "sdp_port": 0, "lab_tcp": tls is None, "max_connects_hz": 1000.0} | options
    server = V2gServer(ServerConfig(**settings), factory, hooks, tls, capture, coder)
    await server.start()
    if enable:
        server.set_enabled(True)
    try:
        yield Bench(server, hooks, connections)
    finally:
        await server.stop()
        await asyncio.sleep(0.01)


class PlainClient:
    """A TCP client with a bounded patience."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, server: V2gServer) -> PlainClient:
        endpoint = server.tcp_endpoint or server.tls_endpoint
        assert endpoint is not None
        return cls(*await asyncio.open_connection(*endpoint))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self, count: int, timeout_s: float = 2.0) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(count), timeout_s)

    async def closed(self, timeout_s: float = 2.0) -> bool:
        """Read to the end; False when the server keeps the connection."""
        try:
            while await asyncio.wait_for(self.reader.read(65536), timeout_s):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            return True
        return True

    def close(self) -> None:
        self.writer.close()


class TlsClient:
    """A TLS client from our own engine, over a real socket."""

    def __init__(self, plain: PlainClient, engine: TlsEngine) -> None:
        self.plain, self.engine = plain, engine
        self._clear = bytearray()

    @classmethod
    async def connect(cls, server: V2gServer, context: TlsContext) -> TlsClient:
        client = cls(await PlainClient.connect(server), context.engine())
        await client.flush()
        while client.engine.state is Handshake.RUNNING:
            await client.step()
        return client

    async def flush(self) -> None:
        await self.plain.send(self.engine.take_ciphertext())

    async def step(self, timeout_s: float = 2.0) -> None:
        data = await asyncio.wait_for(self.plain.reader.read(65536), timeout_s)
        if not data:
            raise TlsError("server closed TCP")
        self.engine.feed(data)
        await self.flush()

    async def send(self, data: bytes) -> None:
        self.engine.write(data)
        await self.flush()

    async def receive(self, count: int) -> bytes:
        while len(self._clear) < count:
            self._clear += self.engine.read()
            if len(self._clear) < count:
                await self.step()
        got = bytes(self._clear[:count])
        del self._clear[:count]
        return got

    def close(self) -> None:
        self.plain.close()


def handshake(server: TlsEngine, client: TlsEngine) -> None:
    """Run a handshake in memory; raises TlsError from whichever side refuses (the server's first)."""
    for _ in range(6):
        to_server = client.take_ciphertext()
        if to_server:
            server.feed(to_server)
        to_client = server.take_ciphertext()
        if to_client:
            client.feed(to_client)
        if not to_server and not to_client:
            return
