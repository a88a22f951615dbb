"""What the station wants of the EV, told where the schema gives it a voice: protocol.md B.11."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.generated.common_messages import ChargeProgress
from evse_controller.messages.generated.common_types import EvseNotification
from evse_controller.model.commands import Notified
from evse_controller.model.snapshot import Notification
from evse_controller.secc.config import SeccConfig
from tests.secc.ev import Bench, loop, power_delivery


def looping(**kinds: Any) -> Bench:
    bench = Bench(**kinds).to("ChargeLoop")
    bench.say(loop())
    return bench


def test_nothing_is_said_when_there_is_nothing_to_say() -> None:
    assert looping().say(loop()).evse_status is None


@pytest.mark.parametrize(
    ("notification", "kinds"),
    [
        (Notification.PAUSE, {}),  # no vehicle certificate, no pause
        (Notification.EXIT_STANDBY, {}),  # not in standby
        (Notification.SERVICE_RENEGOTIATION, {"config": SeccConfig(service_renegotiation=False)}),
    ],
)
def test_nothing_is_notified_that_would_be_refused_when_obeyed(
    notification: Notification, kinds: dict[str, Any]
) -> None:
    bench = looping(**kinds)
    bench.set(notification=notification, notification_max_delay_s=60)
    assert bench.say(loop()).evse_status is None


@pytest.mark.parametrize("station_counts", [False, True])
def test_the_delay_is_counted_down_whether_the_station_counts_or_not(station_counts: bool) -> None:
    """[V2G20-3318]"""
    bench = looping()
    told = []
    for second in range(5):
        left_s = 3 - second if station_counts else 3
        bench.set(notification=Notification.SERVICE_RENEGOTIATION, notification_max_delay_s=max(0, left_s))
        told.append(bench.say(loop()).evse_status.notification_max_delay)
        bench.after(1.0)
    assert told == [3, 2, 1, 0, 0]


def test_the_station_learns_once_what_the_ev_was_told() -> None:
    bench = looping()
    for wanted in (Notification.SERVICE_RENEGOTIATION, Notification.PAUSE):  # nobody could prove to be the same EV
        bench.set(notification=wanted, notification_max_delay_s=60)
        for _ in range(3):
            bench.say(loop())
            bench.after(0.25)
    assert bench.commands_of(Notified) == [Notified(Notification.SERVICE_RENEGOTIATION)]


def test_an_impatient_station_shortens_the_delay() -> None:
    bench = looping()
    bench.set(notification=Notification.SERVICE_RENEGOTIATION, notification_max_delay_s=60)
    bench.say(loop())
    bench.set(notification_max_delay_s=5)
    assert bench.say(loop()).evse_status.notification_max_delay == 5


def test_a_notification_that_was_withdrawn_counts_anew_when_it_comes_back() -> None:
    bench = looping()
    for _ in range(2):
        bench.set(notification=Notification.SERVICE_RENEGOTIATION, notification_max_delay_s=60)
        assert bench.say(loop()).evse_status.notification_max_delay == 60
        bench.after(30.0).set(notification=None)
        assert bench.say(loop()).evse_status is None


def test_terminate_goes_before_everything_and_at_once() -> None:
    bench = looping()
    bench.set(notification=Notification.SERVICE_RENEGOTIATION, notification_max_delay_s=60)
    bench.say(loop())
    bench.set(notification=Notification.TERMINATE)
    status = bench.say(loop()).evse_status
    assert (status.evse_notification, status.notification_max_delay) == (EvseNotification.Terminate, 0)


def test_power_delivery_tells_it_too() -> None:
    bench = looping()
    bench.set(notification=Notification.SERVICE_RENEGOTIATION, notification_max_delay_s=60)
    status = bench.say(power_delivery(ChargeProgress.Standby)).evse_status
    assert status.evse_notification is EvseNotification.ServiceRenegotiation


@pytest.mark.parametrize(
    ("progress", "wanted", "told"),
    [
        (ChargeProgress.Stop, Notification.SCHEDULE_RENEGOTIATION, None),
        (ChargeProgress.Standby, Notification.SCHEDULE_RENEGOTIATION, None),
        (ChargeProgress.ScheduleRenegotiation, Notification.SCHEDULE_RENEGOTIATION, None),
        (ChargeProgress.Stop, Notification.EXIT_STANDBY, None),
        (ChargeProgress.Standby, Notification.EXIT_STANDBY, EvseNotification.ExitStandby),
        (ChargeProgress.Stop, Notification.SERVICE_RENEGOTIATION, EvseNotification.ServiceRenegotiation),
    ],
)
def test_what_is_told_is_judged_by_the_state_that_the_answer_leads_to(
    progress: ChargeProgress, wanted: Notification, told: EvseNotification | None
) -> None:
    bench = looping()
    bench.set(notification=wanted, notification_max_delay_s=60)
    status = bench.say(power_delivery(progress)).evse_status
    assert (None if status is None else status.evse_notification) is told


def test_the_answer_that_leads_back_to_the_loop_tells_what_the_loop_serves() -> None:
    bench = looping()
    bench.say(power_delivery(ChargeProgress.Standby))
    bench.set(notification=Notification.SCHEDULE_RENEGOTIATION, notification_max_delay_s=60)
    status = bench.say(power_delivery(ChargeProgress.Start)).evse_status
    assert status.evse_notification is EvseNotification.ScheduleRenegotiation
    bench.after(0.25).say(loop())
    bench.say(power_delivery(ChargeProgress.Standby))
    assert bench.state == "Standby"
    bench.set(notification=Notification.EXIT_STANDBY)
    assert bench.say(power_delivery(ChargeProgress.Start)).evse_status is None


@pytest.mark.parametrize("state", ["AuthorizationSetup", "ServiceDetail", "ScheduleRenegotiation"])
@pytest.mark.parametrize("notification", [n for n in Notification if n is not Notification.TERMINATE])
def test_where_the_schema_has_no_voice_only_an_end_is_told(state: str, notification: Notification) -> None:
    bench = Bench().to(state)
    bench.set(notification=notification)
    bench._step()
    assert bench.state != "Ended"
