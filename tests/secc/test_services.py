"""ServiceDiscovery, Detail, Selection: protocol.md B.5 and F.2 cases 33 to 38."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import ControlMode
from evse_controller.secc.config import SeccConfig
from tests.secc.ev import DC, DC_BPT, DYNAMIC, SCHEDULED, Bench, header, selection


def discover(bench: Bench, *wanted: int) -> Any:
    ids = cm.ServiceIDList(list(wanted)) if wanted else None
    return bench.to("ServiceDiscovery").say(cm.ServiceDiscoveryReq(header(), ids))


def detail(bench: Bench, service: int) -> dict[int, dict[str, int]]:
    answer = bench.say(cm.ServiceDetailReq(header(), service))
    assert answer.response_code is ResponseCode.OK
    return {
        entry.parameter_set_id: {parameter.name: parameter.int_value for parameter in entry.parameter}
        for entry in answer.service_parameter_list.parameter_set
    }


@pytest.mark.parametrize("wanted", [(), (2,), (65,), (4711,)])
def test_case_33_filter_never_empties_the_energy_services(wanted: tuple[int, ...]) -> None:
    answer = discover(Bench(), *wanted)
    assert [entry.service_id for entry in answer.energy_transfer_service_list.service] == [DC, DC_BPT]
    assert answer.vas_list is None
    assert answer.service_renegotiation_supported is False


def test_bpt_is_offered_only_where_the_outlet_can_feed_back() -> None:
    bench = Bench()
    bench.set(bidirectional=False)
    answer = discover(bench)
    assert [entry.service_id for entry in answer.energy_transfer_service_list.service] == [DC]
    assert bench.say(cm.ServiceDetailReq(header(), DC_BPT)).response_code is ResponseCode.FAILED_ServiceIDInvalid


def test_case_34_unknown_service_id() -> None:
    bench = Bench().to("ServiceDetail")
    assert bench.say(cm.ServiceDetailReq(header(), 65)).response_code is ResponseCode.FAILED_ServiceIDInvalid


def test_parameter_sets_name_both_control_modes_and_bpt_its_own() -> None:
    bench = Bench().to("ServiceDetail")
    scheduled = {"Connector": 2, "ControlMode": 1, "MobilityNeedsMode": 1, "Pricing": 1}
    dynamic = {"Connector": 2, "ControlMode": 2, "MobilityNeedsMode": 1, "Pricing": 0}
    assert detail(bench, DC) == {1: scheduled, 2: dynamic}
    both = {"BPTChannel": 1, "GeneratorMode": 1}
    assert detail(bench, DC_BPT) == {1: scheduled | both, 2: dynamic | both}


def test_order_of_sets_is_preference_and_ids_do_not_change_with_it() -> None:
    config = SeccConfig(control_modes=(ControlMode.DYNAMIC, ControlMode.SCHEDULED))
    sets = detail(Bench(config).to("ServiceDetail"), DC)
    assert list(sets) == [2, 1]
    assert sets[2]["ControlMode"] == 2


@pytest.mark.parametrize("service", [DC, DC_BPT])
@pytest.mark.parametrize("mode", [SCHEDULED, DYNAMIC])
def test_case_38_each_offered_pair_is_accepted(service: int, mode: int) -> None:
    bench = Bench(service=service).to("ServiceSelection")
    assert bench.say(selection(service, mode)).response_code is ResponseCode.OK
    assert bench.state == "ChargeParameterDiscovery"


@pytest.mark.parametrize(
    ("asked", "chosen", "code"),
    [
        (DC, selection(DC, 3), ResponseCode.FAILED_ServiceSelectionInvalid),
        (DC, selection(DC_BPT, 1), ResponseCode.FAILED_ServiceSelectionInvalid),
        (DC, selection(1, 1), ResponseCode.FAILED_ServiceSelectionInvalid),
        (DC, selection(DC, 1, (65, 3)), ResponseCode.FAILED_ServiceSelectionInvalid),
        (DC, selection(DC, 1, (2, 2)), ResponseCode.FAILED_ServiceSelectionInvalid),
        (DC, selection(65, 3), ResponseCode.FAILED_NoEnergyTransferServiceSelected),
    ],
    ids=["35 set never sent", "36 detail never asked", "not offered", "37 vas pair", "energy as vas", "vas as energy"],
)
def test_case_35_36_37_only_pairs_sent_in_this_session(asked: int, chosen: Any, code: ResponseCode) -> None:
    bench = Bench(service=asked).to("ServiceSelection")
    assert bench.say(chosen).response_code is code


def test_details_may_be_asked_for_each_service_and_all_stay_valid() -> None:
    bench = Bench(service=DC).to("ServiceSelection")
    detail(bench, DC_BPT)
    assert bench.say(selection(DC, 1)).response_code is ResponseCode.OK


@pytest.mark.parametrize(
    "wrong",
    [
        {"control_modes": (ControlMode.SCHEDULED,)},
        {"scheduled_pricing": 3},
        {"discharge_schedule_sign": 0},
        {"services": (1,)},
        {"services": ()},
    ],
)
def test_configuration_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must"):
        SeccConfig(**wrong)
