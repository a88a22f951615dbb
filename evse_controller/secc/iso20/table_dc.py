"""The DC sequence: parameters, schedule, cable check, pre-charge, energy, welding detection.

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
from evse_controller.secc.iso20.dc_loop import charge_loop
from evse_controller.secc.iso20.dc_parameters import charge_parameter_discovery
from evse_controller.secc.iso20.dc_steps import (
    cable_check,
    cable_check_again,
    pre_charge,
    pre_charge_fault,
    welding_detection,
)
from evse_controller.secc.iso20.parking import parking
from evse_controller.secc.iso20.power_delivery import PowerDelivery
from evse_controller.secc.iso20.renegotiation import exchange_again, exchange_beside, exchange_overtaken, first_exchange
from evse_controller.secc.iso20.states import On, State, Table
from evse_controller.secc.iso20.table_common import STOP, meter_confirmed, overtaken
from evse_controller.secc.streams import Stream

POWER = PowerDelivery(pre_charge_fault, stopped=State.WELDING_DETECTION)

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
        *parking(State.CHARGE_PARAMETER_DISCOVERY),
    ),
    State.SCHEDULE_EXCHANGE: (
        # Ongoing stays here.
        On(ScheduleExchangeReq, first_exchange(State.CABLE_CHECK), (State.CABLE_CHECK, State.SCHEDULE_EXCHANGE)),
        STOP,
        *parking(State.SCHEDULE_EXCHANGE),
    ),
    State.CABLE_CHECK: (
        # Ongoing stays here. A resumed session, too, is checked: the EV could have skipped it [V2G20-2122], but this
        # station opens its contactors for a pause, and nobody watched the cable meanwhile.
        On(DC_CableCheckReq, cable_check, (State.PRE_CHARGE, State.CABLE_CHECK)),
        STOP,
        *parking(State.CABLE_CHECK),
    ),
    State.PRE_CHARGE: (
        On(DC_PreChargeReq, pre_charge, (State.POWER_DELIVERY, State.PRE_CHARGE)),
        On(DC_CableCheckReq, cable_check_again, (State.PRE_CHARGE,)),  # until the first pre-charge
        On(PowerDeliveryReq, POWER.before_loop, _AFTER_POWER_DELIVERY),
        STOP,
        *parking(State.PRE_CHARGE),
    ),
    State.POWER_DELIVERY: (
        On(PowerDeliveryReq, POWER.before_loop, _AFTER_POWER_DELIVERY),
        On(DC_PreChargeReq, pre_charge, (State.POWER_DELIVERY, State.PRE_CHARGE)),  # until the first Start
        On(DC_ChargeLoopReq, POWER.loop_after_start(charge_loop), (State.CHARGE_LOOP,)),  # only after a Start
        STOP,
        *parking(State.POWER_DELIVERY),
    ),
    State.CHARGE_LOOP: (
        On(DC_ChargeLoopReq, charge_loop, (State.CHARGE_LOOP,)),
        On(
            PowerDeliveryReq,
            POWER.in_loop,
            (
                State.WELDING_DETECTION,  # Stop
                State.STANDBY,
                State.SCHEDULE_RENEGOTIATION,  # the new schedule is still to be asked for
                State.CHARGE_LOOP,  # it was told beside the loop and holds now; every WARNING
            ),
        ),
        On(ScheduleExchangeReq, exchange_beside, (State.CHARGE_LOOP,), Stream.SCHEDULE, exchange_overtaken),
        *meter_confirmed(State.CHARGE_LOOP),
        STOP,  # EVs do it; energy is stopped first
        *parking(State.CHARGE_LOOP),
    ),
    # Contactors stay closed in the next three states, and no current flows.
    State.STANDBY: (
        On(PowerDeliveryReq, POWER.in_standby, (State.STANDBY, State.CHARGE_LOOP, State.WELDING_DETECTION)),
        overtaken(State.STANDBY),
        *meter_confirmed(State.STANDBY),
        STOP,
        *parking(State.STANDBY),
    ),
    State.SCHEDULE_RENEGOTIATION: (
        # Ongoing stays here. Neither cable check nor pre-charge is due again.
        On(ScheduleExchangeReq, exchange_again, (State.RENEGOTIATED, State.SCHEDULE_RENEGOTIATION)),
        On(PowerDeliveryReq, POWER.before_schedule, (State.WELDING_DETECTION,)),  # Stop
        overtaken(State.SCHEDULE_RENEGOTIATION),
        *meter_confirmed(State.SCHEDULE_RENEGOTIATION),
        STOP,
        *parking(State.SCHEDULE_RENEGOTIATION),
    ),
    State.RENEGOTIATED: (
        # Start takes the new schedule, or goes on by the old one with a WARNING.
        On(PowerDeliveryReq, POWER.renegotiated, (State.CHARGE_LOOP, State.RENEGOTIATED, State.WELDING_DETECTION)),
        On(ScheduleExchangeReq, exchange_again, (State.RENEGOTIATED, State.SCHEDULE_RENEGOTIATION)),
        overtaken(State.RENEGOTIATED),
        *meter_confirmed(State.RENEGOTIATED),
        STOP,
        *parking(State.RENEGOTIATED),
    ),
    State.WELDING_DETECTION: (
        On(DC_WeldingDetectionReq, welding_detection, (State.SESSION_STOP, State.WELDING_DETECTION)),
        On(PowerDeliveryReq, POWER.stopped_already, (State.WELDING_DETECTION,)),  # Stop
        overtaken(State.WELDING_DETECTION),
        *meter_confirmed(State.WELDING_DETECTION),
        STOP,
        *parking(State.WELDING_DETECTION),
    ),
    State.SESSION_STOP: (
        STOP,
        On(DC_WeldingDetectionReq, welding_detection, (State.SESSION_STOP, State.WELDING_DETECTION)),
        On(PowerDeliveryReq, POWER.stopped_already, (State.SESSION_STOP,)),  # Stop
        overtaken(State.SESSION_STOP),
        *meter_confirmed(State.SESSION_STOP),
        *parking(State.SESSION_STOP),
    ),
}
