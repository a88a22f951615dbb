"""Builders of the vehicle's requests: pure functions from the vehicle's state to typed messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evse_controller.messages.generated import dc
from evse_controller.messages.generated.app_protocol import AppProtocol, SupportedAppProtocolReq
from evse_controller.messages.generated.common_messages import (
    Authorization,
    AuthorizationReq,
    ChargeProgress,
    Dynamic_EVPPTControlMode,
    Dynamic_SEReqControlMode,
    Dynamic_SMDTControlMode,
    EIM_AReqAuthorizationMode,
    EVAbsolutePriceSchedule,
    EVEnergyOffer,
    EVPowerProfile,
    EVPowerProfileEntryList,
    EVPowerSchedule,
    EVPowerScheduleEntry,
    EVPowerScheduleEntryList,
    EVPriceRule,
    EVPriceRuleStack,
    EVPriceRuleStackList,
    MeteringConfirmationReq,
    PowerDeliveryReq,
    PowerScheduleEntry,
    Scheduled_SEReqControlMode,
    Scheduled_SMDTControlMode,
    ScheduleExchangeReq,
    SelectedService,
    SelectedServiceList,
    ServiceSelectionReq,
    SignedMeteringData,
)
from evse_controller.messages.generated.common_types import DisplayParameters, MessageHeader, MeterInfo, Processing
from evse_controller.messages.rational import rational_down, rational_nearest, rational_up
from evse_controller.model.commands import ControlMode
from evse_controller.model.offer import EnergyOffer
from hal.sim.inlet import Inlet
from hil.evcc.config import EvccConfig


@dataclass(frozen=True, slots=True)
class Needs:
    """Energy in Wh relative to now, + = to be charged. The V2X pair is the distance to the cycling window's edges."""

    target_wh: float
    maximum_wh: float
    minimum_wh: float
    v2x_maximum_wh: float
    v2x_minimum_wh: float
    departure_s: int | None


def needs(config: EvccConfig, inlet: Inlet, utc_s: float) -> Needs:
    """What the driver wants, from the present state of charge."""

    def distance(soc_percent: float) -> float:
        return (soc_percent - inlet.soc_percent) / 100.0 * inlet.capacity_wh

    departure = None if config.departure_utc_s is None else max(0, round(config.departure_utc_s - utc_s))
    return Needs(
        target_wh=distance(config.target_soc), maximum_wh=distance(config.maximum_soc),
        minimum_wh=distance(config.minimum_soc), v2x_maximum_wh=distance(config.v2x_max_soc),
        v2x_minimum_wh=distance(config.v2x_min_soc), departure_s=departure,
    )


def supported_protocols(config: EvccConfig) -> SupportedAppProtocolReq:
    """The handshake: priorities in the order of the configuration, schema ids that are not the priorities."""
    count = len(config.protocols)
    return SupportedAppProtocolReq(
        app_protocol=[
            AppProtocol(
                protocol_namespace=namespace, version_number_major=major, version_number_minor=minor,
                schema_id=count - position, priority=position + 1,
            )
            for position, (namespace, major, minor) in enumerate(config.protocols)
        ]
    )


def authorization(header: MessageHeader) -> AuthorizationReq:
    return AuthorizationReq(
        header=header, selected_authorization_service=Authorization.EIM,
        eim_areq_authorization_mode=EIM_AReqAuthorizationMode(),
    )


def service_selection(
    header: MessageHeader, service_id: int, parameter_set_id: int, value_added: Sequence[tuple[int, int]] = ()
) -> ServiceSelectionReq:
    """`value_added`: (service id, parameter set id) of each value-added service that goes with it."""
    selected = SelectedService(service_id=service_id, parameter_set_id=parameter_set_id)
    others = [SelectedService(service_id=service, parameter_set_id=number) for service, number in value_added]
    return ServiceSelectionReq(
        header=header, selected_energy_transfer_service=selected,
        selected_vas_list=SelectedServiceList(selected_service=others) if others else None,
    )


def energy_offer(offer: EnergyOffer) -> EVEnergyOffer:
    """What the vehicle would sell, in the form of ScheduleExchangeReq; one price for any power."""
    return EVEnergyOffer(
        ev_power_schedule=EVPowerSchedule(
            time_anchor=offer.anchor_utc_s,
            ev_power_schedule_entries=EVPowerScheduleEntryList(ev_power_schedule_entry=[
                EVPowerScheduleEntry(duration=slot.duration_s, power=rational_nearest(slot.power_w))
                for slot in offer.power
            ]),
        ),
        ev_absolute_price_schedule=EVAbsolutePriceSchedule(
            time_anchor=offer.anchor_utc_s, currency=offer.currency,
            price_algorithm="urn:iso:std:iso:15118:-20:PriceAlgorithm:1-Power",
            ev_price_rule_stacks=EVPriceRuleStackList(ev_price_rule_stack=[
                EVPriceRuleStack(duration=slot.duration_s, ev_price_rule=[EVPriceRule(
                    energy_fee=rational_nearest(slot.price_per_kwh), power_range_start=rational_nearest(0.0)
                )])
                for slot in offer.prices
            ]),
        ),
    )


def charge_parameters(
    header: MessageHeader, config: EvccConfig, bidirectional: bool, negative: bool
) -> dc.DC_ChargeParameterDiscoveryReq:
    """The vehicle's ratings. `negative` states an impossible limit on purpose."""
    ratings = config.ratings
    common = {
        "ev_maximum_charge_power": rational_down(ratings.max_charge_power_w),
        "ev_minimum_charge_power": rational_up(0.0),
        "ev_maximum_charge_current": rational_down(-ratings.max_charge_current_a if negative
                                                   else ratings.max_charge_current_a),
        "ev_minimum_charge_current": rational_up(0.0),
        "ev_maximum_voltage": rational_down(ratings.max_voltage_v),
        "ev_minimum_voltage": rational_up(ratings.min_voltage_v),
    }
    target_soc = round(config.target_soc)
    mode: dc.BPT_DC_CPDReqEnergyTransferMode | dc.DC_CPDReqEnergyTransferMode
    if bidirectional:
        mode = dc.BPT_DC_CPDReqEnergyTransferMode(
            **common, target_soc=target_soc,
            ev_maximum_discharge_power=rational_down(ratings.max_discharge_power_w),
            ev_minimum_discharge_power=rational_up(0.0),
            ev_maximum_discharge_current=rational_down(ratings.max_discharge_current_a),
            ev_minimum_discharge_current=rational_up(0.0),
        )
    else:
        mode = dc.DC_CPDReqEnergyTransferMode(**common, target_soc=target_soc)
    return dc.DC_ChargeParameterDiscoveryReq(header=header, dc_cpd_req_energy_transfer_mode=mode)


def schedule_exchange(
    header: MessageHeader, config: EvccConfig, wanted: Needs, bidirectional: bool
) -> ScheduleExchangeReq:
    points = config.max_supporting_points
    energies = {
        "ev_target_energy_request": rational_nearest(wanted.target_wh),
        "ev_maximum_energy_request": rational_nearest(wanted.maximum_wh),
        "ev_minimum_energy_request": rational_nearest(wanted.minimum_wh),
    }
    if config.control_mode is ControlMode.SCHEDULED:
        scheduled = Scheduled_SEReqControlMode(
            departure_time=wanted.departure_s, ev_target_energy_request=energies["ev_target_energy_request"],
            ev_maximum_energy_request=energies["ev_maximum_energy_request"],
            ev_minimum_energy_request=energies["ev_minimum_energy_request"],
            ev_energy_offer=None if config.energy_offer is None else energy_offer(config.energy_offer),
        )
        return ScheduleExchangeReq(
            header=header, maximum_supporting_points=points, scheduled_se_req_control_mode=scheduled
        )
    dynamic = Dynamic_SEReqControlMode(
        departure_time=wanted.departure_s if wanted.departure_s is not None else 86400,
        minimum_soc=round(config.minimum_soc), target_soc=round(config.target_soc), **energies,
        ev_maximum_v2x_energy_request=rational_nearest(wanted.v2x_maximum_wh) if bidirectional else None,
        ev_minimum_v2x_energy_request=rational_nearest(wanted.v2x_minimum_wh) if bidirectional else None,
    )
    return ScheduleExchangeReq(header=header, maximum_supporting_points=points, dynamic_se_req_control_mode=dynamic)


def dynamic_profile(anchor_utc_s: int, power_w: float, duration_s: int) -> EVPowerProfile:
    """In Dynamic mode the profile binds nobody: one entry with the most the vehicle could take."""
    entry = PowerScheduleEntry(duration=duration_s, power=rational_down(power_w))
    return EVPowerProfile(
        time_anchor=anchor_utc_s, dynamic_evppt_control_mode=Dynamic_EVPPTControlMode(),
        ev_power_profile_entries=EVPowerProfileEntryList(ev_power_profile_entry=[entry]),
    )


def power_delivery(
    header: MessageHeader, progress: ChargeProgress, profile: EVPowerProfile | None, ongoing: bool = False
) -> PowerDeliveryReq:
    return PowerDeliveryReq(
        header=header, ev_processing=Processing.Ongoing if ongoing else Processing.Finished,
        charge_progress=progress, ev_power_profile=None if ongoing else profile,
    )


def metering_confirmation(header: MessageHeader, meter: MeterInfo, tuple_id: int | None) -> MeteringConfirmationReq:
    """`tuple_id`: of the schedule in force, None in Dynamic mode. Unsigned: this vehicle has no contract."""
    return MeteringConfirmationReq(
        header=header,
        signed_metering_data=SignedMeteringData(
            id="metering", session_id=header.session_id, meter_info=meter,
            dynamic_smdt_control_mode=Dynamic_SMDTControlMode() if tuple_id is None else None,
            scheduled_smdt_control_mode=None if tuple_id is None else Scheduled_SMDTControlMode(
                selected_schedule_tuple_id=tuple_id
            ),
        ),
    )


def display(config: EvccConfig, inlet: Inlet) -> DisplayParameters:
    return DisplayParameters(
        present_soc=min(100, max(0, int(inlet.soc_percent))), target_soc=round(config.target_soc),
        minimum_soc=round(config.minimum_soc), maximum_soc=round(config.maximum_soc),
        battery_energy_capacity=rational_nearest(inlet.capacity_wh),
    )


@dataclass(frozen=True, slots=True)
class LoopState:
    """What one loop request says: the currents that the battery management allows now, and the target (Scheduled)."""

    charge_current_a: float
    discharge_current_a: float
    voltage_v: float
    target_current_a: float
    target_voltage_v: float


def charge_loop(
    header: MessageHeader, config: EvccConfig, inlet: Inlet, wanted: Needs, state: LoopState,
    *, bidirectional: bool, control_mode: ControlMode, meter_info: bool = False,
) -> dc.DC_ChargeLoopReq:
    """The loop request of one of the four variants."""
    ratings = config.ratings
    energies = {
        "ev_target_energy_request": rational_nearest(wanted.target_wh),
        "ev_maximum_energy_request": rational_nearest(wanted.maximum_wh),
        "ev_minimum_energy_request": rational_nearest(wanted.minimum_wh),
    }
    limits = {
        "ev_maximum_charge_power": rational_down(
            min(ratings.max_charge_power_w, state.charge_current_a * state.voltage_v)
        ),
        "ev_minimum_charge_power": rational_up(0.0),
        "ev_maximum_charge_current": rational_down(state.charge_current_a),
        "ev_maximum_voltage": rational_down(ratings.max_voltage_v),
        "ev_minimum_voltage": rational_up(ratings.min_voltage_v),
    }
    discharge = {
        "ev_maximum_discharge_power": rational_down(
            min(ratings.max_discharge_power_w, state.discharge_current_a * state.voltage_v)
        ),
        "ev_minimum_discharge_power": rational_up(0.0),
        "ev_maximum_discharge_current": rational_down(state.discharge_current_a),
    }
    mode: (
        dc.BPT_Dynamic_DC_CLReqControlMode | dc.BPT_Scheduled_DC_CLReqControlMode
        | dc.Dynamic_DC_CLReqControlMode | dc.Scheduled_DC_CLReqControlMode
    )
    if control_mode is ControlMode.DYNAMIC:
        if bidirectional:
            mode = dc.BPT_Dynamic_DC_CLReqControlMode(
                departure_time=wanted.departure_s, **energies, **limits, **discharge,
                ev_maximum_v2x_energy_request=rational_nearest(wanted.v2x_maximum_wh),
                ev_minimum_v2x_energy_request=rational_nearest(wanted.v2x_minimum_wh),
            )
        else:
            mode = dc.Dynamic_DC_CLReqControlMode(departure_time=wanted.departure_s, **energies, **limits)
    else:
        targets = {
            "ev_target_current": rational_nearest(round(state.target_current_a, 2)),
            "ev_target_voltage": rational_down(state.target_voltage_v),
        }
        if bidirectional:
            mode = dc.BPT_Scheduled_DC_CLReqControlMode(**energies, **targets, **limits, **discharge)
        else:
            mode = dc.Scheduled_DC_CLReqControlMode(**energies, **targets, **limits)
    return dc.DC_ChargeLoopReq(
        header=header, display_parameters=display(config, inlet), meter_info_requested=meter_info,
        ev_present_voltage=rational_nearest(round(inlet.inlet_voltage_v, 1)), cl_req_control_mode=mode,
    )
