"""A back office negotiates while a car asks for a schedule: Ongoing until it delivers, withdraws or takes too long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evse_controller.cli import render
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import ControlMode
from evse_controller.net.control import RpcError
from hil.virtual import VirtualBench
from tests.app.house import DYNAMIC, call, charging

SCHEDULED = replace(DYNAMIC, control_mode=ControlMode.SCHEDULED, target_soc=80.0)
WAITS = (SCHEDULED, "", 1.0, "wait_for_back_office_s = 40\n")
LONGEST = (SCHEDULED, "", 1.0, "wait_for_back_office_s = 50\n")


def answers(house: VirtualBench) -> list[Any]:
    return [a.message for a in house.answers if isinstance(a.message, cm.ScheduleExchangeRes)]


def asked(house: VirtualBench) -> None:
    house.arrive()
    house.until(lambda: bool(answers(house)), 30.0)


def settled(house: VirtualBench, within_s: float) -> float:
    return house.until(lambda: answers(house)[-1].evse_processing == cm.Processing.Finished, within_s)


def most_w(house: VirtualBench) -> float:
    entries = [
        rational_value(entry.power)
        for offered in answers(house)[-1].scheduled_se_res_control_mode.schedule_tuple
        for entry in offered.charging_schedule.power_schedule.power_schedule_entries.power_schedule_entry
    ]
    return max(entries)


@pytest.mark.parametrize("house", [WAITS], indirect=True)
def test_the_car_waits_and_is_offered_what_was_delivered(house: VirtualBench) -> None:
    assert call(house, "offer.negotiate", for_s=300, source="csms", reason="a plan is made")["car_waits_s"] is None
    asked(house)
    house.run(20.0)
    assert answers(house)[-1].evse_processing == cm.Processing.Ongoing
    told: Any = call(house, "status")["offer"]
    assert told["negotiating"]["source"] == "csms"
    assert 15.0 < told["car_waits_s"] < 25.0
    assert any("csms negotiates" in line for line in render.offer(told))
    told = call(house, "offer.deliver", source="csms", slots=[{"duration_s": 86_400, "charge_w": 4000}])
    assert told["negotiating"] is None
    assert settled(house, 2.0) < 2.0
    assert most_w(house) <= 4000.0
    charging(house)
    assert max(sample.power_w for sample in house.samples) < 4200.0
    assert any("inside the plan of csms" in line for line in render.status(call(house, "status")))


@pytest.mark.parametrize("house", [WAITS], indirect=True)
def test_a_withdrawal_lets_the_car_have_our_own_plan_at_once(house: VirtualBench) -> None:
    call(house, "offer.negotiate", for_s=300)
    asked(house)
    house.run(5.0)
    assert answers(house)[-1].evse_processing == cm.Processing.Ongoing
    call(house, "offer.withdraw")
    assert settled(house, 2.0) < 2.0
    assert most_w(house) > 5000.0
    with pytest.raises(RpcError, match="neither negotiates"):
        call(house, "offer.withdraw")


@pytest.mark.parametrize(("house", "waits_s"), [(WAITS, 40.0), (LONGEST, 49.5)], indirect=["house"])
def test_nobody_keeps_a_car_waiting_for_ever(house: VirtualBench, waits_s: float) -> None:
    """A ready local answer by 50 s: the plan of the energy room, not the session's own schedule."""
    call(house, "offer.negotiate", for_s=3600)
    asked(house)
    assert waits_s - 1.0 < settled(house, 60.0) < waits_s + 1.0
    charging(house)
    assert not any("local" in event.text for event in house._journal.events())


@pytest.mark.parametrize("house", [WAITS], indirect=True)
def test_a_negotiation_is_over_when_its_time_is(house: VirtualBench) -> None:
    call(house, "offer.negotiate", for_s=25, source="csms")
    asked(house)
    assert settled(house, 30.0) < 25.0
    assert any("csms delivered nothing in time" in event.text for event in house._journal.events())
    assert call(house, "offer")["negotiating"] is None


def test_without_configuration_no_car_is_kept_waiting_but_a_plan_is_heard(house: VirtualBench) -> None:
    with pytest.raises(RpcError, match="wait_for_back_office_s is 0"):
        call(house, "offer.negotiate", for_s=10)
    now_s = int(house.outlet.world.utc_s())
    plan = [{"duration_s": 60, "charge_w": 1, "discharge_w": 2}]
    told: Any = call(house, "offer.deliver", slots=plan, start_utc_s=now_s)
    assert told["plan"]["source"] == "back-office"
    house.run(61.0)
    assert call(house, "offer")["plan"] is None, "it is over"
    with pytest.raises(RpcError, match="ended already"):
        call(house, "offer.deliver", slots=plan, start_utc_s=now_s)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("offer.negotiate", {"for_s": 0}),
        ("offer.negotiate", {"for_s": True}),
        ("offer.negotiate", {"for_s": 3601}),
        ("offer.negotiate", {"for_s": 10, "source": ""}),
        ("offer.negotiate", {"for_s": 10, "reason": 1}),
        ("offer.deliver", {}),
        ("offer.deliver", {"slots": []}),
        ("offer.deliver", {"slots": [{"duration_s": 60}]}),
        ("offer.deliver", {"slots": [{"duration_s": 60, "charge_w": 1, "more": 1}]}),
        ("offer.deliver", {"slots": [{"duration_s": 60.5, "charge_w": 1}]}),
        ("offer.deliver", {"slots": [{"duration_s": 60, "charge_w": "1"}]}),
        ("offer.deliver", {"slots": [{"duration_s": 60, "charge_w": float("nan")}]}),
        ("offer.deliver", {"slots": [{"duration_s": 60, "charge_w": 10**400}]}),
        ("offer.deliver", {"slots": [{"duration_s": 60, "charge_w": 1}], "start_utc_s": 0}),
    ],
)
def test_what_cannot_be_is_refused(house: VirtualBench, method: str, params: dict[str, Any]) -> None:
    with pytest.raises(RpcError):
        call(house, method, **params)
    assert call(house, "offer")["plan"] is None
