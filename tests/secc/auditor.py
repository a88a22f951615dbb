"""What answers and commands may say in figures, and how long a session may wait: written down apart from the session.

An auditor reads both sides of one connection. It has its own clock: that a session ends when its EV falls silent is
held against the standard's times here, not against what the connection says of its own deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evse_controller.messages.base import Message
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.messages.rational import rational_value
from evse_controller.model import commands as c
from evse_controller.model.snapshot import Authorization
from tests.secc.judge import Judge

if TYPE_CHECKING:
    from tests.secc.wire import Wire

SEQUENCE_S = 60.0  # V2G_SECC_Sequence_Timeout [V2G20-443]
LOOP_S = 0.5  # the same inside the charge loop [V2G20-1502]
TO_LOOP_S = 60.0  # V2G_EVCC_Ongoing_Timeout: as long may an EV say that its start is not ready yet
CLOSE_S = 5.0  # a connection is closed that long after the last answer at the latest
LEAST_POINTS = 12
_SLACK_S = 0.001
_MOST = (
    "evse_maximum_charge_power", "evse_maximum_charge_current", "evse_maximum_voltage",
    "evse_maximum_discharge_power", "evse_maximum_discharge_current",
)
_EV_MOST = (
    "max_voltage_v", "max_charge_current_a", "max_charge_power_w", "max_discharge_current_a", "max_discharge_power_w",
)
_PHASES = ("", "_l2", "_l3")
_SLACK_W = 1.0


class Auditor(Judge):
    """A judge of figures, too. Raises AssertionError. `may_join`: whether this EV has a session to come back to."""

    def __init__(self, may_join: bool | None = None) -> None:
        super().__init__()
        self.may_join = may_join
        self._looping = False
        self._starting_s: float | None = None
        self._rated: Any = None
        self._negotiated: Any = None
        self._most_w: tuple[float, float] | None = None  # of any schedule told: to the EV, from it

    def silence_s(self, state: str) -> float:
        """After how long without a request this session must be over."""
        return (LOOP_S if state == "ChargeLoop" and self._looping else SEQUENCE_S) + _SLACK_S

    def waits(self, wire: Wire) -> None:
        """The connection waits now: for something, and not for longer than an EV may be silent."""
        deadline_s = wire.link.next_deadline_s
        if wire.link.closed:
            return
        assert deadline_s is not None, f"waits for ever in {wire.state}"
        # The last answer, too, may still be with who codes it.
        over = wire.state == "Ended" and not wire.working
        most_s = CLOSE_S + _SLACK_S if over else self.silence_s(wire.state)
        assert deadline_s - wire.now_s <= most_s, f"waits {deadline_s - wire.now_s:.2f} s in {wire.state}"

    def answered(self, request: Message, response: Any, wire: Wire) -> None:
        """What the answer says, in the state that it leads to."""
        if response.response_code >= ResponseCode.FAILED:
            return
        name = response.ELEMENT
        if name.endswith("_ChargeParameterDiscoveryRes"):
            self._rated = _mode(response, "cpd_res_energy_transfer_mode")
        elif name.endswith("_ChargeLoopRes"):
            self._looping, self._starting_s = True, None
            self._told(_mode(response, "cl_res_control_mode"))
        elif isinstance(response, cm.PowerDeliveryRes):
            self._announced(wire)
            self._planned(request, response, wire)
        elif isinstance(response, cm.ScheduleExchangeRes):
            self._offered(request, response)
        elif isinstance(response, cm.AuthorizationRes):
            self._let_in(request, response, wire)
        elif isinstance(response, cm.SessionSetupRes):
            joined = response.response_code is ResponseCode.OK_OldSessionJoined
            assert not joined or self.may_join is not False, "a session of another vehicle was joined"

    def _announced(self, wire: Wire) -> None:
        """An EV that only ever announces its start gets nowhere; one in the loop stays in it."""
        if wire.state not in ("PowerDelivery", "ChargeLoop"):
            self._starting_s, self._looping = None, False
        elif not self._looping:
            since_s = self._starting_s = wire.now_s if self._starting_s is None else self._starting_s
            assert wire.now_s - since_s < TO_LOOP_S + _SLACK_S, "an EV announces its start for ever"

    def _told(self, mode: Any) -> None:
        for field in _MOST:
            told, rated = getattr(mode, field, None), getattr(self._rated, field, None)
            if told is not None and rated is not None:
                assert rational_value(told) <= rational_value(rated), f"{field} above what was negotiated"
        for phase in _PHASES:
            target = getattr(mode, f"evse_target_active_power{phase}", None)
            if target is not None:
                most_w = _w(self._rated, f"evse_maximum_charge_power{phase}") + _SLACK_W
                least_w = -_w(self._rated, f"evse_maximum_discharge_power{phase}") - _SLACK_W
                assert least_w <= rational_value(target) <= most_w, "target beyond what was negotiated"

    def _planned(self, request: Message, response: cm.PowerDeliveryRes, wire: Wire) -> None:
        """Energy flows by no profile beyond its schedule; to a Start answered by Terminate none flows at all."""
        assert isinstance(request, cm.PowerDeliveryReq)
        plan = request.ev_power_profile
        accepted = response.response_code is ResponseCode.OK and request.ev_processing is Processing.Finished
        if plan is None or plan.scheduled_evppt_control_mode is None or self._most_w is None or not accepted:
            return
        if request.charge_progress is not cm.ChargeProgress.Start or wire.state != "ChargeLoop":
            return
        for entry in plan.ev_power_profile_entries.ev_power_profile_entry:
            power_w = _total_w(entry)
            assert -self._most_w[1] * 1.01 - _SLACK_W <= power_w <= self._most_w[0] * 1.01 + _SLACK_W, (
                f"a profile of {power_w:g} W under schedules up to {self._most_w} W"
            )

    def _offered(self, request: Message, response: cm.ScheduleExchangeRes) -> None:
        mode = response.scheduled_se_res_control_mode
        if mode is None:
            return
        assert isinstance(request, cm.ScheduleExchangeReq)
        most, (to_ev_w, from_ev_w) = max(LEAST_POINTS, request.maximum_supporting_points), self._most_w or (0.0, 0.0)
        for each in mode.schedule_tuple:
            charge_w = _schedule(each.charging_schedule, most)
            discharge_w = _schedule(each.discharging_schedule, most)
            to_ev_w, from_ev_w = max([to_ev_w, *charge_w]), max([from_ev_w, *discharge_w])
        self._most_w = to_ev_w, from_ev_w

    def _let_in(self, request: Message, response: cm.AuthorizationRes, wire: Wire) -> None:
        assert isinstance(request, cm.AuthorizationReq)
        eim = request.selected_authorization_service is cm.Authorization.EIM
        over = response.evse_processing is Processing.Finished and response.response_code is ResponseCode.OK
        if eim and over:
            assert wire.snapshot.authorization is Authorization.ACCEPTED, "let in by nobody"

    def _LimitsNegotiated(self, command: c.LimitsNegotiated) -> None:
        super()._LimitsNegotiated(command)
        self._negotiated, self._starting_s = command.limits, None

    def _LoopUpdate(self, command: c.LoopUpdate) -> None:
        super()._LoopUpdate(command)
        for name in _EV_MOST:
            value, most = getattr(command.limits, name), getattr(self._negotiated, name)
            if value is not None:
                assert most is not None, f"{name} that was not negotiated"
                assert 0.0 <= value <= most, f"{name} of the EV above what it negotiated"
        assert command.limits.min_voltage_v <= command.limits.max_voltage_v
        if command.target_voltage_v is not None:
            assert command.target_voltage_v <= self._negotiated.max_voltage_v

    def _AcLoopUpdate(self, command: c.AcLoopUpdate) -> None:
        super()._AcLoopUpdate(command)
        for name in ("max_charge_w", "max_discharge_w"):
            value, most = getattr(command.limits, name), getattr(self._negotiated, name)
            if value is not None:
                assert most is not None, f"{name} that was not negotiated"
                assert 0.0 <= value.total_w <= most.total_w + _SLACK_W, f"{name} of the EV above what it negotiated"

    def _ServiceReleased(self, command: c.ServiceReleased) -> None:
        super()._ServiceReleased(command)
        self._rated = self._negotiated = self._most_w = None
        self._looping = False


def _mode(response: Any, name: str) -> Any:
    direct = getattr(response, name, None)
    return direct if direct is not None else getattr(response, f"{response.ELEMENT[:2].lower()}_{name}", None)


def _w(mode: Any, name: str) -> float:
    number = getattr(mode, name, None)
    return 0.0 if number is None else rational_value(number)


def _total_w(entry: Any) -> float:
    return sum(rational_value(number) for number in (entry.power, entry.power_l2, entry.power_l3) if number is not None)


def _schedule(schedule: Any, most_points: int) -> list[float]:
    if schedule is None:
        return []
    entries = schedule.power_schedule.power_schedule_entries.power_schedule_entry
    assert len(entries) <= most_points, f"{len(entries)} points, and the EV takes {most_points}"
    return [abs(_total_w(entry)) for entry in entries]
