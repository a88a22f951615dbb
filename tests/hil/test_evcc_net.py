"""The vehicle over real sockets on ::1: SDP, strict TLS 1.3 mutual and plain TCP, and what it does without luck."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from certs import make_lab
from certs.profile import Role
from evse_controller.net.server import ServerConfig
from evse_controller.net.tls import STRICT, Side, TlsContext, TlsError, load_credential, load_roots
from hil.evcc import Deviation, Evcc, EvccConfig, Exchange
from hil.evcc_net import Client, DiscoveryFailed, NetOptions, Outcome
from tests.hil.fake_house import UTC0, FakeOutlet
from tests.hil.tame_station import TameHooks, station_tls, tame_server, vehicle_tls

QUICK = EvccConfig(stop_after_loop_s=1.0, loop_period_s=0.1, poll_period_s=0.05)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pki")


async def meet(
    vehicle: EvccConfig, station: TlsContext | None, car: TlsContext | None, exchanges: list[Exchange] | None = None
) -> tuple[Outcome, TameHooks]:
    outlet = FakeOutlet()
    hooks = TameHooks(outlet)
    outlet.inlet.plug()
    server = tame_server(hooks, ServerConfig(address="::1", sdp_port=0, lab_tcp=station is None), station)
    await server.start()
    server.set_enabled(True)
    try:
        evcc = Evcc(vehicle, outlet.inlet, random.Random(1), lambda _: UTC0 + hooks.now_s())
        client = Client(
            evcc, NetOptions(direct="::1", sdp_port=server.sdp_port, tls=car, sdp_attempts=4),
            on_exchange=None if exchanges is None else exchanges.append,
        )
        return await client.run(), hooks
    finally:
        await server.stop()


def test_a_session_over_strict_tls(pki: Path) -> None:
    exchanges: list[Exchange] = []
    outcome, hooks = asyncio.run(
        meet(QUICK, station_tls(pki / "strict", "strict"), vehicle_tls(pki / "strict", "strict"), exchanges)
    )
    assert outcome.completed, outcome.failure
    assert outcome.tls_suite == "TLS_AES_256_GCM_SHA384"
    assert outcome.tls_group is not None
    assert max(current for _, current in hooks.outlet.currents) > 1.0
    assert [exchange.request.ELEMENT for exchange in exchanges][-1] == "SessionStopReq"
    assert len(exchanges) == len(outcome.exchanges)
    latencies = outcome.latencies_s("DC_ChargeLoopReq")
    assert len(latencies) >= 5
    assert all(0 < latency < 0.5 for latency in latencies)


def test_a_session_over_plain_tcp_in_the_lab() -> None:
    outcome, _ = asyncio.run(meet(QUICK, None, None))
    assert outcome.completed, outcome.failure
    assert outcome.tls_suite is None


def test_a_vehicle_that_wants_tls_refuses_a_station_without(pki: Path) -> None:
    with pytest.raises(DiscoveryFailed, match=r"without TLS|no station answered"):
        asyncio.run(meet(QUICK, None, vehicle_tls(pki / "strict", "strict")))


def test_a_station_of_a_foreign_pki_is_refused(pki: Path) -> None:
    foreign = make_lab(pki / "foreign", "strict").files(Role.SECC)
    own = make_lab(pki / "strict", "strict")
    imposter = TlsContext(
        Side.SERVER, STRICT, load_credential(foreign.chain, foreign.key), load_roots(*own.trust_of_secc)
    )
    with pytest.raises(TlsError):
        asyncio.run(meet(QUICK, imposter, vehicle_tls(pki / "strict", "strict")))


def test_a_station_that_closes_after_failed_leaves_the_vehicle_safe(pki: Path) -> None:
    silent = EvccConfig(deviations=frozenset({Deviation.SILENT_IN_LOOP}), after_loops=3, loop_period_s=0.1)

    async def run() -> tuple[Outcome, TameHooks]:
        return await asyncio.wait_for(meet(silent, None, None), 10.0)

    outcome, hooks = asyncio.run(run())
    assert outcome.failure == "the station closed the connection"
    assert not hooks.outlet.inlet.contactor_closed


def test_nobody_answers(unused_udp_port: int) -> None:
    evcc = Evcc(QUICK, FakeOutlet().inlet, random.Random(1), lambda now_s: now_s)
    began = time.monotonic()
    with pytest.raises(DiscoveryFailed, match="no station answered 2 SDP requests"):
        asyncio.run(Client(evcc, NetOptions(direct="::1", sdp_port=unused_udp_port, sdp_attempts=2)).run())
    assert time.monotonic() - began >= 0.5


@pytest.fixture
def unused_udp_port() -> int:
    import socket

    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        port: int = probe.getsockname()[1]
        return port
