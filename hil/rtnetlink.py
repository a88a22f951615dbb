"""A few rtnetlink requests: make a veth pair across two network namespaces, set links up, give addresses.

Enough of the kernel's route netlink protocol (see rtnetlink(7)) for a test network, so that the bench needs neither
the `ip` tool nor root: the caller sits in a user namespace of its own, where it owns its network namespaces.
"""

from __future__ import annotations

import os
import socket
import struct

RTM_NEWLINK, RTM_SETLINK, RTM_NEWADDR = 16, 19, 20
_NLMSG_ERROR = 2
_NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_CREATE, _NLM_F_EXCL = 0x1, 0x4, 0x400, 0x200
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_PID, _IFLA_AF_SPEC = 3, 18, 19, 26
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFLA_INET6_ADDR_GEN_MODE, _IN6_ADDR_GEN_MODE_NONE = 8, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFA_F_NODAD, _IFA_F_PERMANENT = 0x02, 0x80
_RT_SCOPE_LINK = 253
_IFF_UP = 1


def attribute(kind: int, payload: bytes) -> bytes:
    """One netlink attribute, padded to four octets."""
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind) + payload + bytes(-length % 4)


def _interface(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


class RouteSocket:
    """A netlink socket of the network namespace in which it is made. Errors of the kernel are raised as OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> RouteSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def request(self, kind: int, payload: bytes, flags: int = 0) -> None:
        """Send one request and wait for the kernel's acknowledgement."""
        self._sequence += 1
        header = struct.pack(
            "=IHHII", 16 + len(payload), kind, flags | _NLM_F_REQUEST | _NLM_F_ACK, self._sequence, 0
        )
        self._socket.send(header + payload)
        while True:
            answer = self._socket.recv(65536)
            _, answer_kind, _, sequence, _ = struct.unpack_from("=IHHII", answer)
            if answer_kind == _NLMSG_ERROR and sequence == self._sequence:
                (error,) = struct.unpack_from("=i", answer, 16)
                if error:
                    raise OSError(-error, f"netlink request {kind}: {os.strerror(-error)}")
                return

    def create_veth(self, name: str, peer: str, peer_pid: int) -> None:
        """Make a veth pair: `name` here, `peer` in the network namespace of process `peer_pid`."""
        other = _interface() + attribute(_IFLA_IFNAME, peer.encode() + b"\0")
        other += attribute(_IFLA_NET_NS_PID, struct.pack("=I", peer_pid))
        info = attribute(_IFLA_INFO_KIND, b"veth")
        info += attribute(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, other))
        body = _interface() + attribute(_IFLA_IFNAME, name.encode() + b"\0") + attribute(_IFLA_LINKINFO, info)
        self.request(RTM_NEWLINK, body, _NLM_F_CREATE | _NLM_F_EXCL)

    def no_automatic_address(self, name: str) -> None:
        """The kernel makes no link-local address of its own for this link (it would be tentative for a second)."""
        mode = attribute(_IFLA_INET6_ADDR_GEN_MODE, struct.pack("=B", _IN6_ADDR_GEN_MODE_NONE))
        body = _interface(socket.if_nametoindex(name))
        self.request(RTM_SETLINK, body + attribute(_IFLA_AF_SPEC, attribute(socket.AF_INET6, mode)))

    def up(self, name: str) -> None:
        self.request(RTM_NEWLINK, _interface(socket.if_nametoindex(name), _IFF_UP, _IFF_UP))

    def add_link_local(self, name: str, address: str) -> None:
        """Add a link-local address (/64) that is usable at once: without duplicate address detection."""
        packed = socket.inet_pton(socket.AF_INET6, address)
        flags = _IFA_F_NODAD | _IFA_F_PERMANENT
        body = struct.pack("=BBBBI", socket.AF_INET6, 64, flags, _RT_SCOPE_LINK, socket.if_nametoindex(name))
        body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
        self.request(RTM_NEWADDR, body, _NLM_F_CREATE | _NLM_F_EXCL)
