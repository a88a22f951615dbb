"""The AC sequence: parameters, schedule, energy. The contactor closes for PowerDelivery(Start) and is all there is.

After Stop the EV goes straight to SessionStop [V2G20-3210].
"""

from __future__ import annotations

from evse_controller.messages.generated.ac import AC_ChargeLoopReq, AC_ChargeParameterDiscoveryReq
from evse_controller.messages.generated.common_messages import PowerDeliveryReq, ScheduleExchangeReq
from evse_controller.secc.iso20.ac_loop import charge_loop
from evse_controller.secc.iso20.ac_parameters import charge_parameter_discovery
from evse_controller.secc.iso20.ac_power import loop_once_closed, nothing_first, once_closed
from evse_controller.secc.iso20.parking import parking
from evse_controller.secc.iso20.power_delivery import PowerDelivery
from evse_controller.secc.iso20.renegotiation import exchange_again, exchange_beside, exchange_overtaken, first_exchange
from evse_controller.secc.iso20.states import On, State, Table
from evse_controller.secc.iso20.table_common import STOP, meter_confirmed, overtaken
from evse_controller.secc.streams import Stream

POWER = PowerDelivery(nothing_first, stopped=State.SESSION_STOP)

TABLE: Table = {
    State.CHARGE_PARAMETER_DISCOVERY: (
        On(AC_ChargeParameterDiscoveryReq, charge_parameter_discovery, (State.SCHEDULE_EXCHANGE,)),
        *parking(State.CHARGE_PARAMETER_DISCOVERY),
        STOP,
    ),
    State.SCHEDULE_EXCHANGE: (
        # Ongoing stays here.
        On(ScheduleExchangeReq, first_exchange(State.POWER_DELIVERY), (State.POWER_DELIVERY, State.SCHEDULE_EXCHANGE)),
        *parking(State.SCHEDULE_EXCHANGE),
        STOP,
    ),
    State.POWER_DELIVERY: (
        On(
            PowerDeliveryReq,
            once_closed(POWER.before_loop),
            (
                State.CHARGE_LOOP,  # Start, Finished
                State.POWER_DELIVERY,  # Start, Ongoing; Standby refused with a WARNING
                State.SESSION_STOP,  # Stop; the station wants to end and says so in EVSEStatus
            ),
        ),
        On(AC_ChargeLoopReq, loop_once_closed(POWER.enter, charge_loop), (State.CHARGE_LOOP,)),  # after a Start
        *parking(State.POWER_DELIVERY),
        STOP,
    ),
    State.CHARGE_LOOP: (
        On(AC_ChargeLoopReq, charge_loop, (State.CHARGE_LOOP,)),
        On(
            PowerDeliveryReq,
            POWER.in_loop,
            (
                State.SESSION_STOP,  # Stop
                State.STANDBY,
                State.SCHEDULE_RENEGOTIATION,  # the new schedule is still to be asked for
                State.CHARGE_LOOP,  # it was told beside the loop and holds now; every WARNING
            ),
        ),
        On(ScheduleExchangeReq, exchange_beside, (State.CHARGE_LOOP,), Stream.SCHEDULE, exchange_overtaken),
        *meter_confirmed(State.CHARGE_LOOP),
        *parking(State.CHARGE_LOOP),
        STOP,  # EVs do it; energy is stopped first
    ),
    # The contactor stays closed in the next three states, and no power flows.
    State.STANDBY: (
        On(PowerDeliveryReq, once_closed(POWER.in_standby), (State.STANDBY, State.CHARGE_LOOP, State.SESSION_STOP)),
        overtaken(State.STANDBY),
        *meter_confirmed(State.STANDBY),
        *parking(State.STANDBY),
        STOP,
    ),
    State.SCHEDULE_RENEGOTIATION: (
        On(ScheduleExchangeReq, exchange_again, (State.RENEGOTIATED, State.SCHEDULE_RENEGOTIATION)),
        On(PowerDeliveryReq, POWER.before_schedule, (State.SESSION_STOP,)),  # Stop
        overtaken(State.SCHEDULE_RENEGOTIATION),
        *meter_confirmed(State.SCHEDULE_RENEGOTIATION),
        *parking(State.SCHEDULE_RENEGOTIATION),
        STOP,
    ),
    State.RENEGOTIATED: (
        # Start takes the new schedule, or goes on by the old one with a WARNING.
        On(
            PowerDeliveryReq,
            once_closed(POWER.renegotiated),
            (State.CHARGE_LOOP, State.RENEGOTIATED, State.SESSION_STOP),
        ),
        On(ScheduleExchangeReq, exchange_again, (State.RENEGOTIATED, State.SCHEDULE_RENEGOTIATION)),
        overtaken(State.RENEGOTIATED),
        *meter_confirmed(State.RENEGOTIATED),
        *parking(State.RENEGOTIATED),
        STOP,
    ),
    State.SESSION_STOP: (
        STOP,
        On(PowerDeliveryReq, POWER.stopped_already, (State.SESSION_STOP,)),  # Stop
        overtaken(State.SESSION_STOP),
        *meter_confirmed(State.SESSION_STOP),
        *parking(State.SESSION_STOP),
    ),
}
