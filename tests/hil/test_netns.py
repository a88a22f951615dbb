"""The bench's own cable: two namespaces, one veth pair, no root, no `ip` tool."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from hil import netns


@pytest.fixture(scope="module")
def link():
    try:
        with netns.Link() as made:
            yield made
    except netns.NetworkUnavailable as error:
        pytest.skip(f"this machine forbids user namespaces: {error}")


def names() -> list[str]:
    return sorted(name for _, name in socket.if_nameindex() if not name.startswith(("sit", "ip6tnl", "tunl", "gre")))


def test_each_side_sees_only_its_own_end(link: netns.Link) -> None:
    assert link.evse.call(names) == ["evse0", "lo"]
    assert link.ev.call(names) == ["ev0", "lo"]


def send_multicast(interface: str) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", ("ff02::1", 15118, 0, socket.if_nametoindex(interface)))


def receive_one(link: netns.Link) -> tuple[bytes, str]:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as listener:
        listener.bind(("::", 15118))
        listener.settimeout(3)
        link.ev.call(send_multicast, link.ev.interface)
        data, sender = listener.recvfrom(100)
        return data, sender[0].split("%")[0]


def test_link_local_multicast_crosses_at_once(link: netns.Link) -> None:
    assert link.evse.call(receive_one, link) == (b"hello", netns.EV_ADDRESS)


def test_programs_run_on_a_side(link: netns.Link) -> None:
    code = "import socket; print(socket.if_nametoindex('ev0') > 0)"
    done = subprocess.run(link.ev.command([sys.executable, "-c", code]), capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_errors_of_a_side_reach_the_caller(link: netns.Link) -> None:
    with pytest.raises(OSError, match="no interface with this name"):
        link.ev.call(socket.if_nametoindex, "evse0")


def test_two_links_share_no_port(link: netns.Link) -> None:
    with netns.Link() as other:
        assert other.evse.call(receive_one, other)[0] == b"hello"


def test_the_probe_names_what_it_found(link: netns.Link) -> None:
    assert netns.best_network().kind == "namespaces"


def test_without_namespaces_the_probe_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden(netns.Link):
        def __enter__(self) -> netns.Link:
            raise netns.NetworkUnavailable("unshare: Operation not permitted")

    monkeypatch.setattr(netns, "Link", Forbidden)
    monkeypatch.setattr(netns, "link_local_interface", lambda: None)
    found = netns.best_network()
    assert found.kind == "loopback"
    assert found.note is not None
    assert "Operation not permitted" in found.note
