"""The vehicle with an on-board charger against the real SECC in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evse_controller.messages.generated import ac
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.rational import rational_nearest
from evse_controller.model import commands as c
from evse_controller.model.commands import ControlMode
from evse_controller.model.pilot import PilotState
from hil.evcc import (
    AC_PROTOCOLS,
    SERVICE_AC,
    SERVICE_AC_BPT,
    AcRatings,
    Act,
    Deviation,
    EvccConfig,
    Step,
)
from hil.evcc.ac import AcControl, spread, total
from tests.hil.fake_house import FakeCharger, FakeInlet, House, offer

BASE = EvccConfig(protocols=AC_PROTOCOLS, services=(SERVICE_AC_BPT,), stop_after_loop_s=4.0)
DYNAMIC = replace(BASE, control_mode=ControlMode.DYNAMIC)


@pytest.mark.parametrize("per_phase", [True, False])
@pytest.mark.parametrize("service", [SERVICE_AC, SERVICE_AC_BPT])
@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_whole_ac_session_in_every_mode(mode: ControlMode, service: int, per_phase: bool) -> None:
    house = House(replace(BASE, services=(service,), control_mode=mode, ac=AcRatings(per_phase=per_phase)))
    house.outlet.dynamic_w = 6_000.0
    house.run()
    assert house.evcc.failure is None
    (selected,) = house.outlet.of(c.ServiceSelected)
    assert (selected.service_id, selected.ac) == (service, True)
    assert max(house.outlet.charged_w) > 5_000.0
    assert house.outlet.inlet.pilot is PilotState.B
    assert house.outlet.inlet.charger.power_w == 0.0
    (end,) = house.outlet.of(c.SessionEnded)
    assert end.kind is c.EndKind.TERMINATED


@pytest.mark.parametrize("told_w", [7_000.0, -4_000.0])
def test_in_dynamic_mode_the_charger_follows_the_stations_target(told_w: float) -> None:
    house = House(DYNAMIC)
    house.outlet.dynamic_w = told_w
    house.run()
    assert house.outlet.charged_w[-1] == pytest.approx(told_w, rel=0.01)


def test_scheduled_charges_cheap_and_discharges_dear_by_its_own_plan() -> None:
    house = House(replace(BASE, stop_after_loop_s=90.0, target_soc=45.0), utc_speed=60.0).run()
    assert house.evcc.failure is None
    assert max(house.outlet.charged_w) == pytest.approx(11_000.0, rel=0.02)
    assert min(house.outlet.charged_w) == pytest.approx(-9_000.0, rel=0.02)


def test_pilot_state_c_comes_after_power_delivery_start_and_b_before_session_stop() -> None:
    house = House(BASE)
    seen: list[tuple[type, PilotState]] = []
    original = house.outlet.command
    house.outlet.command = lambda what, now_s: (seen.append((type(what), house.outlet.inlet.pilot)),
                                                original(what, now_s))[-1]
    house.run()
    pilots = dict(reversed(seen))
    assert pilots[c.EnergyStart] is PilotState.B
    assert pilots[c.AcLoopUpdate] is PilotState.C
    assert pilots[c.SessionEnded] is PilotState.B


def test_the_charger_rests_before_power_delivery_stop() -> None:
    house = House(DYNAMIC)
    house.outlet.dynamic_w = 9_000.0
    at_stop_w = []
    original = house.outlet.command

    def command(what: c.Command, now_s: float) -> None:
        if isinstance(what, c.EnergyStop):
            at_stop_w.append(house.outlet.inlet.charger.power_w)
        original(what, now_s)

    house.outlet.command = command
    house.run()
    assert at_stop_w == [0.0]


def test_a_vehicle_that_stays_in_state_b_gets_no_contactor() -> None:
    house = House(replace(BASE, deviations=frozenset({Deviation.STAYS_IN_STATE_B}))).run()
    assert "FAILED_ContactorError" in str(house.evcc.failure)
    assert not house.outlet.inlet.charger.closed


def test_overdrawing_is_really_on_the_line() -> None:
    house = House(replace(DYNAMIC, deviations=frozenset({Deviation.OVERDRAWS})))
    house.outlet.dynamic_w = 4_000.0
    house.run()
    assert max(house.outlet.charged_w) == pytest.approx(6_000.0, rel=0.01)


@pytest.mark.parametrize("act", [Act.RENEGOTIATE, Act.RENEGOTIATE_BESIDE, Act.STANDBY])
@pytest.mark.parametrize("mode", list(ControlMode))
def test_the_acts_of_the_loop_go_with_ac_too(mode: ControlMode, act: Act) -> None:
    house = House(replace(BASE, control_mode=mode, script=(Step(act),), stop_after_loop_s=12.0))
    house.outlet.dynamic_w = 5_000.0
    house.run()
    assert house.evcc.failure is None
    assert house.evcc.done[0] is act


def test_from_ac_to_ac_bpt_without_unplugging() -> None:
    step = Step(Act.CHANGE_SERVICE, changes={"services": (SERVICE_AC_BPT,)})
    house = House(replace(BASE, services=(SERVICE_AC,), script=(step,), stop_after_loop_s=8.0)).run()
    assert house.evcc.failure is None
    assert [command.service_id for command in house.outlet.of(c.ServiceSelected)] == [SERVICE_AC, SERVICE_AC_BPT]
    starts = [e for e in house.evcc.exchanges if isinstance(e.request, cm.PowerDeliveryReq)
              and e.request.charge_progress is cm.ChargeProgress.Start]
    assert len(starts) == 2


def test_without_a_discharging_schedule_nothing_is_given() -> None:
    house = House(replace(BASE, stop_after_loop_s=60.0, target_soc=45.0), utc_speed=60.0)
    house.outlet.offer = offer(discharge_w=None)
    house.run()
    assert min(house.outlet.charged_w) >= 0.0


@pytest.mark.parametrize(("planned_w", "target_w", "wanted_w"), [
    (8_000.0, None, 8_000.0),
    (8_000.0, 3_000.0, 3_000.0),
    (-8_000.0, -2_000.0, -2_000.0),
    (8_000.0, -2_000.0, 8_000.0),  # a bound of the other direction
    (8_000.0, 0.0, 0.0),
    (None, 5_000.0, 5_000.0),
    (None, 1_000.0, 0.0),  # below what this charger can do at all
    (20_000.0, None, 11_000.0),
])
def test_what_the_charger_is_set_to(planned_w: float | None, target_w: float | None, wanted_w: float) -> None:
    control = AcControl(EvccConfig(), FakeInlet(charger=FakeCharger()))
    control.max_charge_w = control.max_discharge_w = 22_000.0
    control.target_w = target_w
    assert control.power_w(planned_w, bidirectional=True) == wanted_w


def test_a_power_is_spread_over_phases_and_summed_again() -> None:
    figures = spread("evse_target_active_power", -6_600.0, 3, rational_nearest)
    assert total(ac.Scheduled_AC_CLResControlMode(**figures), "evse_target_active_power") == pytest.approx(-6_600.0)
    assert total(ac.Scheduled_AC_CLResControlMode(), "evse_target_active_power") is None
