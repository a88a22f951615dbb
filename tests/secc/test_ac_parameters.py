"""AC_ChargeParameterDiscovery: protocol.md B.6 and F.2 cases 39 to 41 for AC."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages.generated import ac
from evse_controller.messages.generated.common_types import RationalNumber, ResponseCode
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import LimitsNegotiated
from evse_controller.model.power import PhasePower
from evse_controller.secc.config import SeccConfig
from tests.secc.ev import header
from tests.secc.ev_ac import AC, AC_BPT, RATINGS, SINGLE, AcBench, cpd_mode, three

WRONG = ResponseCode.FAILED_WrongChargeParameter


def ask(mode: Any, service: int = AC_BPT, config: SeccConfig | None = None, **snapshot: Any) -> tuple[AcBench, Any]:
    bench = AcBench(service=service) if config is None else AcBench(config, service=service)
    bench.to("ChargeParameterDiscovery").set(**snapshot)
    return bench, bench.say(ac.AC_ChargeParameterDiscoveryReq(header(), mode))


def values(mode: Any) -> dict[str, float]:
    return {
        name: rational_value(number) for name in type(mode).__slots__ if (number := getattr(mode, name)) is not None
    }


def test_case_40_ratings_per_phase_asymmetry_ramp_and_positive_discharge_limits() -> None:
    bench, answer = ask(cpd_mode(True))
    assert answer.response_code is ResponseCode.OK
    assert bench.state == "ScheduleExchange"
    expected = {"evse_nominal_frequency": 50.0, "maximum_power_asymmetry": 4600.0, "evse_power_ramp_limitation": 5000.0}
    for phase in ("", "_l2", "_l3"):
        expected[f"evse_maximum_charge_power{phase}"] = 7360.0
        expected[f"evse_minimum_charge_power{phase}"] = 0.0
        expected[f"evse_maximum_discharge_power{phase}"] = 3680.0
        expected[f"evse_minimum_discharge_power{phase}"] = 0.0
        expected[f"evse_present_active_power{phase}"] = 1500.0
    assert values(answer.ac_cpd_res_energy_transfer_mode) == expected


def test_a_single_phase_outlet_says_one_number_and_a_one_way_service_nothing_of_discharge() -> None:
    _, answer = ask(cpd_mode(False), AC, ac_ratings=SINGLE)
    said = values(answer.ac_cpd_res_energy_transfer_mode)
    assert said["evse_maximum_charge_power"] == 7360.0
    assert not any("discharge" in name for name in said)
    assert "evse_maximum_charge_power_l2" not in said


def test_ratings_are_rounded_to_the_safe_side() -> None:
    ratings = replace(RATINGS, max_charge_w=three(123_456.7), min_charge_w=three(123_456.6))
    _, answer = ask(
        cpd_mode(True, ev_maximum_charge_power=2e5, ev_maximum_charge_power_l2=2e5, ev_maximum_charge_power_l3=2e5),
        ac_ratings=ratings,
    )
    said = values(answer.ac_cpd_res_energy_transfer_mode)
    assert said["evse_maximum_charge_power"] == 123_450.0  # 16 bits hold no more
    assert said["evse_minimum_charge_power"] <= said["evse_maximum_charge_power"]


@pytest.mark.parametrize(("service", "bidirectional"), [(AC, True), (AC_BPT, False)])
def test_case_39_ac_variant_must_match_the_service(service: int, bidirectional: bool) -> None:
    _, answer = ask(cpd_mode(bidirectional), service)
    assert answer.response_code is WRONG


@pytest.mark.parametrize(
    "changes",
    [
        {"ev_maximum_charge_power": -1.0},
        {"ev_minimum_charge_power": -1.0},
        {"ev_maximum_charge_power_l3": -1.0},
        {"ev_maximum_discharge_power": -3000.0},
        {"ev_minimum_discharge_power_l2": -1.0},
        {"ev_minimum_charge_power": 3700.0},
        {"ev_minimum_charge_power_l2": 3700.0},
        {"ev_minimum_discharge_power_l3": 3001.0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_case_41_negative_or_inverted_ac_limits_are_refused(changes: dict[str, float]) -> None:
    bench, answer = ask(cpd_mode(True, **changes))
    assert answer.response_code is WRONG
    assert bench.commands_of(LimitsNegotiated) == []
    assert bench.state == "Ended"


@pytest.mark.parametrize("exponent", [127, 40, 10])
@pytest.mark.parametrize(
    "name", ["ev_maximum_charge_power", "ev_maximum_charge_power_l2", "ev_maximum_discharge_power"]
)
def test_case_41_nan_like_ac_limits_are_refused(name: str, exponent: int) -> None:
    mode = cpd_mode(True)
    setattr(mode, name, RationalNumber(exponent, 32767))
    assert ask(mode)[1].response_code is WRONG


def test_case_41_no_power_in_common_is_refused() -> None:
    big = {f"ev_{end}_charge_power{phase}": 9000.0 for end in ("maximum", "minimum") for phase in ("", "_l2", "_l3")}
    assert ask(cpd_mode(True, **big))[1].response_code is WRONG
    needy = replace(RATINGS, min_charge_w=three(4000.0))
    small = {f"ev_maximum_charge_power{phase}": 1000.0 for phase in ("", "_l2", "_l3")}
    assert ask(cpd_mode(True, **small), ac_ratings=needy)[1].response_code is WRONG
    # A vehicle of one phase that takes what one phase gives at least.
    single = ac.AC_CPDReqEnergyTransferMode(RationalNumber(0, 4000), RationalNumber(0, 0))
    assert ask(single, AC, ac_ratings=needy)[1].response_code is ResponseCode.OK


def test_negative_discharge_limits_are_a_quirk() -> None:
    quirk = SeccConfig(services=(AC, AC_BPT), accept_negative_discharge_limits=True)
    changes = {f"ev_maximum_discharge_power{phase}": -3000.0 for phase in ("", "_l2", "_l3")}
    bench, answer = ask(cpd_mode(True, **changes), config=quirk)
    assert answer.response_code is ResponseCode.OK
    (negotiated,) = bench.commands_of(LimitsNegotiated)
    assert negotiated.limits.max_discharge_w == three(3000.0)


def test_an_outlet_without_ac_ratings_offers_no_ac_service() -> None:
    bench = AcBench().to("ServiceDiscovery")
    bench.set(ac_ratings=None, ac_present=None)
    bench._step()
    assert bench.state == "Ended"


_numbers = st.builds(RationalNumber, st.integers(-128, 127), st.integers(-32768, 32767))


@settings(max_examples=200, deadline=None)
@given(st.data(), st.booleans())
def test_any_limits_are_negotiated_sane_or_refused(data: st.DataObject, bidirectional: bool) -> None:
    """Whatever the schema allows: no exception, and what is negotiated is finite, >= 0 and not inverted."""
    kind: Any = ac.BPT_AC_CPDReqEnergyTransferMode if bidirectional else ac.AC_CPDReqEnergyTransferMode
    mode = kind(
        **{field.name: data.draw(_numbers if field.low else st.none() | _numbers) for field in kind.FIELDS}
    )
    bench, answer = ask(mode, AC_BPT if bidirectional else AC)
    assert answer.response_code in (ResponseCode.OK, WRONG)
    for command in bench.commands_of(LimitsNegotiated):
        limits = command.limits
        for low, high in ((limits.min_charge_w, limits.max_charge_w), (limits.min_discharge_w, limits.max_discharge_w)):
            if high is None:
                continue
            for power in (low, high):
                assert all(0 <= value <= 1e9 for value in _parts(power))
            assert low.total_w <= high.total_w or low.per_phase
    assert len(bench.commands_of(LimitsNegotiated)) == (answer.response_code is ResponseCode.OK)


def _parts(power: PhasePower) -> list[float]:
    return [value for value in (power.l1_w, power.l2_w, power.l3_w) if value is not None]
