"""The quirk table: what public stacks disagree about is told to each vehicle as it reads it (protocol.md 0.2)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.quirks import QUIRK_FIELDS, Quirk
from evse_controller.secc.surroundings import Peer, Surroundings
from tests.secc.ev import header
from tests.secc.ev_ac import AC, AC_BPT, AcBench

EVEREST = Quirk(
    "WMIEV",
    overrides={"ac_three_phase_connector": 3, "islanding_parameter": "DetectionMethodGridCodeIslanding"},
    why="its stack reads the other numbering",
)
CERTIFIED = Quirk(common_name="DE0001", overrides={"ac_nominal_voltage_v": 400})
TABLE = SeccConfig(services=(AC, AC_BPT), quirks=(EVEREST, CERTIFIED))


def parameters(evccid: str, common_name: str | None = None) -> dict[str, Any]:
    bench = AcBench(TABLE, around=Surroundings(peer=Peer(common_name=common_name)))
    bench.session_id = bench.say(cm.SessionSetupReq(header(), evccid)).header.session_id
    bench.to("ServiceDetail")
    answer = bench.say(cm.ServiceDetailReq(header(), AC_BPT))
    first = answer.service_parameter_list.parameter_set[0]
    return {parameter.name: parameter.int_value for parameter in first.parameter}


def test_two_stacks_that_disagree_are_both_served() -> None:
    usual, other = parameters("JOSEV1"), parameters("wmiev4711")
    assert (usual["Connector"], "GridCodeIslandingDetectionMethod" in usual) == (2, True)
    assert (other["Connector"], "DetectionMethodGridCodeIslanding" in other) == (3, True)
    assert "GridCodeIslandingDetectionMethod" not in other


def test_the_vehicle_certificate_names_a_vehicle_too() -> None:
    assert parameters("ANY", "de0001")["EVSENominalVoltage"] == 400
    assert parameters("ANY", "DE0002")["EVSENominalVoltage"] == 230
    assert parameters("ANY")["EVSENominalVoltage"] == 230


def test_both_names_must_match_when_both_are_given() -> None:
    quirk = Quirk("AB", "CN1", {"dc_connector": 1})
    assert [quirk.matches(*who) for who in (("AB9", "cn1"), ("AB9", None), ("AC9", "CN1"), ("AB9", "CN2"))] == [
        True,
        False,
        False,
        False,
    ]


def test_later_quirks_win_and_no_match_changes_nothing() -> None:
    config = SeccConfig(quirks=(Quirk("A", overrides={"dc_connector": 1}), Quirk("AB", overrides={"dc_connector": 4})))
    assert config.for_vehicle("AB1", None).dc_connector == 4
    assert config.for_vehicle("A1", None).dc_connector == 1
    assert config.for_vehicle("X1", None) is config


def test_nothing_may_be_overridden_that_a_liar_could_gain_by() -> None:
    known = {field.name for field in fields(SeccConfig)}
    assert known >= QUIRK_FIELDS
    guarded = {
        "lab_tcp",
        "refuse_deviations",
        "max_message_bytes",
        "free_service",
        "check_pilot",
        "pause",
        "invalid_signature_fails",
        "metering_confirmation_signed",
        "currency",
        "local_price_per_kwh",
        "timers",
        "quirks",
    }
    assert not QUIRK_FIELDS & guarded
    for name in guarded & known:
        with pytest.raises(ValueError, match="must override"):
            Quirk("A", overrides={name: getattr(SeccConfig(), name)})


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Quirk(overrides={"dc_connector": 1}),
        lambda: Quirk("", "", {"dc_connector": 1}),
        lambda: Quirk("A"),
        lambda: Quirk("A", overrides={"no_such_thing": 1}),
        lambda: SeccConfig(quirks=(Quirk("A", overrides={"dc_connector": 9}),)),
        lambda: SeccConfig(quirks=(Quirk("A", overrides={"services": (1,)}),)),
    ],
)
def test_a_quirk_that_cannot_be_is_found_when_the_station_starts(wrong: Any) -> None:
    with pytest.raises(ValueError, match="must"):
        wrong()
