"""ServiceDiscovery, ServiceDetail, ServiceSelection: what is offered, and that only what was offered is chosen."""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import (
    Parameter,
    ParameterSet,
    Service,
    ServiceDetailReq,
    ServiceDetailRes,
    ServiceDiscoveryReq,
    ServiceDiscoveryRes,
    ServiceList,
    ServiceParameterList,
    ServiceSelectionReq,
    ServiceSelectionRes,
)
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model.commands import ServiceSelected
from evse_controller.secc.iso20.catalogue import VALUE_ADDED_SERVICE_IDS, offered_services
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn


def service_discovery(turn: Turn, request: ServiceDiscoveryReq) -> Answer:
    """SupportedServiceIDs filters value-added services only [V2G20-1248], [V2G20-1249]; there are none yet."""
    services = offered_services(turn.config, turn.snapshot.bidirectional)
    if not services:
        return Refused(ResponseCode.FAILED, "no configured energy service is possible at this outlet")
    entries = [Service(service.service_id, turn.config.free_service) for service in services]
    response = ServiceDiscoveryRes(turn.header(), ResponseCode.OK, False, ServiceList(entries))
    return Accepted(response, State.SERVICE_DETAIL)


def service_detail(turn: Turn, request: ServiceDetailReq) -> Answer:
    """The parameter sets of one service; each pair sent here may be selected later [V2G20-464]."""
    services = offered_services(turn.config, turn.snapshot.bidirectional)
    service = next((entry for entry in services if entry.service_id == request.service_id), None)
    if service is None:
        return Refused(ResponseCode.FAILED_ServiceIDInvalid, f"service {request.service_id} is not offered")
    sets = []
    for offered in service.sets(turn.config):
        turn.data.offered[offered.service_id, offered.parameter_set_id] = offered
        parameters = [Parameter(name, int_value=value) for name, value in service.parameters(turn.config, offered)]
        sets.append(ParameterSet(offered.parameter_set_id, parameters))
    response = ServiceDetailRes(turn.header(), ResponseCode.OK, service.service_id, ServiceParameterList(sets))
    return Accepted(response, State.SERVICE_SELECTION)


def service_selection(turn: Turn, request: ServiceSelectionReq) -> Answer:
    """The pair must have been sent in this session [V2G20-467]; a value-added service is no energy [V2G20-1618]."""
    chosen = request.selected_energy_transfer_service
    pair = (chosen.service_id, chosen.parameter_set_id)
    offered = turn.data.offered.get(pair)
    if offered is None:
        if chosen.service_id in VALUE_ADDED_SERVICE_IDS:
            return Refused(
                ResponseCode.FAILED_NoEnergyTransferServiceSelected, f"service {chosen.service_id} carries no energy"
            )
        return Refused(ResponseCode.FAILED_ServiceSelectionInvalid, f"service and set {pair} were never offered")
    if request.selected_vas_list is not None:
        for extra in request.selected_vas_list.selected_service:
            extra_pair = (extra.service_id, extra.parameter_set_id)
            if extra.service_id not in VALUE_ADDED_SERVICE_IDS or extra_pair not in turn.data.offered:
                return Refused(
                    ResponseCode.FAILED_ServiceSelectionInvalid,
                    f"value-added service {extra.service_id} set {extra.parameter_set_id} was never offered",
                )
    turn.data.selected = offered
    turn.do(
        ServiceSelected(
            offered.service_id,
            offered.parameter_set_id,
            offered.control_mode,
            offered.bidirectional,
            offered.mobility_needs_mode,
        )
    )
    return Accepted(ServiceSelectionRes(turn.header(), ResponseCode.OK), State.CHARGE_PARAMETER_DISCOVERY)
