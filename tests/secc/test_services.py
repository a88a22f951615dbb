"""ServiceDiscovery, Detail, Selection: protocol.md B.5 and F.2 cases 33 to 38."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.messages.rational import rational_value
from evse_controller.model.commands import ControlMode, ServiceSelected
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.catalogue import SERVICES, offered_set
from evse_controller.secc.value_added import CustomService, CustomSet, Internet, ParkingStatus
from tests.secc.ev import DC, DC_BPT, DYNAMIC, MCS, MCS_BPT, SCHEDULED, SNAPSHOT, Bench, header, selection
from tests.secc.ev_ac import AC, AC_BPT, AC_SNAPSHOT, SINGLE, AcBench


def discover(bench: Bench, *wanted: int) -> Any:
    ids = cm.ServiceIDList(list(wanted)) if wanted else None
    return bench.to("ServiceDiscovery").say(cm.ServiceDiscoveryReq(header(), ids))


def value(parameter: cm.Parameter) -> Any:
    for name in ("bool_value", "int_value", "finite_string", "byte_value", "short_value"):
        if getattr(parameter, name) is not None:
            return getattr(parameter, name)
    assert parameter.rational_number is not None
    return rational_value(parameter.rational_number)


def detail(bench: Bench, service: int) -> dict[int, dict[str, Any]]:
    """Parameter sets by id, names in the order in which they were sent."""
    answer = bench.say(cm.ServiceDetailReq(header(), service))
    assert answer.response_code is ResponseCode.OK
    assert answer.service_id == service
    return {
        entry.parameter_set_id: {parameter.name: value(parameter) for parameter in entry.parameter}
        for entry in answer.service_parameter_list.parameter_set
    }


@pytest.mark.parametrize("wanted", [(), (2,), (65,), (4711,)])
def test_case_33_filter_never_empties_the_energy_services(wanted: tuple[int, ...]) -> None:
    answer = discover(Bench(), *wanted)
    assert [entry.service_id for entry in answer.energy_transfer_service_list.service] == [DC, DC_BPT]
    assert answer.vas_list is None
    assert answer.service_renegotiation_supported is True


@pytest.mark.parametrize(("wanted", "energy"), [((2,), [DC]), ((65,), [DC, DC_BPT]), ((), [DC, DC_BPT])])
def test_case_33_filtering_energy_services_is_configuration_and_never_empties(
    wanted: tuple[int, ...], energy: list[int]
) -> None:
    answer = discover(Bench(SeccConfig(filter_energy_services=True)), *wanted)
    assert [entry.service_id for entry in answer.energy_transfer_service_list.service] == energy


def test_service_renegotiation_is_announced_as_configured() -> None:
    answer = discover(Bench(SeccConfig(service_renegotiation=False)))
    assert answer.service_renegotiation_supported is False


def test_bpt_is_offered_only_where_the_outlet_can_feed_back() -> None:
    bench = Bench()
    bench.set(bidirectional=False)
    answer = discover(bench)
    assert [entry.service_id for entry in answer.energy_transfer_service_list.service] == [DC]
    assert bench.say(cm.ServiceDetailReq(header(), DC_BPT)).response_code is ResponseCode.FAILED_ServiceIDInvalid


def test_preference_and_free_service_come_from_the_configuration() -> None:
    answer = discover(Bench(SeccConfig(services=(6, 2), free_service=True)))
    offered = [(entry.service_id, entry.free_service) for entry in answer.energy_transfer_service_list.service]
    assert offered == [(DC_BPT, True), (DC, True)]


def test_no_service_at_all_is_a_failure_not_an_empty_list() -> None:
    bench = Bench(SeccConfig(services=(6,)))
    bench.set(bidirectional=False)
    assert discover(bench).response_code is ResponseCode.FAILED


@pytest.mark.parametrize("config", [SeccConfig(), SeccConfig(services=(MCS, DC))])
def test_energy_by_dc_is_not_offered_at_an_ac_outlet_whatever_the_configuration_says(config: SeccConfig) -> None:
    assert discover(Bench(config, snapshot=AC_SNAPSHOT)).response_code is ResponseCode.FAILED
    assert discover(AcBench(snapshot=SNAPSHOT)).response_code is ResponseCode.FAILED


@pytest.mark.parametrize("unknown", [4711, AC, 3, 4, 7, 10, 11, 65, 66])
def test_case_34_detail_of_a_service_that_is_not_offered(unknown: int) -> None:
    bench = Bench().to("ServiceDetail")
    assert bench.say(cm.ServiceDetailReq(header(), unknown)).response_code is ResponseCode.FAILED_ServiceIDInvalid


BPT = {"BPTChannel": 1, "GeneratorMode": 1}
ISLANDING = {"GridCodeIslandingDetectionMethod": 1}


@pytest.mark.parametrize(
    ("service", "head", "tail"),
    [
        (DC, {"Connector": 2}, {}),
        (DC_BPT, {"Connector": 2}, BPT),
        (MCS, {"Connector": 1}, {}),
        (MCS_BPT, {"Connector": 1}, BPT),
    ],
)
def test_parameters_of_every_dc_service_in_the_order_of_the_field(
    service: int, head: dict[str, int], tail: dict[str, int]
) -> None:
    bench = Bench(SeccConfig(services=(DC, DC_BPT, MCS, MCS_BPT))).to("ServiceDetail")
    sets = detail(bench, service)
    scheduled = head | {"ControlMode": 1, "MobilityNeedsMode": 1, "Pricing": 1} | tail
    dynamic = head | {"ControlMode": 2, "MobilityNeedsMode": 1, "Pricing": 0} | tail
    assert sets == {1: scheduled, 2: dynamic}
    assert [list(entry) for entry in sets.values()] == [list(scheduled), list(dynamic)]


@pytest.mark.parametrize(("service", "tail"), [(AC, {}), (AC_BPT, BPT | ISLANDING)])
def test_parameters_of_both_ac_services(service: int, tail: dict[str, int]) -> None:
    sets = detail(AcBench().to("ServiceDetail"), service)
    head = {"Connector": 2, "ControlMode": 1, "EVSENominalVoltage": 230}
    assert sets[1] == head | {"MobilityNeedsMode": 1, "Pricing": 1} | tail
    assert list(sets[1]) == [*head, "MobilityNeedsMode", "Pricing", *tail]
    assert sets[2] == head | {"ControlMode": 2, "MobilityNeedsMode": 1, "Pricing": 0} | tail


@pytest.mark.parametrize(
    ("changes", "name", "expected"),
    [
        ({"ac_three_phase_connector": 3}, "Connector", 3),
        ({"ac_nominal_voltage_v": 400}, "EVSENominalVoltage", 400),
        ({"islanding_parameter": "DetectionMethodGridCodeIslanding"}, "DetectionMethodGridCodeIslanding", 1),
        ({"islanding_method": 2}, "GridCodeIslandingDetectionMethod", 2),
        ({"bpt_channel": 2}, "BPTChannel", 2),
        ({"generator_mode": 2}, "GeneratorMode", 2),
        ({"scheduled_pricing": 2}, "Pricing", 2),
    ],
    ids=lambda value: str(value),
)
def test_where_two_stacks_disagree_the_configuration_decides(
    changes: dict[str, Any], name: str, expected: int
) -> None:
    bench = AcBench(SeccConfig(services=(AC, AC_BPT), **changes)).to("ServiceDetail")
    assert detail(bench, AC_BPT)[1][name] == expected


@pytest.mark.parametrize("connector", [1, 2, 3, 4])
def test_dc_connector_is_configuration(connector: int) -> None:
    assert detail(Bench(SeccConfig(dc_connector=connector)).to("ServiceDetail"), DC)[1]["Connector"] == connector


@pytest.mark.parametrize("connector", range(1, 8))
def test_mcs_connector_is_configuration(connector: int) -> None:
    bench = Bench(SeccConfig(services=(MCS,), mcs_connector=connector)).to("ServiceDetail")
    assert detail(bench, MCS)[1]["Connector"] == connector


def test_a_single_phase_outlet_says_connector_1() -> None:
    bench = AcBench(snapshot=replace(AC_SNAPSHOT, ac_ratings=SINGLE)).to("ServiceDetail")
    assert detail(bench, AC)[1]["Connector"] == 1


def test_order_of_sets_is_preference_and_ids_do_not_change_with_it() -> None:
    config = SeccConfig(control_modes=(ControlMode.DYNAMIC, ControlMode.SCHEDULED))
    sets = detail(Bench(config).to("ServiceDetail"), DC)
    assert list(sets) == [2, 1]
    assert sets[2]["ControlMode"] == 2


@pytest.mark.parametrize(("modes", "ids"), [((1,), [1, 2]), ((2,), [1, 3]), ((1, 2), [1, 2, 3]), ((2, 1), [1, 3, 2])])
def test_case_38_mobility_needs_mode_2_goes_with_dynamic_only_and_ids_stay(
    modes: tuple[int, ...], ids: list[int]
) -> None:
    sets = detail(Bench(SeccConfig(mobility_needs_modes=modes)).to("ServiceDetail"), DC)
    assert list(sets) == ids
    meaning = {set_id: (entry["ControlMode"], entry["MobilityNeedsMode"]) for set_id, entry in sets.items()}
    assert meaning == {set_id: {1: (1, 1), 2: (2, 1), 3: (2, 2)}[set_id] for set_id in ids}


@pytest.mark.parametrize("service", [DC, DC_BPT, MCS, MCS_BPT])
@pytest.mark.parametrize("parameter_set", [1, 2, 3])
def test_case_38_each_offered_pair_is_accepted(service: int, parameter_set: int) -> None:
    config = SeccConfig(services=(DC, DC_BPT, MCS, MCS_BPT), mobility_needs_modes=(1, 2))
    bench = Bench(config, service=service).to("ServiceSelection")
    assert bench.say(selection(service, parameter_set)).response_code is ResponseCode.OK
    assert bench.state == "ChargeParameterDiscovery"
    (selected,) = bench.commands_of(ServiceSelected)
    assert (selected.service_id, selected.parameter_set_id, selected.ac) == (service, parameter_set, False)
    assert selected.bidirectional is (service in (DC_BPT, MCS_BPT))
    assert selected.mobility_needs_mode == (2 if parameter_set == 3 else 1)


@pytest.mark.parametrize("service", [AC, AC_BPT])
@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
def test_case_38_each_offered_ac_pair_is_accepted(service: int, mode: int) -> None:
    bench = AcBench(service=service).to("ServiceSelection")
    assert bench.say(selection(service, mode)).response_code is ResponseCode.OK
    (selected,) = bench.commands_of(ServiceSelected)
    assert (selected.service_id, selected.bidirectional, selected.ac) == (service, service == AC_BPT, True)


UNKNOWN = ResponseCode.FAILED_ServiceSelectionInvalid
NO_ENERGY = ResponseCode.FAILED_NoEnergyTransferServiceSelected


@pytest.mark.parametrize(
    ("asked", "chosen", "code"),
    [
        (DC, selection(DC, 3), UNKNOWN),
        (DC, selection(DC_BPT, 1), UNKNOWN),
        (DC, selection(1, 1), UNKNOWN),
        (DC, selection(DC, 1, (65, 3)), UNKNOWN),
        (DC, selection(DC, 1, (2, 2)), UNKNOWN),
        (DC, selection(65, 3), NO_ENERGY),
    ],
    ids=["35 set never sent", "36 detail never asked", "not offered", "37 vas pair", "energy as vas", "vas as energy"],
)
def test_case_35_36_37_only_pairs_sent_in_this_session(asked: int, chosen: Any, code: ResponseCode) -> None:
    bench = Bench(service=asked).to("ServiceSelection")
    assert bench.say(chosen).response_code is code


@pytest.mark.parametrize(("chosen", "code"), [(selection(1, 1), NO_ENERGY), (selection(DC, 3), UNKNOWN)])
def test_the_code_for_an_unknown_energy_service_is_configuration(chosen: Any, code: ResponseCode) -> None:
    bench = Bench(SeccConfig(unknown_service_is_no_energy=True), service=DC).to("ServiceSelection")
    assert bench.say(chosen).response_code is code


def test_details_may_be_asked_for_each_service_and_all_stay_valid() -> None:
    bench = Bench(service=DC).to("ServiceSelection")
    detail(bench, DC_BPT)
    assert bench.say(selection(DC, 1)).response_code is ResponseCode.OK


def test_an_offer_that_the_outlet_cannot_keep_any_more_is_not_selected() -> None:
    bench = Bench(service=DC_BPT).to("ServiceSelection")
    bench.set(bidirectional=False)
    assert bench.say(selection(DC_BPT, 1)).response_code is UNKNOWN
    assert bench.commands_of(ServiceSelected) == []


def test_a_pair_means_the_same_later_or_nothing() -> None:
    config = SeccConfig(mobility_needs_modes=(1, 2))
    found = offered_set(config, SNAPSHOT, DC_BPT, 3)
    assert found is not None
    assert (found.control_mode, found.mobility_needs_mode, found.bidirectional) == (ControlMode.DYNAMIC, 2, True)
    assert offered_set(SeccConfig(), SNAPSHOT, DC_BPT, 3) is None
    assert offered_set(config, replace(SNAPSHOT, bidirectional=False), DC_BPT, 3) is None
    assert offered_set(config, AC_SNAPSHOT, DC_BPT, 3) is None
    assert set(SERVICES) == {1, 2, 5, 6, 8, 9}


# -- value-added services ------------------------------------------------------------------------------------------

CUSTOM = CustomService(
    4000, (CustomSet(1, (("Wash", True), ("Minutes", 12), ("Price", 2.5), ("Kind", "foam"))),), free=False
)
EXTRAS = SeccConfig(internet=Internet((80, 443)), parking=ParkingStatus(), custom_services=(CUSTOM,))


def test_value_added_services_are_offered_and_filtered() -> None:
    offered = discover(Bench(EXTRAS)).vas_list.service
    assert [(entry.service_id, entry.free_service) for entry in offered] == [(65, True), (66, True), (4000, False)]
    assert [entry.service_id for entry in discover(Bench(EXTRAS), 66, 2).vas_list.service] == [66]
    assert discover(Bench(EXTRAS), 2).vas_list is None


def test_internet_sets_have_fixed_ids() -> None:
    assert detail(Bench(EXTRAS).to("ServiceDetail"), 65) == {
        3: {"Protocol": "http", "Port": 80},
        4: {"Protocol": "https", "Port": 443},
    }
    every = detail(Bench(SeccConfig(internet=Internet())).to("ServiceDetail"), 65)
    assert {set_id: entry["Port"] for set_id, entry in every.items()} == {1: 20, 2: 21, 3: 80, 4: 443}


def test_parking_and_custom_sets_say_what_is_configured() -> None:
    bench = Bench(EXTRAS).to("ServiceDetail")
    assert detail(bench, 66) == {
        1: {"IntendedService": 1, "ParkingStatusType": 4},
        2: {"IntendedService": 2, "ParkingStatusType": 4},
    }
    assert detail(bench, 4000) == {1: {"Wash": True, "Minutes": 12, "Price": 2.5, "Kind": "foam"}}


def test_case_37_chosen_extras_are_told_to_the_station_and_must_have_been_sent() -> None:
    bench = Bench(EXTRAS).to("ServiceSelection")
    detail(bench, 65)
    detail(bench, 4000)
    assert bench.say(selection(DC_BPT, 1, (65, 4), (4000, 1), (65, 4))).response_code is ResponseCode.OK
    assert bench.commands_of(ServiceSelected)[0].value_added == ((65, 4), (4000, 1))
    for wrong in ((65, 1), (66, 1), (4000, 2)):
        bench = Bench(EXTRAS).to("ServiceSelection")
        detail(bench, 65)
        detail(bench, 4000)
        assert bench.say(selection(DC_BPT, 1, wrong)).response_code is UNKNOWN


def test_case_37_a_custom_service_is_no_energy() -> None:
    bench = Bench(EXTRAS).to("ServiceSelection")
    detail(bench, 4000)
    assert bench.say(selection(4000, 1)).response_code is NO_ENERGY


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Internet(()),
        lambda: Internet((22,)),
        lambda: Internet((80, 80)),
        lambda: ParkingStatus(intended=(3,)),
        lambda: ParkingStatus(status_type=5),
        lambda: ParkingStatus(space=40_000),
        lambda: CustomService(66, (CustomSet(1, (("a", 1),)),)),
        lambda: CustomService(70_000, (CustomSet(1, (("a", 1),)),)),
        lambda: CustomService(67, ()),
        lambda: CustomService(67, (CustomSet(1, (("a", 1),)), CustomSet(1, (("a", 1),)))),
        lambda: CustomSet(0, (("a", 1),)),
        lambda: CustomSet(1, ()),
        lambda: CustomSet(1, (("a" * 81, 1),)),
        lambda: CustomSet(1, (("a", "b" * 81),)),
        lambda: CustomSet(1, (("a", 2**31),)),
        lambda: CustomSet(1, (("a", float("nan")),)),
    ],
)
def test_value_added_services_are_checked_before_any_ev_comes(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"must|got"):
        wrong()


@pytest.mark.parametrize(
    "wrong",
    [
        {"control_modes": (ControlMode.SCHEDULED,)},
        {"scheduled_pricing": 3},
        {"discharge_schedule_sign": 0},
        {"services": (1, 2)},
        {"services": (3,)},
        {"services": (10,)},
        {"services": (2, 2)},
        {"services": ()},
        {"mobility_needs_modes": ()},
        {"mobility_needs_modes": (1, 3)},
        {"mobility_needs_modes": (1, 1)},
        {"dc_connector": 0},
        {"mcs_connector": 8},
        {"ac_three_phase_connector": 1},
        {"ac_nominal_voltage_v": 12},
        {"islanding_method": 3},
        {"islanding_parameter": ""},
        {"bpt_channel": 0},
        {"generator_mode": 3},
        {"ack_max_delay_s": 0},
        {"custom_services": (CUSTOM, CUSTOM)},
    ],
    ids=str,
)
def test_configuration_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        SeccConfig(**wrong)
