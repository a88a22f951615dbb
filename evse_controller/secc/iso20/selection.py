"""ServiceDiscovery, ServiceDetail, ServiceSelection: what is offered, and that only what was offered is chosen."""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import (
    Parameter,
    ParameterSet,
    SelectedServiceList,
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
from evse_controller.messages.rational import rational_nearest
from evse_controller.model.commands import ServiceSelected
from evse_controller.secc.iso20.catalogue import (
    SERVICES,
    Parameters,
    carries_no_energy,
    offered_services,
    value_added_services,
)
from evse_controller.secc.iso20.data import SessionData
from evse_controller.secc.iso20.states import Accepted, Answer, Refused, State, Turn
from evse_controller.secc.value_added import ParameterValue


def service_discovery(turn: Turn, request: ServiceDiscoveryReq) -> Answer:
    """SupportedServiceIDs filters value-added services only [V2G20-1248], [V2G20-1249], unless configured otherwise.

    A list of energy services is never empty.
    """
    config = turn.config
    energy = offered_services(config, turn.snapshot)
    if not energy:
        return Refused(ResponseCode.FAILED, "no configured energy service is possible at this outlet")
    extra = value_added_services(config)
    if request.supported_service_ids is not None:
        wanted = set(request.supported_service_ids.service_id)
        extra = tuple(service for service in extra if service.service_id in wanted)
        if config.filter_energy_services:
            energy = tuple(service for service in energy if service.service_id in wanted) or energy
    response = ServiceDiscoveryRes(
        turn.header(),
        ResponseCode.OK,
        config.service_renegotiation,
        ServiceList([Service(service.service_id, config.free_service) for service in energy]),
        ServiceList([Service(service.service_id, service.free) for service in extra]) if extra else None,
    )
    return Accepted(response, State.SERVICE_DETAIL)


def service_detail(turn: Turn, request: ServiceDetailReq) -> Answer:
    """The parameter sets of one service; each pair sent here may be selected later [V2G20-464]."""
    asked, sets = request.service_id, []
    energy = next((entry for entry in offered_services(turn.config, turn.snapshot) if entry.service_id == asked), None)
    extra = next((entry for entry in value_added_services(turn.config) if entry.service_id == asked), None)
    if energy is not None:
        for offered in energy.sets(turn.config):
            turn.data.offered[asked, offered.parameter_set_id] = offered
            parameters = energy.parameters(turn.config, turn.snapshot, offered)
            sets.append(_as_sent(offered.parameter_set_id, parameters))
    elif extra is not None:
        for set_id, named in extra.sets.items():
            turn.data.offered_extra.add((asked, set_id))
            sets.append(_as_sent(set_id, list(named)))
    else:
        return Refused(ResponseCode.FAILED_ServiceIDInvalid, f"service {asked} is not offered")
    response = ServiceDetailRes(turn.header(), ResponseCode.OK, asked, ServiceParameterList(sets))
    return Accepted(response, State.SERVICE_SELECTION)


def _as_sent(set_id: int, parameters: Parameters) -> ParameterSet:
    return ParameterSet(set_id, [_parameter(name, value) for name, value in parameters])


def _parameter(name: str, value: ParameterValue) -> Parameter:
    match value:
        case bool():
            return Parameter(name, bool_value=value)
        case int():
            return Parameter(name, int_value=value)
        case float():
            return Parameter(name, rational_number=rational_nearest(value))
        case _:
            return Parameter(name, finite_string=value)


def service_selection(turn: Turn, request: ServiceSelectionReq) -> Answer:
    """The pair must have been sent in this session [V2G20-467]; a value-added service is no energy [V2G20-1618]."""
    chosen, data = request.selected_energy_transfer_service, turn.data
    pair = (chosen.service_id, chosen.parameter_set_id)
    offered = data.offered.get(pair)
    if offered is None:
        return _not_offered(turn, pair)
    # An offer of this session may have been overtaken: by now the outlet cannot feed back any more.
    if SERVICES[offered.service_id] not in offered_services(turn.config, turn.snapshot):
        why = f"service {offered.service_id} has become impossible"
        return Refused(ResponseCode.FAILED_ServiceSelectionInvalid, why)
    extra = _extra(request.selected_vas_list)
    for wrong in extra:
        if wrong not in data.offered_extra:
            return Refused(
                ResponseCode.FAILED_ServiceSelectionInvalid, f"value-added service and set {wrong} were never offered"
            )
    data.selected, data.value_added = offered, extra
    turn.do(selected_command(data))
    return Accepted(ServiceSelectionRes(turn.header(), ResponseCode.OK), State.CHARGE_PARAMETER_DISCOVERY)


def selected_command(data: SessionData) -> ServiceSelected:
    """Tells the station which service is in force."""
    selected = data.selection
    return ServiceSelected(
        selected.service_id,
        selected.parameter_set_id,
        selected.control_mode,
        selected.bidirectional,
        selected.mobility_needs_mode,
        SERVICES[selected.service_id].ac,
        data.value_added,
    )


def _not_offered(turn: Turn, pair: tuple[int, int]) -> Refused:
    service_id, _ = pair
    if carries_no_energy(turn.config, service_id):
        return Refused(ResponseCode.FAILED_NoEnergyTransferServiceSelected, f"service {service_id} carries no energy")
    known = any(service_id == sent for sent, _ in turn.data.offered)
    if turn.config.unknown_service_is_no_energy and not known:
        return Refused(ResponseCode.FAILED_NoEnergyTransferServiceSelected, f"service {service_id} was never offered")
    return Refused(ResponseCode.FAILED_ServiceSelectionInvalid, f"service and set {pair} were never offered")


def _extra(chosen: SelectedServiceList | None) -> tuple[tuple[int, int], ...]:
    """The value-added pairs, each once, in the order of the request."""
    if chosen is None:
        return ()
    return tuple(dict.fromkeys((entry.service_id, entry.parameter_set_id) for entry in chosen.selected_service))
