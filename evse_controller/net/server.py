"""The V2G server of one outlet: SDP answers, TLS and (lab) plain listeners, at most one V2G connection.

The TLS handshake is the one computation of more than a millisecond on the loop (P-521: 1.2 ms for the hello, 4 ms for
the vehicle's chain, the loop in between); OpenSSL cannot pause inside it, so `max_connects_hz` bounds how often a peer
can cause it.
"""

from __future__ import annotations

import asyncio
import errno
import math
import secrets
import socket
from dataclasses import dataclass

from evse_controller.net.capture import Address, Capture
from evse_controller.net.coder import Coder
from evse_controller.net.interface import bind_to_device, interface_index, link_local_address
from evse_controller.net.latency import LatencyRecord
from evse_controller.net.link import Link
from evse_controller.net.ports import ConnectionFactory, Hooks, LinkInfo, NetEvent
from evse_controller.net.sdp_socket import SDP_PORT, SdpProtocol, SourceLimiter, open_sdp_socket
from evse_controller.net.tls import TlsContext
from evse_controller.secc import sdp

DYNAMIC_PORTS = range(49152, 65536)  # V2G_DST_TCP_DATA
_PORT_TRIES = 100
_BACKLOG = 8
_EVENT_INTERVAL_S = 1.0


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where and how to serve. Every default is the strict one.

    `interface`: the network interface of the outlet's modem (None only in tests: then `address` must be given).
    `address`: the IPv6 address to listen on and announce; default the interface's link-local one. `tcp_port` 0
    takes a free one of `DYNAMIC_PORTS`, which SDP announces. `lab_tcp`: also listen without TLS.
    `min_response_interval_s`: pacing, 0 answers at once. `communication_setup_s`: how long after plug-in SDP and TCP
    are served without a session.
    """

    interface: str | None = None
    address: str | None = None
    sdp_port: int = SDP_PORT
    tcp_port: int = 0
    lab_tcp: bool = False
    handshake_timeout_s: float = 5.0
    max_half_open: int = 4
    max_connects_hz: float = 10.0
    min_response_interval_s: float = 0.0
    communication_setup_s: float = sdp.COMMUNICATION_SETUP_S


class V2gServer:
    """Start it once; `set_enabled(True)` when an EV is plugged and the data link is up, False when it is not.

    `coder` codes large messages; outlets of one process share one, which the caller closes. Raises ValueError when it
    could serve nothing (no TLS context and no `lab_tcp`).
    """

    def __init__(
        self,
        config: ServerConfig,
        connection_factory: ConnectionFactory,
        hooks: Hooks,
        tls: TlsContext | None,
        capture: Capture | None = None,
        coder: Coder | None = None,
    ) -> None:
        if tls is None and not config.lab_tcp:
            raise ValueError("neither TLS credentials nor lab-tcp: nothing could be served")
        if config.interface is None and config.address is None:
            raise ValueError("an interface or an address is needed")
        self.config = config
        self.hooks = hooks
        self.connection_factory = connection_factory
        self.capture = capture
        self.latency = LatencyRecord()
        self.coder = coder or Coder()
        self._own_coder = coder is None
        self.handshake_timeout_s = config.handshake_timeout_s
        self.min_response_interval_s = config.min_response_interval_s
        self.active: Link | None = None
        self._tls = tls
        self._links: set[Link] = set()
        self._servers: dict[bool, asyncio.Server] = {}
        self._ports: dict[bool, int] = {}
        self._address = config.address or ""
        self._sdp_transport: asyncio.DatagramTransport | None = None
        self._sdp_port = config.sdp_port
        self._window: sdp.SetupWindow | None = None
        self._window_timer: asyncio.TimerHandle | None = None
        self._connects = SourceLimiter(config.max_connects_hz, config.max_connects_hz)
        self._told: dict[str, tuple[float, int]] = {}

    @property
    def lab_switches(self) -> tuple[str, ...]:
        """The lab switches that are in force here, for status, journal and console."""
        switches = [self._tls.profile.lab_switch] if self._tls else []
        switches.append("lab-tcp" if self.config.lab_tcp else None)
        switches.append("lab-keylog" if self._tls and self._tls.lab_keylog else None)
        return tuple(switch for switch in switches if switch)

    @property
    def tls_endpoint(self) -> tuple[str, int] | None:
        """Address and port of the TLS listener, None when there is none."""
        return (self._address, self._ports[True]) if True in self._ports else None

    @property
    def tcp_endpoint(self) -> tuple[str, int] | None:
        """Address and port of the plain listener (`lab-tcp`), None when there is none."""
        return (self._address, self._ports[False]) if False in self._ports else None

    @property
    def sdp_port(self) -> int:
        return self._sdp_port

    async def start(self) -> None:
        """Open all sockets. Raises OSError (InterfaceError) with a sentence that names what cannot be had."""
        config = self.config
        if config.address is None and config.interface is not None:
            self._address = link_local_address(config.interface)
        try:
            for tls in (True, False):
                if tls and self._tls is not None:
                    await self._listen(True, config.tcp_port)
                elif not tls and config.lab_tcp:
                    await self._listen(False, config.tcp_port if self._tls is None else 0)
            await self._open_sdp()
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End every session, close every socket."""
        self.set_enabled(False, "the daemon stops")
        if self._sdp_transport is not None:
            self._sdp_transport.close()
            self._sdp_transport = None
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        self._ports.clear()
        if self._own_coder:
            self.coder.close()
        await asyncio.sleep(0)

    def set_enabled(self, enabled: bool, reason: str = "unplugged") -> None:
        """The data link came up (starts the communication set-up time) or went down (`reason`; ends any session)."""
        if self._window_timer is not None:
            self._window_timer.cancel()
            self._window_timer = None
        self._window = None
        if enabled:
            self._open_window()
            return
        for link in tuple(self._links):
            link.abort(reason)

    def expect(self, patient: bool) -> None:
        """The EV that is plugged in may come (again) from now on: for the communication set-up time, or, `patient`,
        for as long as it takes. Sessions that run are left alone."""
        if self._window_timer is not None:
            self._window_timer.cancel()
            self._window_timer = None
        if patient:
            self._window = sdp.SetupWindow(self.hooks.now_s(), math.inf)
        else:
            self._open_window()

    @property
    def enabled(self) -> bool:
        """Whether SDP is answered and TCP accepted now (an active session apart)."""
        return self._window is not None and self._window.open(self.hooks.now_s())

    def admit(self, link: Link) -> str | None:
        """LinkOwner: bounds on connections that are not yet a session."""
        if not self.enabled:
            return "no EV is expected now"
        if not self._connects.allow("tcp", self.hooks.now_s()):
            return "too many connections per second"
        if sum(1 for other in self._links if other is not self.active) >= self.config.max_half_open:
            return f"{self.config.max_half_open} connections are already waiting"
        self._links.add(link)
        return None

    def promote(self, link: Link) -> str | None:
        """LinkOwner: one V2G connection at a time; a finished one that only lingers gives way."""
        if self.active is not None and self.active is not link and not self.active.ended:
            if not self.active.lingering:
                return "another V2G connection is active"
            self.active.abort("a new connection took its place")
        self.active = link
        if self._window_timer is not None:
            self._window_timer.cancel()
            self._window_timer = None
        return None

    def setup_deadline_s(self) -> float | None:
        if self._window is None or self._window.deadline_s == math.inf:
            return None
        return self._window.deadline_s

    def gone(self, link: Link) -> None:
        """LinkOwner: after a session the EV may come back at once, as after a new data link."""
        self._links.discard(link)
        if self.active is link:
            self.active = None
            had_session = link.connection is not None and link.connection.session_id is not None
            if self._window is not None and had_session and self._window.deadline_s != math.inf:
                self._open_window()

    def event(self, kind: str, text: str, link: LinkInfo | None = None) -> None:
        """Tell the journal; refusals of the same kind at most once a second, with the number left out."""
        if kind in ("connection-refused", "handshake-timeout", "tls-failed"):
            now_s = self.hooks.now_s()
            told_s, held_back = self._told.get(kind, (-_EVENT_INTERVAL_S, 0))
            if now_s - told_s < _EVENT_INTERVAL_S and told_s <= now_s:
                self._told[kind] = (told_s, held_back + 1)
                return
            self._told[kind] = (now_s, 0)
            text += f" (and {held_back} more of this kind before)" if held_back else ""
        self.hooks.on_event(NetEvent(kind, text, link))

    def _open_window(self) -> None:
        self._window = sdp.SetupWindow(self.hooks.now_s(), self.config.communication_setup_s)
        loop = asyncio.get_running_loop()
        self._window_timer = loop.call_later(self.config.communication_setup_s, self._window_over)

    def _window_over(self) -> None:
        self._window_timer = None
        self.event(
            "communication-setup-timeout",
            f"no V2G session within {self.config.communication_setup_s:g} s; silent until the EV is replugged",
        )

    async def _listen(self, tls: bool, port: int) -> None:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            scope = interface_index(self.config.interface) if self.config.interface else 0
            if self.config.interface and not bind_to_device(sock, self.config.interface):
                self.event(
                    "no-bind-to-device",
                    f"not permitted to bind to {self.config.interface}; the address alone separates it",
                )
            _bind(sock, self._address, port, scope)
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"cannot listen on [{self._address}]:{port}: {error.strerror}") from error
        context = self._tls if tls else None
        server = await asyncio.get_running_loop().create_server(
            lambda: Link(self, context), sock=sock, backlog=_BACKLOG
        )
        self._servers[tls] = server
        self._ports[tls] = int(sock.getsockname()[1])

    async def _open_sdp(self) -> None:
        try:
            sock = open_sdp_socket(self.config.interface, self.config.sdp_port)
        except OSError as error:
            raise OSError(error.errno, f"cannot serve SDP on port {self.config.sdp_port}: {error.strerror}") from error
        self._sdp_port = int(sock.getsockname()[1])
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: SdpProtocol(
                self._answer_sdp,
                self.config.interface,
                SourceLimiter(),
                self.hooks.now_s,
                lambda text: self.event("sdp-error", text),
            ),
            sock=sock,
        )
        self._sdp_transport = transport

    def _answer_sdp(self, datagram: bytes, source: tuple[str, int]) -> bytes | None:
        # Answered until a V2G connection is up, and again while a finished one only lingers.
        busy = self.active is not None and not self.active.ended and not self.active.lingering
        if self._window is None or busy:
            return None
        policy = sdp.SdpPolicy(
            socket.inet_pton(socket.AF_INET6, self._address), self._ports.get(True), self._ports.get(False)
        )
        response = sdp.answer_datagram(datagram, policy, self._window, self.hooks.now_s())
        if response is not None and self.capture is not None:
            here, there = Address(self._address, self._sdp_port), Address(source[0], source[1])
            self.capture.udp(there, Address(sdp.MULTICAST_GROUP, self._sdp_port), datagram, sent=False)
            self.capture.udp(here, there, response, sent=True)
        return response


def _bind(sock: socket.socket, address: str, port: int, scope: int) -> None:
    """Bind to `port`, or with 0 to a free one of V2G's range: an EV may refuse any other that SDP announces."""
    if port:
        sock.bind((address, port, 0, scope))
        return
    for _ in range(_PORT_TRIES):
        try:
            sock.bind((address, secrets.choice(DYNAMIC_PORTS), 0, scope))
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"no free port in {DYNAMIC_PORTS.start}..{DYNAMIC_PORTS.stop - 1}")
