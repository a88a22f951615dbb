"""DC_ChargeParameterDiscovery: protocol.md B.6 and F.2 cases 39 to 41."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import RationalNumber, ResponseCode
from evse_controller.messages.rational import rational_value as value
from evse_controller.model.commands import LimitsNegotiated
from evse_controller.model.snapshot import DcRatings
from evse_controller.secc.config import SeccConfig
from tests.secc.ev import DC, DC_BPT, MCS, MCS_BPT, SNAPSHOT, Bench, cpd_mode, header


def discover(mode: Any, service: int = DC_BPT, config: SeccConfig | None = None, **snapshot: Any) -> tuple[Any, Bench]:
    bench = Bench(config or SeccConfig(), service=service).to("ChargeParameterDiscovery")
    bench.set(**snapshot)
    return bench.say(dc.DC_ChargeParameterDiscoveryReq(header(), mode)), bench


MEGAWATT = SeccConfig(services=(MCS_BPT, MCS, DC_BPT, DC))


@pytest.mark.parametrize("service", [DC, DC_BPT, MCS, MCS_BPT])
def test_case_39_variant_must_match_the_service(service: int) -> None:
    one_way = service in (DC, MCS)
    answer, _ = discover(cpd_mode(bidirectional=one_way), service, MEGAWATT)
    assert answer.response_code is ResponseCode.FAILED_WrongChargeParameter
    assert type(answer.dc_cpd_res_energy_transfer_mode).__name__.startswith("BPT") is one_way


@pytest.mark.parametrize("service", [MCS, MCS_BPT])
def test_megawatt_ratings_fit_into_a_message_and_are_never_rounded_up(service: int) -> None:
    big = DcRatings(1250.0, 150.0, 3000.0, 3_750_001.0, 3000.0, 3_750_001.0)
    answer, bench = discover(cpd_mode(service == MCS_BPT), service, MEGAWATT, ratings=big)
    assert answer.response_code is ResponseCode.OK
    assert value(answer.dc_cpd_res_energy_transfer_mode.evse_maximum_charge_power) == 3_750_000.0
    bench.to("SessionStop")
    assert bench.session.state_name == "SessionStop"


@pytest.mark.parametrize(
    "wrong",
    [
        {"ev_minimum_charge_power": 61_000.0},
        {"ev_minimum_charge_current": 201.0, "ev_maximum_charge_current": 300.0},
    ],
)
def test_case_41_a_least_beyond_what_the_station_gives_is_refused(wrong: dict[str, float]) -> None:
    answer, bench = discover(cpd_mode(True, **wrong))
    assert answer.response_code is ResponseCode.FAILED_WrongChargeParameter
    assert bench.commands_of(LimitsNegotiated) == []


def test_case_40_bpt_answers_discharge_ratings_positive() -> None:
    answer, bench = discover(cpd_mode(True))
    mode = answer.dc_cpd_res_energy_transfer_mode
    assert value(mode.evse_maximum_discharge_power) == 30_000
    assert value(mode.evse_maximum_discharge_current) == 100
    assert value(mode.evse_power_ramp_limitation) == 5000
    (negotiated,) = bench.commands_of(LimitsNegotiated)
    assert negotiated.limits.max_discharge_current_a == 50
    assert negotiated.limits.max_voltage_v == 450
    assert negotiated.target_soc == 80


def test_one_way_service_states_no_discharge_limits() -> None:
    _, bench = discover(cpd_mode(False), DC)
    (negotiated,) = bench.commands_of(LimitsNegotiated)
    assert negotiated.limits.max_discharge_power_w is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"ev_maximum_charge_current": -100.0},
        {"ev_maximum_discharge_power": -1.0},
        {"ev_minimum_charge_power": -1.0},
        {"ev_minimum_charge_power": 90_000.0},
        {"ev_minimum_discharge_current": 60.0},
        {"ev_minimum_voltage": 500.0},
        {"ev_maximum_voltage": 140.0, "ev_minimum_voltage": 100.0},
        {"ev_maximum_voltage": 1000.0, "ev_minimum_voltage": 930.0},
        {"ev_maximum_voltage": 0.0, "ev_minimum_voltage": 0.0},
    ],
    ids=lambda wrong: ",".join(f"{name}={number:g}" for name, number in wrong.items()),
)
def test_case_41_negative_inverted_or_disjoint_limits(wrong: dict[str, float]) -> None:
    answer, bench = discover(cpd_mode(True, **wrong))
    assert answer.response_code is ResponseCode.FAILED_WrongChargeParameter
    assert bench.commands_of(LimitsNegotiated) == []


def test_absurd_exponents_are_no_limits() -> None:
    mode = cpd_mode(True)
    mode.ev_maximum_charge_power = RationalNumber(127, 32767)
    answer, _ = discover(mode)
    assert answer.response_code is ResponseCode.FAILED_WrongChargeParameter


def test_negative_discharge_limits_are_accepted_only_as_a_quirk() -> None:
    quirk = SeccConfig(accept_negative_discharge_limits=True)
    mode = cpd_mode(True, ev_maximum_discharge_power=-20_000.0, ev_maximum_discharge_current=-50.0)
    answer, bench = discover(mode, config=quirk)
    assert answer.response_code is ResponseCode.OK
    assert bench.commands_of(LimitsNegotiated)[0].limits.max_discharge_current_a == 50


@given(
    high=st.floats(0, 1e6),
    low=st.floats(0, 1e6),
)
def test_ratings_are_rounded_to_the_safe_side(high: float, low: float) -> None:
    ratings = DcRatings(920.0, 150.0, high, high, high, high, low, low, low, low)
    answer, _ = discover(cpd_mode(True), ratings=ratings)
    mode = answer.dc_cpd_res_energy_transfer_mode
    for name in ("charge_power", "charge_current", "discharge_power", "discharge_current"):
        assert value(getattr(mode, f"evse_maximum_{name}")) <= high
        assert value(getattr(mode, f"evse_minimum_{name}")) >= low


def test_parameters_are_ratings_not_what_holds_now() -> None:
    present = SNAPSHOT.present.__class__(920.0, 150.0, 1.0, 100.0, 0.0, 0.0, True, True, False)
    answer, _ = discover(cpd_mode(True), present=present)
    assert value(answer.dc_cpd_res_energy_transfer_mode.evse_maximum_charge_power) == 60_000
