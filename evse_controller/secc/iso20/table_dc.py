"""The DC sequence (services DC and DC_BPT): parameters, schedule, cable check, pre-charge, energy, welding detection.

Steps that the EV polls are self-loops whose exit is decided by the next request type: EVs in the field do not always
set EVProcessing to Finished where the standard expects it.
"""

from __future__ import annotations

from evse_controller.messages.generated.common_messages import PowerDeliveryReq, ScheduleExchangeReq
from evse_controller.messages.generated.dc import (
    DC_CableCheckReq,
    DC_ChargeLoopReq,
    DC_ChargeParameterDiscoveryReq,
    DC_PreChargeReq,
    DC_WeldingDetectionReq,
)
from evse_controller.secc.iso20.dc_loop import charge_loop, charge_loop_after_start
from evse_controller.secc.iso20.dc_parameters import charge_parameter_discovery
from evse_controller.secc.iso20.dc_power import power_delivery_before_loop, power_delivery_in_loop
from evse_controller.secc.iso20.dc_steps import cable_check, pre_charge, welding_detection
from evse_controller.secc.iso20.schedule import schedule_exchange
from evse_controller.secc.iso20.states import On, State, Table
from evse_controller.secc.iso20.table_common import STOP

_AFTER_POWER_DELIVERY = (
    State.CHARGE_LOOP,  # Start, Finished
    State.POWER_DELIVERY,  # Start, Ongoing; Standby refused with a WARNING
    State.PRE_CHARGE,  # Standby refused with a WARNING
    State.WELDING_DETECTION,  # Stop; the station wants to end and says so in EVSEStatus
)

TABLE: Table = {
    State.CHARGE_PARAMETER_DISCOVERY: (
        On(DC_ChargeParameterDiscoveryReq, charge_parameter_discovery, (State.SCHEDULE_EXCHANGE,)),
        STOP,
    ),
    State.SCHEDULE_EXCHANGE: (
        # Ongoing stays here.
        On(ScheduleExchangeReq, schedule_exchange, (State.CABLE_CHECK, State.SCHEDULE_EXCHANGE)),
        STOP,
    ),
    State.CABLE_CHECK: (
        # Ongoing stays here. Skipping the check [V2G20-2122] belongs to resumed sessions, which are not offered.
        On(DC_CableCheckReq, cable_check, (State.PRE_CHARGE, State.CABLE_CHECK)),
        STOP,
    ),
    State.PRE_CHARGE: (
        On(DC_PreChargeReq, pre_charge, (State.POWER_DELIVERY, State.PRE_CHARGE)),
        On(PowerDeliveryReq, power_delivery_before_loop, _AFTER_POWER_DELIVERY),
        STOP,
    ),
    State.POWER_DELIVERY: (
        On(PowerDeliveryReq, power_delivery_before_loop, _AFTER_POWER_DELIVERY),
        On(DC_PreChargeReq, pre_charge, (State.POWER_DELIVERY, State.PRE_CHARGE)),  # until the first Start
        On(DC_ChargeLoopReq, charge_loop_after_start, (State.CHARGE_LOOP,)),  # only after a Start
        STOP,
    ),
    State.CHARGE_LOOP: (
        On(DC_ChargeLoopReq, charge_loop, (State.CHARGE_LOOP,)),
        On(PowerDeliveryReq, power_delivery_in_loop, (State.WELDING_DETECTION, State.CHARGE_LOOP)),
        STOP,  # EVs do it; energy is stopped first
    ),
    State.WELDING_DETECTION: (
        On(DC_WeldingDetectionReq, welding_detection, (State.SESSION_STOP, State.WELDING_DETECTION)),
        STOP,
    ),
    State.SESSION_STOP: (
        STOP,
        On(DC_WeldingDetectionReq, welding_detection, (State.SESSION_STOP, State.WELDING_DETECTION)),
    ),
}
