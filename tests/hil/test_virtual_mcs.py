"""A megawatt connector with a truck, whole: MCS and MCS_BPT, Scheduled and Dynamic, at more than 500 A."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import ControlMode
from evse_controller.model.pilot import PilotState
from hil.evcc import SERVICE_DC_BPT, SERVICE_MCS, SERVICE_MCS_BPT, EvccConfig, VehicleRatings
from hil.virtual import VirtualBench, hourly
from hil.virtual_config import megawatt

START = 1_724_752_800.0
PRICES = hourly(START, (100.0, 20.0, 400.0) + (100.0,) * 45)
DAY = megawatt(start_utc_s=START, prices=PRICES, speed=300.0)
TRUCK = EvccConfig(
    services=(SERVICE_MCS_BPT,),
    target_soc=60.0,
    departure_utc_s=START + 4 * 3600,
    ratings=VehicleRatings(800.0, 560.0, 1_200.0, 900.0, 900_000.0, 700_000.0),
    ramp_a_per_s=1000.0,
)

_BIG_METER = (2, 2, 5)
"""Decimal points of a meter with a shunt of 1000 A: counts of 0.1 V, 0.1 A, 100 W; with 0.01 A it ends at 327 A."""

MakeBench = Callable[..., VirtualBench]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[MakeBench]:
    made: list[VirtualBench] = []

    def make(vehicle: EvccConfig, settings: Any = DAY) -> VirtualBench:
        made.append(VirtualBench(tmp_path / str(len(made)), vehicle, settings))
        made[-1].plant.meter._exponents = _BIG_METER
        return made[-1]

    yield make
    for house in made:
        house.close()
    for house in made:
        house.check()


def answers(house: VirtualBench, kind: type) -> list[Any]:
    return [answer.message for answer in house.answers if isinstance(answer.message, kind)]


@pytest.mark.parametrize("service", [SERVICE_MCS, SERVICE_MCS_BPT])
@pytest.mark.parametrize("mode", list(ControlMode))
def test_a_truck_in_every_mode(bench: MakeBench, mode: ControlMode, service: int) -> None:
    both_ways = service == SERVICE_MCS_BPT
    soc, target = (0.4, 60.0) if both_ways else (0.15, 78.0)
    house = bench(
        replace(TRUCK, control_mode=mode, services=(service,), target_soc=target), replace(DAY, soc=soc)
    )
    house.session()
    assert house.evcc.failure is None, house.story()
    assert house.evcc.service_id == service
    currents = [sample.current_a for sample in house.samples]
    assert 500.0 < max(currents) <= 910.0
    if both_ways:
        assert -910.0 <= min(currents) < -500.0
    else:
        assert min(currents) > -1.0
    assert house.plant.inlet.soc_percent == pytest.approx(target, abs=7.0)
    assert not house.plant.world.evse_contactor.closed
    (record,) = house.outlet.journal.sessions()
    assert record.service == ("MCS_BPT" if both_ways else "MCS")
    assert record.charged_wh == pytest.approx(house.plant.inlet.charged_wh, rel=0.03)
    assert record.discharged_wh == pytest.approx(house.plant.inlet.discharged_wh, rel=0.03, abs=30.0)
    assert record.end_kind == "terminated"
    (limits,) = answers(house, dc.DC_ChargeParameterDiscoveryRes)
    told = limits.dc_cpd_res_energy_transfer_mode
    assert rational_value(told.evse_maximum_charge_current) == 900.0
    assert rational_value(told.evse_maximum_charge_power) == 640_000.0
    (details,) = answers(house, cm.ServiceDetailRes)
    parameters = {
        parameter.name: parameter.int_value
        for offered in details.service_parameter_list.parameter_set
        for parameter in offered.parameter
    }
    assert parameters["Connector"] == 1


@pytest.mark.parametrize(("ohm", "starts"), [(115_000.0, False), (135_000.0, True)])
@pytest.mark.parametrize("mcs", [True, False])
def test_the_cable_of_a_megawatt_connector_is_isolated_by_125_kohm_at_least(
    bench: MakeBench, mcs: bool, ohm: float, starts: bool
) -> None:
    """protocol.md E.4; 100 kohm are enough for CCS."""
    vehicle = TRUCK if mcs else replace(TRUCK, services=(SERVICE_DC_BPT,))
    world = replace(DAY.plant.world, cable_isolation_ohm=ohm, station_isolation_ohm=1e9, vehicle_isolation_ohm=1e9)
    house = bench(vehicle, replace(DAY, mcs=mcs, plant=replace(DAY.plant, world=world)))
    house.arrive()
    house.until(lambda: house.evcc.finished or house.outlet.station.status().phase == "energy", 60.0)
    if starts or not mcs:
        assert house.outlet.station.status().phase == "energy", house.story()
        house.evcc.request_stop("done")
        house.until(lambda: house.evcc.finished and house.outlet.at_rest, 60.0)
    else:
        assert "CableCheck" in str(house.evcc.failure)
        house.until(lambda: house.outlet.at_rest, 30.0)
        house.run(1.0)
        assert not house.plant.world.evse_contactor.closed
        assert any("isolation" in fault.code.value for fault in house.outlet.station.faults), house.story()


def test_a_truck_that_only_knows_ccs_is_told_no_service_of_its_own(bench: MakeBench) -> None:
    house = bench(replace(TRUCK, services=(SERVICE_DC_BPT,)))
    house.arrive()
    house.until(lambda: house.evcc.finished, 30.0)
    (offered,) = answers(house, cm.ServiceDiscoveryRes)
    assert {service.service_id for service in offered.energy_transfer_service_list.service} == {8, 9}
    house.until(lambda: house.outlet.at_rest, 30.0)
    assert house.outlet.snapshot().pilot is PilotState.B
