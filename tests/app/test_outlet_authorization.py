"""Who may charge, at a whole outlet: the answer is that of now, and belongs to the session that asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evse_controller.app import rpc_session
from evse_controller.identity import EimAuthorizer
from evse_controller.model.commands import (
    AuthorizationRequested,
    ContractAccepted,
    EndKind,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.snapshot import Authorization
from evse_controller.net.control import RpcError
from hil.evcc.config import EvccConfig
from hil.virtual import VirtualBench
from hil.virtual_config import BenchSettings, plant_of

MINE, YOURS = "04A1B2C3", "04D4E5F6"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[VirtualBench]:
    with VirtualBench(tmp_path, EvccConfig(), BenchSettings(plant=plant_of(), speed=1.0)) as house:
        house.outlet.authorizer = EimAuthorizer(False, [MINE, YOURS])
        house.until(lambda: house.outlet.station.snapshot is not None, 1.0)
        yield house


def tap(bench: VirtualBench, token: str) -> object:
    return rpc_session.authorize(bench.outlet, {"token": token})


def state(bench: VirtualBench) -> str | None:
    return None if bench.connection is None else bench.connection.state_name


def told(bench: VirtualBench, folder: Path) -> str:
    bench.outlet.recorder.flush()
    return (folder / "events.jsonl").read_text(encoding="utf-8")


def test_a_card_opens_another_does_not_stop_and_the_same_one_does(bench: VirtualBench, tmp_path: Path) -> None:
    bench.arrive()
    bench.until(lambda: state(bench) == "Authorization", 10.0)
    bench.run(3.0)
    assert state(bench) == "Authorization"
    assert tap(bench, MINE) == {"said": "the waiting car may charge"}
    bench.until(lambda: state(bench) == "ChargeLoop", 60.0)
    with pytest.raises(RpcError, match="in use by somebody else"):
        tap(bench, YOURS)
    bench.run(2.0)
    assert state(bench) == "ChargeLoop"
    assert tap(bench, MINE) == {"said": "stops the session that it opened"}
    bench.until(lambda: bench.evcc.finished and bench.outlet.at_rest, 60.0)
    assert bench.outlet.authorizer.phase.value == "idle"
    bench.check()
    text = told(bench, tmp_path)
    assert "stops the session that it opened" in text
    assert MINE not in text
    assert YOURS not in text


def test_a_card_before_the_plug_and_a_start_from_afar(bench: VirtualBench) -> None:
    bench.until(bench._ready, 60.0)
    kept = {"said": "kept for the car that is plugged in next"}
    assert tap(bench, MINE) == kept
    assert rpc_session.start(bench.outlet, {"token": "REMOTE-1"}) == kept
    bench.arrive()
    bench.until(lambda: state(bench) == "ChargeLoop", 60.0)
    with pytest.raises(RpcError, match="in use by somebody else"):
        tap(bench, MINE)  # the last one counted
    assert tap(bench, "REMOTE-1") == {"said": "stops the session that it opened"}
    bench.until(lambda: bench.outlet.at_rest, 60.0)


def test_what_let_the_session_before_in_does_not_let_the_next_one_in(bench: VirtualBench) -> None:
    """A car that ends its session and is back before the next control step waits for a token as any other."""
    found = bench.outlet
    found.on_commands([SessionOpened("01", "EV1", "p"), AuthorizationRequested()])
    assert found.snapshot().authorization is Authorization.PENDING
    assert found.authorizer.present(MINE, found.now_s())
    assert found.snapshot().authorization is Authorization.ACCEPTED
    found.on_commands([SessionEnded(EndKind.TERMINATED, "the car left")])
    found.on_commands([SessionOpened("02", "EV1", "p"), AuthorizationRequested()])
    assert found.snapshot().authorization is Authorization.PENDING


def test_a_contract_is_told_without_its_name(bench: VirtualBench, tmp_path: Path) -> None:
    found = bench.outlet
    found.on_commands([SessionOpened("01", "EV1", "p"), ContractAccepted("DEABCC123456789")])
    assert found.authorizer.phase.value == "accepted by contract"
    assert not found.authorizer.present(MINE, found.now_s())
    text = told(bench, tmp_path)
    assert "by contract" in text
    assert "DEABC" not in text
