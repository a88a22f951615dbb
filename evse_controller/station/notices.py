"""What the EVSE asks of the EV (EVSENotification), with the time that it leaves: asked, counted down, heeded or over.

Only the telling is here. What hardware has to do it does at once and without the EV; a notice that is not heeded in
its time is handed back, and the outlet's station acts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from evse_controller.model.commands import (
    Command,
    EnergyHold,
    EnergyStart,
    EnergyStop,
    MeterConfirmed,
    Notified,
    ScheduleRequested,
    ServiceReleased,
    SessionEnded,
    SessionOpened,
)
from evse_controller.model.snapshot import Notification
from evse_controller.safety import thresholds as t

ORDER = (
    Notification.PAUSE,
    Notification.SERVICE_RENEGOTIATION,
    Notification.SCHEDULE_RENEGOTIATION,
    Notification.EXIT_STANDBY,
    Notification.METERING_CONFIRMATION,
)
"""One at a time is told, the first of these that is asked. TERMINATE comes before all and is `request_stop`."""

HEEDED_BY: dict[Notification, tuple[type, ...]] = {
    Notification.PAUSE: (EnergyStop,),  # a hold is over as soon as the EV likes: it is no pause
    Notification.SERVICE_RENEGOTIATION: (EnergyStop, ServiceReleased),
    Notification.SCHEDULE_RENEGOTIATION: (EnergyStop, EnergyHold),
    Notification.EXIT_STANDBY: (EnergyStart, EnergyStop),
    Notification.METERING_CONFIRMATION: (MeterConfirmed, EnergyStop),
}
"""Commands of the session that show that the EV does what it was asked."""


@dataclass(frozen=True, slots=True)
class Notice:
    kind: Notification
    reason: str
    until_s: float
    told: bool = False


class Notices:
    """The notices that are asked now, at most one of each kind."""

    def __init__(self) -> None:
        self._asked: dict[Notification, Notice] = {}

    def ask(self, kind: Notification, max_delay_s: float, reason: str, now_s: float) -> bool:
        """True when this is new; asking again does not give the EV more time."""
        if kind not in HEEDED_BY:
            raise ValueError(f"{kind.value} is not asked but requested (request_stop)")
        if kind in self._asked:
            return False
        self._asked[kind] = Notice(kind, reason, now_s + max(0.0, max_delay_s))
        return True

    def withdraw(self, kind: Notification) -> bool:
        return self._asked.pop(kind, None) is not None

    def heed(self, cmd: Command) -> None:
        """A command of the session: what it fulfils is no longer asked."""
        if isinstance(cmd, SessionOpened | SessionEnded):
            self._asked.clear()
            return
        if isinstance(cmd, Notified):
            if (notice := self._asked.get(cmd.notification)) is not None:
                self._asked[cmd.notification] = replace(notice, told=True)
            return
        for kind, commands in HEEDED_BY.items():
            renegotiated = isinstance(cmd, ScheduleRequested) and cmd.renegotiation
            if isinstance(cmd, commands) or (kind is Notification.SCHEDULE_RENEGOTIATION and renegotiated):
                self._asked.pop(kind, None)

    def expire(self, now_s: float) -> list[Notice]:
        """Take out and return what was not heeded in its time, nor shortly after."""
        over = [notice for notice in self._asked.values() if now_s >= notice.until_s + t.NOTICE_MARGIN_S]
        for notice in over:
            del self._asked[notice.kind]
        return over

    def told(self, stopping: bool, now_s: float) -> tuple[Notification | None, int]:
        """What the snapshot says: the notification and the whole seconds that are left for it."""
        if stopping:
            return Notification.TERMINATE, 0
        for kind in ORDER:
            notice = self._asked.get(kind)
            if notice is not None:
                return kind, max(0, math.ceil(notice.until_s - now_s))
        return None, 0
