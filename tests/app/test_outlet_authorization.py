"""The outlet's answer to "may it charge" is that of now, and belongs to the session that asks."""

from __future__ import annotations

from pathlib import Path

from evse_controller.app.outlet import Outlet
from evse_controller.identity import EimAuthorizer
from evse_controller.model.commands import (
    AuthorizationRequested,
    ContractAccepted,
    EndKind,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.snapshot import Authorization
from hil.evcc.config import EvccConfig
from hil.virtual import VirtualBench


def outlet(folder: Path) -> Outlet:
    """Just started, its first control step done; no further one follows."""
    bench = VirtualBench(folder, EvccConfig())
    found = bench.outlet
    found.authorizer = EimAuthorizer(False, ["04A1"])
    while found.station.snapshot is None:
        bench.tick()
    return found


def test_what_let_the_session_before_in_does_not_let_the_next_one_in(tmp_path: Path) -> None:
    """A car that ends its session and is back before the next control step waits for a token as any other."""
    found = outlet(tmp_path)
    found.on_commands([SessionOpened("01", "EV1", "p"), AuthorizationRequested()])
    assert found.snapshot().authorization is Authorization.PENDING
    assert found.authorizer.present("04A1", found.now_s())
    assert found.snapshot().authorization is Authorization.ACCEPTED
    found.on_commands([SessionEnded(EndKind.TERMINATED, "the car left")])
    found.on_commands([SessionOpened("02", "EV1", "p"), AuthorizationRequested()])
    assert found.snapshot().authorization is Authorization.PENDING


def test_a_contract_is_told_without_its_name(tmp_path: Path) -> None:
    found = outlet(tmp_path)
    found.on_commands([SessionOpened("01", "EV1", "p"), ContractAccepted("DEABCC123456789")])
    assert found.authorizer.phase.value == "accepted by contract"
    assert not found.authorizer.present("04A1", found.now_s())
    found.recorder.flush()
    told = (tmp_path / "events.jsonl").read_text(encoding="utf-8")
    assert "by contract" in told
    assert "DEABC" not in told
