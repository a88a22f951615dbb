"""The paired negative response of every -20 request: right type, right payload, schema valid, and empty of meaning.

A refusal must not leak anything: no challenge, no contract, no schedule, no measurement. Where the schema demands a
value it is zero, false or the shortest legal text; control mode variants mirror the request [V2G20-1600].
"""

from __future__ import annotations

from evse_controller.messages.base import Message, Schema
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import MessageHeader, Processing, ResponseCode
from evse_controller.secc.iso20.filling import Filler, zero


class UnpairedMessage(LookupError):
    """The message is no request: nothing can be answered to it."""


_NOTHING = "-"
_LAST_ID = 0xFFFF  # an id beyond its type cannot be said back


def refusal(request: Message, code: ResponseCode, header: MessageHeader) -> Message:
    """The response that belongs to `request`, with this code. UnpairedMessage for anything that is no request."""
    if request.SCHEMA is Schema.ISO20_COMMON:
        fillers = COMMON_FILLERS
    elif request.SCHEMA is Schema.ISO20_DC:
        # The classes of either kind are loaded only where somebody sends them.
        from evse_controller.secc.iso20.fillers_dc import DC_FILLERS as fillers
    elif request.SCHEMA is Schema.ISO20_AC:
        from evse_controller.secc.iso20.fillers_ac import AC_FILLERS as fillers
    else:
        return _not_offered(request, code, header)
    filler = fillers.get(request.ELEMENT)
    if filler is None:
        raise UnpairedMessage(f"{request.ELEMENT} is not a request of an EV")
    return filler(request, header, code)


def _not_offered(request: Message, code: ResponseCode, header: MessageHeader) -> Message:
    from evse_controller.secc.iso20.fillers_other import fill, paired_response

    response = paired_response(request)
    if response is None:
        raise UnpairedMessage(f"{request.ELEMENT} is not a request of an EV")
    return fill(response, request, header, code)


def _authorization_setup(request: cm.AuthorizationSetupReq, header: MessageHeader, code: ResponseCode) -> Message:
    return cm.AuthorizationSetupRes(
        header, code, [cm.Authorization.EIM], False, eim_asres_authorization_mode=cm.EIM_ASResAuthorizationMode()
    )


def _service_discovery(request: cm.ServiceDiscoveryReq, header: MessageHeader, code: ResponseCode) -> Message:
    return cm.ServiceDiscoveryRes(header, code, False, cm.ServiceList([cm.Service(0, False)]))


def _service_detail(request: cm.ServiceDetailReq, header: MessageHeader, code: ResponseCode) -> Message:
    nothing = cm.ParameterSet(0, [cm.Parameter(_NOTHING, bool_value=False)])
    return cm.ServiceDetailRes(header, code, min(request.service_id, _LAST_ID), cm.ServiceParameterList([nothing]))


def _schedule_exchange(request: cm.ScheduleExchangeReq, header: MessageHeader, code: ResponseCode) -> Message:
    if request.dynamic_se_req_control_mode is not None:
        return cm.ScheduleExchangeRes(
            header, code, Processing.Finished, dynamic_se_res_control_mode=cm.Dynamic_SEResControlMode()
        )
    return cm.ScheduleExchangeRes(
        header, code, Processing.Finished, scheduled_se_res_control_mode=placeholder_schedule()
    )


def placeholder_schedule() -> cm.Scheduled_SEResControlMode:
    """One tuple of no power at all: the schema wants a tuple even while there is nothing to offer.

    It carries a price schedule of one level: [V2G20-2176] asks for one, and EVs in the field refuse a tuple without.
    """
    entries = cm.PowerScheduleEntryList([cm.PowerScheduleEntry(duration=86400, power=zero())])
    levels = cm.PriceLevelSchedule(
        time_anchor=0,
        price_schedule_id=1,
        number_of_price_levels=1,
        price_level_schedule_entries=cm.PriceLevelScheduleEntryList([cm.PriceLevelScheduleEntry(86400, 0)]),
    )
    power = cm.PowerSchedule(time_anchor=0, power_schedule_entries=entries)
    schedule = cm.ChargingSchedule(power, price_level_schedule=levels)
    return cm.Scheduled_SEResControlMode([cm.ScheduleTuple(1, schedule)])


def _certificate_installation(
    request: cm.CertificateInstallationReq, header: MessageHeader, code: ResponseCode
) -> Message:
    empty = b"\x00"
    contract = cm.ContractCertificateChain(empty, cm.SubCertificates([empty]))
    data = cm.SignedInstallationData(
        "refused", contract, cm.EcdhCurve.SECP521, bytes(133), secp521_encrypted_private_key=bytes(94)
    )
    return cm.CertificateInstallationRes(header, code, Processing.Finished, cm.CertificateChain(empty), data, 0)


COMMON_FILLERS: dict[str, Filler] = {
    "SessionSetupReq": lambda _, header, code: cm.SessionSetupRes(header, code, _NOTHING),
    "AuthorizationSetupReq": _authorization_setup,
    "AuthorizationReq": lambda _, header, code: cm.AuthorizationRes(header, code, Processing.Finished),
    "CertificateInstallationReq": _certificate_installation,
    "ServiceDiscoveryReq": _service_discovery,
    "ServiceDetailReq": _service_detail,
    "ServiceSelectionReq": lambda _, header, code: cm.ServiceSelectionRes(header, code),
    "ScheduleExchangeReq": _schedule_exchange,
    "PowerDeliveryReq": lambda _, header, code: cm.PowerDeliveryRes(header, code),
    "MeteringConfirmationReq": lambda _, header, code: cm.MeteringConfirmationRes(header, code),
    "SessionStopReq": lambda _, header, code: cm.SessionStopRes(header, code),
    "VehicleCheckInReq": lambda _, header, code: cm.VehicleCheckInRes(header, code),
    "VehicleCheckOutReq": lambda _, header, code: cm.VehicleCheckOutRes(
        header, code, cm.EvseCheckOutStatus.Completed
    ),
}
