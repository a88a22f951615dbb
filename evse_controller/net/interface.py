"""Network interfaces by name: index and link-local address, from /proc so that no library is needed."""

from __future__ import annotations

import socket
from pathlib import Path

_IF_INET6 = Path("/proc/net/if_inet6")
_SO_BINDTODEVICE = 25


class InterfaceError(OSError):
    """The configured interface cannot carry V2G; the text names it and says what is missing."""


def interface_index(name: str) -> int:
    """Kernel index. Raises InterfaceError when there is no such interface."""
    try:
        return socket.if_nametoindex(name)
    except OSError as error:
        raise InterfaceError(f"interface {name}: {error.strerror or error}") from error


def link_local_address(name: str) -> str:
    """The address to announce on `name`: its fe80:: address, `::1` on the loopback.

    Raises InterfaceError when the interface is missing or has no usable IPv6 address (down, tentative, IPv6 off).
    """
    index = interface_index(name)
    try:
        lines = _IF_INET6.read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise InterfaceError(f"interface {name}: this host has no IPv6 ({error.strerror})") from error
    for line in lines:
        address, number, _, scope, flags, _ = line.split()
        # Scope 0x20 link-local, 0x10 host; flags 0x40 tentative, 0x08 duplicate.
        if int(number, 16) == index and scope in ("20", "10") and not int(flags, 16) & 0x48:
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address))
    raise InterfaceError(f"interface {name}: no link-local IPv6 address (is it up?)")


def bind_to_device(sock: socket.socket, name: str) -> bool:
    """Keep other interfaces' traffic out (several outlets on one host). False when the kernel does not permit it."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, name.encode() + b"\0")
    except PermissionError:
        return False
    return True
