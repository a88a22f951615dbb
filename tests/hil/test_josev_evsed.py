"""The independent vehicle at the real daemon: its own log, the meter, the journal, the module bus (DC) and the referee
must agree. A few of the campaign's cases; `tests/campaign/peers.py` has every one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hil.peers.house import charge_josev
from hil.peers.options import DYNAMIC, SCHEDULED
from tests.campaign.peers import SERVICES, Case, cases, flaws


@pytest.mark.peer
@pytest.mark.parametrize("case", [
    pytest.param(Case("DC_BPT", DYNAMIC, tls=True), id="dc-bpt-dynamic-tls"),
    pytest.param(Case("AC_BPT", SCHEDULED, tls=True), id="ac-bpt-scheduled-tls"),
    pytest.param(Case("AC", DYNAMIC, tls=False), id="ac-dynamic-tcp"),
    pytest.param(Case("DC", SCHEDULED, tls=False, renegotiate=True), id="dc-service-renegotiation"),
])
async def test_it_charges_and_leaves_and_all_agree(tmp_path: Path, case: Case) -> None:
    result = await asyncio.to_thread(
        charge_josev, tmp_path, case.options(), slow_loop=case.slow_loop, renegotiate=case.renegotiate
    )
    assert flaws(case, result) == []


def test_every_combination_is_a_case() -> None:
    """No service, control mode or transport is left out of the campaign, with or without Java."""
    every = cases()
    assert {(case.service, case.control_mode, case.tls) for case in every} == {
        (service, mode, tls) for service in SERVICES for mode in (SCHEDULED, DYNAMIC) for tls in (True, False)
    }
    assert {case.service for case in every if case.renegotiate} == set(SERVICES)
