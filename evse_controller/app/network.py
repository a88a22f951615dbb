"""The V2G server from its configuration: TLS profile, lab switches, capture, one protocol connection per car."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from evse_controller.app.outlet import Outlet
from evse_controller.config import Config
from evse_controller.net.capture import Capture
from evse_controller.net.ports import LinkInfo, V2gConnection
from evse_controller.net.server import ServerConfig, V2gServer
from evse_controller.net.tls import PROFILES, Side, TlsContext, TlsError, load_credential, load_roots
from evse_controller.secc.coding import LARGE_BYTES
from evse_controller.secc.connection import Connection
from evse_controller.secc.reply import Transport
from evse_controller.secc.surroundings import Peer

_MIB = 1024 * 1024


class NetworkError(Exception):
    """Certificates or keys cannot be used; the text names the file and the reason."""


def build_server(config: Config, outlet: Outlet) -> V2gServer:
    """Ready to start. Raises NetworkError or OSError."""
    lab, net = config.controller.lab, config.net
    server_config = ServerConfig(
        interface=net.interface,
        address=net.host,
        sdp_port=net.sdp_port,
        tcp_port=net.tcp_port,
        lab_tcp="lab-tcp" in lab,
    )
    return V2gServer(server_config, _factory(config, outlet), outlet, _tls(config), _capture(config, outlet))


def _tls(config: Config) -> TlsContext | None:
    net, lab = config.net, config.controller.lab
    if "lab-tcp" in lab and not net.tls_trust:
        return None  # a bench without certificates: only plain TCP is served
    profile = PROFILES["lab-p256" if "lab-p256" in lab else "strict"]
    try:
        return TlsContext(
            Side.SERVER,
            profile,
            load_credential(str(net.tls_chain), str(net.tls_key)),
            load_roots(*map(str, net.tls_trust)),
            lab_keylog="lab-keylog" in lab,
        )
    except (TlsError, ValueError, OSError) as error:
        raise NetworkError(f"net.tls: {error}") from error


def _capture(config: Config, outlet: Outlet) -> Capture | None:
    c = config.controller
    if not c.capture:
        return None
    return Capture(
        c.state_dir / "v2g.pcapng",
        config.net.interface or "v2g",
        max_bytes=c.capture_limit_mb * _MIB,
        lab_keylog="lab-keylog" in c.lab,
        on_stop=lambda why: outlet.event("capture", why),
    )


def _factory(config: Config, outlet: Outlet) -> Callable[[LinkInfo], V2gConnection]:
    def connect(link: LinkInfo) -> V2gConnection:
        transport = Transport.TLS_1_3_MUTUAL if link.tls else Transport.TCP
        around = outlet.surroundings(Peer(link.peer_leaf_sha512, link.peer_common_name))
        opened_s, setup_s = link.opened_s, link.setup_deadline_s
        connection = Connection(
            config.secc, transport, secrets.token_bytes, opened_s, setup_s, LARGE_BYTES, around=around
        )
        outlet.connection = connection
        return connection

    return connect
