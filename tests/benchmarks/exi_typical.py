"""Messages as a charging session has them, for measurements."""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

from evse_controller.messages import Message
from evse_controller.messages.generated import ac, app_protocol, dc
from evse_controller.messages.generated import common_messages as common
from evse_controller.messages.generated import common_types as types
from evse_controller.messages.generated.common_types import RationalNumber

HEADER = types.MessageHeader(session_id=bytes(range(1, 9)), time_stamp=1_790_000_000)
ANCHOR = 1_790_000_000
POWER = RationalNumber(0, 11_000)

DC_LOOP_REQUEST = dc.DC_ChargeLoopReq(
    HEADER, False, RationalNumber(-1, 3987), dc.BPT_Dynamic_DC_CLReqControlMode(*[POWER] * 11, departure_time=7200)
)
DC_LOOP_RESPONSE = dc.DC_ChargeLoopRes(
    HEADER, types.ResponseCode.OK, RationalNumber(-1, 300), RationalNumber(-1, 3987), False, True, False,
    dc.BPT_Dynamic_DC_CLResControlMode(*[POWER] * 8),
    evse_status=types.EVSEStatus(0, types.EvseNotification.ServiceRenegotiation),
    meter_info=types.MeterInfo("METER-0001", 123456, bpt_discharged_energy_reading_wh=2345),
)


def _binary(length: int) -> bytes:
    """As a certificate or key: octets without a pattern, always the same."""
    return random.Random(length).randbytes(length)


def _entries(count: int) -> list[common.PowerScheduleEntry]:
    return [common.PowerScheduleEntry(900, RationalNumber(0, 3_000 + 83 * i)) for i in range(count)]


def _prices(count: int) -> common.AbsolutePriceSchedule:
    stacks = [
        common.PriceRuleStack(900, [common.PriceRule(RationalNumber(-4, 2_310 + 17 * i), RationalNumber(0, 0))])
        for i in range(count)
    ]
    return common.AbsolutePriceSchedule(
        ANCHOR, 1, "EUR", "eng", "urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power", common.PriceRuleStackList(stacks)
    )


def _schedule(entries: int, prices: int) -> common.ScheduleExchangeRes:
    """One tuple; with prices it has a discharging schedule too, each direction with its own price schedule."""
    def direction(count: int) -> common.ChargingSchedule:
        power = common.PowerSchedule(ANCHOR, common.PowerScheduleEntryList(_entries(count)))
        return common.ChargingSchedule(power, _prices(prices) if prices else None)

    schedules = common.ScheduleTuple(1, direction(entries), direction(1) if prices else None)
    return common.ScheduleExchangeRes(
        HEADER, types.ResponseCode.OK, types.Processing.Finished,
        scheduled_se_res_control_mode=common.Scheduled_SEResControlMode([schedules]),
    )


def _service_detail() -> common.ServiceDetailRes:
    names = (("Connector", 2), ("ControlMode", 2), ("MobilityNeedsMode", 1), ("Pricing", 1), ("BPTChannel", 1),
             ("GeneratorMode", 1))
    sets = [
        common.ParameterSet(number, [common.Parameter(name, int_value=value) for name, value in names])
        for number in (1, 2)
    ]
    return common.ServiceDetailRes(HEADER, types.ResponseCode.OK, 6, common.ServiceParameterList(sets))


def _certificate_installation() -> common.CertificateInstallationRes:
    chain = common.CertificateChain(_binary(800), common.SubCertificates([_binary(780), _binary(790)]))
    data = common.SignedInstallationData(
        "id1", common.ContractCertificateChain(_binary(820), common.SubCertificates([_binary(781), _binary(791)])),
        common.EcdhCurve.SECP521, _binary(133), secp521_encrypted_private_key=_binary(94),
    )
    return common.CertificateInstallationRes(
        HEADER, types.ResponseCode.OK, types.Processing.Finished, chain, data, 0
    )


def _current_demand() -> Message:
    iso2: Any = import_module("evse_controller.messages.generated.iso2")
    status = iso2.DC_EVSEStatus(0, iso2.EVSENotification.None_, iso2.DC_EVSEStatusCode.EVSE_Ready,
                                evse_isolation_status=iso2.IsolationLevel.Valid)

    def physical(multiplier: int, unit: str, value: int) -> Any:
        return iso2.PhysicalValue(multiplier, iso2.UnitSymbol[unit], value)

    body = iso2.CurrentDemandRes(
        response_code=iso2.ResponseCode.OK, dc_evse_status=status, evse_present_voltage=physical(-1, "V", 3987),
        evse_present_current=physical(-1, "A", 1203), evse_current_limit_achieved=False,
        evse_voltage_limit_achieved=False, evse_power_limit_achieved=False,
        evse_maximum_voltage_limit=physical(0, "V", 920), evse_maximum_current_limit=physical(0, "A", 200),
        evse_maximum_power_limit=physical(1, "W", 6000), evseid="DE*ABC*E0001", sa_schedule_tuple_id=1,
    )
    return iso2.V2G_Message(iso2.MessageHeader(bytes(range(1, 9))), iso2.Body(body))


def typical_messages() -> dict[str, Message]:
    """By name: what is sent most often, and what is largest."""
    protocols = [
        app_protocol.AppProtocol(f"urn:iso:std:iso:15118:-20:{name}", 1, 0, number, number)
        for number, name in enumerate(("DC", "AC"), 1)
    ]
    profile = common.EVPowerProfile(
        ANCHOR, common.EVPowerProfileEntryList(_entries(96)),
        scheduled_evppt_control_mode=common.Scheduled_EVPPTControlMode(1),
    )
    limits = [RationalNumber(0, value) for value in (11_000, 100, 250, 1, 500, 150)]
    return {
        "supportedAppProtocolReq": app_protocol.SupportedAppProtocolReq(protocols),
        "SessionSetupReq": common.SessionSetupReq(HEADER, "WMIV1234567890ABCDEX"),
        "AuthorizationSetupRes": common.AuthorizationSetupRes(
            HEADER, types.ResponseCode.OK, [common.Authorization.PnC, common.Authorization.EIM], True,
            pnc_asres_authorization_mode=common.PnC_ASResAuthorizationMode(_binary(16)),
        ),
        "ServiceDetailRes": _service_detail(),
        "DC_ChargeParameterDiscoveryReq": dc.DC_ChargeParameterDiscoveryReq(
            HEADER, dc.BPT_DC_CPDReqEnergyTransferMode(*limits, *limits[:4], target_soc=80)
        ),
        "ScheduleExchangeRes, 24": _schedule(24, 0),
        "ScheduleExchangeRes, 96 + 2 x 64": _schedule(96, 64),
        "PowerDeliveryReq, 96": common.PowerDeliveryReq(
            HEADER, types.Processing.Finished, common.ChargeProgress.Start, profile
        ),
        "DC_ChargeLoopReq": DC_LOOP_REQUEST,
        "DC_ChargeLoopRes": DC_LOOP_RESPONSE,
        "AC_ChargeLoopReq": ac.AC_ChargeLoopReq(
            HEADER, True, ac.BPT_Dynamic_AC_CLReqControlMode(*[POWER] * 9, departure_time=7200)
        ),
        "AC_ChargeLoopRes": ac.AC_ChargeLoopRes(
            HEADER, types.ResponseCode.OK, ac.BPT_Dynamic_AC_CLResControlMode(POWER, evse_present_active_power=POWER),
            meter_info=types.MeterInfo("METER-0001", 123456, bpt_discharged_energy_reading_wh=2345),
            evse_target_frequency=RationalNumber(-2, 5000),
        ),
        "CertificateInstallationRes": _certificate_installation(),
        "-2 CurrentDemandRes": _current_demand(),
    }
