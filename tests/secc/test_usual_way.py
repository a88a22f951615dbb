"""Whole sessions in the usual order, for each service and control mode, through the codec."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import Processing
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.model import commands as c
from evse_controller.model.snapshot import Step
from tests.secc.ev import DC, DC_BPT, DYNAMIC, SCHEDULED, Bench, header, loop, power_delivery, profile, stop

ORDER = [
    c.SessionOpened,
    c.AuthorizationRequested,
    c.ServiceSelected,
    c.LimitsNegotiated,
    c.ScheduleRequested,
    c.CableCheckRequested,
    c.PreChargeRequested,
    c.EnergyStart,
    c.LoopUpdate,
    c.EnergyStop,
    c.WeldingDetectionRequested,
    c.SessionEnded,
]


@pytest.mark.parametrize("service", [DC, DC_BPT])
@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
def test_whole_session_gives_each_command_once_and_in_order(service: int, mode: int) -> None:
    bench = Bench(service=service, control_mode=mode).to("ChargeLoop")
    answer = bench.say(loop(mode, service == DC_BPT))
    assert answer.response_code.name == "OK"
    bench.to("Ended")
    assert [type(command) for command in bench.commands] == ORDER
    chosen: Any = bench.commands_of(c.ServiceSelected)[0]
    assert (chosen.service_id, chosen.control_mode.value, chosen.bidirectional) == (service, mode, service == DC_BPT)
    assert bench.commands_of(c.SessionEnded)[0].kind is c.EndKind.TERMINATED


def test_session_stop_inside_the_loop_stops_energy_first() -> None:
    bench = Bench().to("ChargeLoop")
    reply = bench.ask(stop())
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]
    assert isinstance(reply.response, cm.SessionStopRes)
    assert reply.response.response_code.name == "OK"


def test_pre_charge_to_power_delivery_without_ev_processing_finished() -> None:
    """F.2 case 48."""
    bench = Bench().to("PreCharge")
    bench.set(precharge=Step.RUNNING)
    for _ in range(3):
        answer = bench.say(dc.DC_PreChargeReq(header(), Processing.Ongoing, n(390.0), n(400.0)))
        assert (answer.response_code.name, bench.state) == ("OK", "PreCharge")
    assert bench.say(power_delivery(plan=profile(1, (3600, 1000.0)))).response_code.name == "OK"
    assert bench.state == "ChargeLoop"
