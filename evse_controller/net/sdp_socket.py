"""The SDP socket: UDP 15118 on one interface, multicast ff02::1, rate-limited, silent unless it should speak."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import cast

from evse_controller.net.interface import bind_to_device, interface_index

SDP_PORT = 15118
_ALL_NODES = "ff02::1"
_MAX_DATAGRAM = 128


class SourceLimiter:
    """Token bucket per source address (and one for all), so that a flood costs neither the loop nor the network.

    An EV asks every 250 ms; `per_source_hz` 10 with a burst of as many never hinders one. Memory is bounded: the
    `max_sources` most recent sources are remembered.
    """

    def __init__(self, per_source_hz: float = 10.0, total_hz: float = 100.0, max_sources: int = 64) -> None:
        self._rates = (per_source_hz, total_hz)
        self._max_sources = max_sources
        self._total = (total_hz, 0.0)
        self._sources: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, source: str, now_s: float) -> bool:
        """Whether a request from `source` may be answered at `now_s`; counts it if so."""
        per_source_hz, total_hz = self._rates
        tokens = self._refill(self._sources.get(source, (per_source_hz, now_s)), per_source_hz, now_s)
        total = self._refill(self._total, total_hz, now_s)
        allowed = tokens >= 1.0 and total >= 1.0
        self._sources[source] = (tokens - allowed, now_s)
        self._sources.move_to_end(source)
        if len(self._sources) > self._max_sources:
            self._sources.popitem(last=False)
        self._total = (total - allowed, now_s)
        return allowed

    @staticmethod
    def _refill(bucket: tuple[float, float], rate_hz: float, now_s: float) -> float:
        tokens, at_s = bucket
        return min(rate_hz, tokens + max(0.0, now_s - at_s) * rate_hz)


def open_sdp_socket(interface: str | None, port: int) -> socket.socket:
    """A non-blocking UDP socket on `port`, member of ff02::1 on `interface` (None: whatever the kernel prefers).

    Raises OSError (InterfaceError for the interface) when it cannot be had.
    """
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        index = interface_index(interface) if interface else 0
        if interface:
            bind_to_device(sock, interface)
        sock.bind(("::", port))
        group = socket.inet_pton(socket.AF_INET6, _ALL_NODES) + struct.pack("@I", index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


class SdpProtocol(asyncio.DatagramProtocol):
    """Hands acceptable datagrams to `answer(datagram, source)` and sends what it returns back to the sender.

    Acceptable: short, from a link-local source on our interface (`::1` on the loopback), within the rate limit.
    """

    def __init__(
        self,
        answer: Callable[[bytes, tuple[str, int]], bytes | None],
        interface: str | None,
        limiter: SourceLimiter,
        now_s: Callable[[], float],
        on_error: Callable[[str], None],
    ) -> None:
        self.dropped = 0
        self._answer = answer
        self._index = interface_index(interface) if interface else 0
        self._limiter = limiter
        self._now_s = now_s
        self._on_error = on_error
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # 3.11 has no common class to check

    def datagram_received(self, data: bytes, addr: tuple[str, int, int, int] | tuple[str, int]) -> None:
        source = addr[0].partition("%")[0]
        scope = addr[3] if len(addr) == 4 else 0
        local = (source.startswith("fe80:") and scope in (self._index, 0 if not self._index else self._index)) or (
            source == "::1"
        )
        if not local or len(data) > _MAX_DATAGRAM or not self._limiter.allow(source, self._now_s()):
            self.dropped += 1
            return
        response = self._answer(data, (source, addr[1]))
        if response is not None and self._transport is not None:
            self._transport.sendto(response, addr)

    def error_received(self, exc: Exception) -> None:
        self._on_error(f"SDP socket: {exc}")
