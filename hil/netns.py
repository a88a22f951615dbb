"""A cable of our own: two network namespaces joined by a veth pair, without root and without the `ip` tool.

`Link` starts one holder process. It makes a user namespace (in which it is allowed everything below) with a network
namespace for the station, and a child with a network namespace for the vehicle. Programs are started on either side
with `link.evse.command(argv)` and `link.ev.command(argv)`, functions with `link.ev.call(function, ...)`. Many links
can exist at once, so tests run in parallel although each station wants UDP port 15118.

Where the machine forbids user namespaces, `best_network` falls back to an interface with a link-local address, and
then to `::1`.
"""

from __future__ import annotations

import ctypes
import json
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

if __package__ in (None, ""):  # run as a script by its own path: no installed package needed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hil.rtnetlink import RouteSocket

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
EVSE_INTERFACE, EV_INTERFACE = "evse0", "ev0"
EVSE_ADDRESS, EV_ADDRESS = "fe80::e5e", "fe80::ca6"

T = TypeVar("T")


def _libc(name: str, *arguments: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def _own_namespaces() -> None:
    """A user namespace in which we are root, with a network namespace of its own. Single-threaded callers only."""
    uid, gid = os.getuid(), os.getgid()
    _libc("unshare", CLONE_NEWUSER | CLONE_NEWNET)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _enter(pid: int) -> None:
    """Join the user and network namespaces of process `pid` (one of our holder's)."""
    for kind, flag in (("user", CLONE_NEWUSER), ("net", CLONE_NEWNET)):
        if Path(f"/proc/{pid}/ns/{kind}").samefile(f"/proc/self/ns/{kind}"):
            continue  # already there; the kernel refuses to join one's own user namespace
        descriptor = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY)
        try:
            _libc("setns", descriptor, flag)
        finally:
            os.close(descriptor)


def _configure(interface: str, address: str) -> None:
    with RouteSocket() as route:
        route.up("lo")
        route.no_automatic_address(interface)
        route.up(interface)
        route.add_link_local(interface, address)


def _hold() -> None:
    """The holder: make both sides, say so in one JSON line, live until standard input ends."""
    _own_namespaces()
    ready_out, ready_in = os.pipe()
    go_out, go_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go_in)
        os.close(0)
        _libc("unshare", CLONE_NEWNET)
        os.write(ready_in, b"n")
        if os.read(go_out, 1):
            _configure(EV_INTERFACE, EV_ADDRESS)
            os.write(ready_in, b"c")
            os.read(go_out, 1)
        os._exit(0)
    os.close(go_out)
    os.close(ready_in)
    if os.read(ready_out, 1) != b"n":
        raise OSError("the vehicle's network namespace could not be made")
    with RouteSocket() as route:
        route.create_veth(EVSE_INTERFACE, EV_INTERFACE, child)
    os.write(go_in, b"g")
    _configure(EVSE_INTERFACE, EVSE_ADDRESS)
    if os.read(ready_out, 1) != b"c":
        raise OSError("the vehicle's end of the cable could not be configured")
    print(json.dumps({"evse": os.getpid(), "ev": child}), flush=True)
    sys.stdin.read()
    os.close(go_in)
    os.waitpid(child, 0)


def _send_socket(to: socket.socket, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET6, kind) as made:
        socket.send_fds(to, [b"s"], [made.fileno()])


@dataclass(frozen=True, slots=True)
class Side:
    """One end of the cable. `address` is link-local on `interface`; `pid` is a process that lives on this side."""

    pid: int
    interface: str
    address: str

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs `argv` on this side (same user, same files, other network)."""
        return [sys.executable, str(Path(__file__).resolve()), "enter", str(self.pid), "--", *argv]

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function on this side in a forked process and return its (picklable) result, or raise its error."""
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(read_end)
                try:
                    _enter(self.pid)
                    outcome: tuple[bool, object] = (True, function(*arguments))
                except BaseException as error:  # sent to the parent, which raises it
                    outcome = (False, error)
                with os.fdopen(write_end, "wb") as pipe:
                    pipe.write(pickle.dumps(outcome))
                status = 0
            finally:
                os._exit(status)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            data = pipe.read()
        os.waitpid(pid, 0)
        if not data:
            raise RuntimeError(f"the process on side {self.interface} ended without a result")
        succeeded, value = pickle.loads(data)
        if not succeeded:
            raise value
        result: T = value
        return result

    def index(self, interface: str) -> int:
        """Index of an interface on this side (the scope of link-local addresses)."""
        return self.call(socket.if_nametoindex, interface)

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        """An IPv6 socket that lives on this side of the cable, for use in the calling process."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.call(_send_socket, theirs, kind)
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        return socket.socket(socket.AF_INET6, kind, fileno=descriptors[0])


class NetworkUnavailable(RuntimeError):
    """This machine lets us make no namespaces; the text says what the kernel answered."""


class Link:
    """The cable as a context manager. Raises NetworkUnavailable on entering when the machine forbids it."""

    evse: Side
    ev: Side

    def __init__(self) -> None:
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Link:
        holder = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "hold"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert holder.stdout is not None
        line = holder.stdout.readline()
        if not line:
            _, errors = holder.communicate()
            reason = errors.strip().splitlines()[-1] if errors.strip() else "the holder process ended"
            raise NetworkUnavailable(reason)
        pids = json.loads(line)
        self._holder = holder
        self.evse = Side(pids["evse"], EVSE_INTERFACE, EVSE_ADDRESS)
        self.ev = Side(pids["ev"], EV_INTERFACE, EV_ADDRESS)
        return self

    def __exit__(self, *_: object) -> None:
        holder, self._holder = self._holder, None
        if holder is None:
            return
        streams: list[IO[str] | None] = [holder.stdin, holder.stdout, holder.stderr]
        for stream in streams:
            if stream is not None:
                stream.close()
        try:
            holder.wait(5)
        except subprocess.TimeoutExpired:
            holder.kill()
            holder.wait()


@dataclass(frozen=True, slots=True)
class Network:
    """What `best_network` found. kind: `namespaces` (make a `Link`), `interface` (use `interface`), `loopback`."""

    kind: str
    interface: str | None
    note: str | None = None


def link_local_interface() -> str | None:
    """The name of an interface that is up and has a link-local IPv6 address, None without one."""
    table = Path("/proc/net/if_inet6")
    if not table.exists():
        return None
    for line in table.read_text().splitlines():
        address, _, _, scope, _, name = line.split()
        if int(scope, 16) == 0x20 and address.startswith("fe8"):
            return name
    return None


def best_network() -> Network:
    """The best network this machine allows: namespaces, else a link-local interface, else `::1` (with a note)."""
    try:
        with Link():
            return Network("namespaces", None)
    except NetworkUnavailable as error:
        reason = str(error)
    interface = link_local_interface()
    if interface is not None:
        return Network("interface", interface, f"no network namespaces ({reason}); using interface {interface}")
    return Network("loopback", None, f"no network namespaces ({reason}) and no link-local address; using ::1")


def main(argv: Sequence[str]) -> None:
    """`hold` keeps both sides alive; `enter PID -- COMMAND...` runs a command on the side of that process."""
    if argv[:1] == ["hold"]:
        _hold()
    elif argv[:1] == ["enter"] and argv[2:3] == ["--"] and len(argv) > 3:
        _enter(int(argv[1]))
        os.execvp(argv[3], list(argv[3:]))
    else:
        raise SystemExit("usage: netns.py hold | enter PID -- COMMAND...")


if __name__ == "__main__":
    main(sys.argv[1:])
