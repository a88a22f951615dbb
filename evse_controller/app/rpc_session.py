"""What may be asked of a car and told of its driver through the control socket."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from evse_controller.app.outlet import Outlet
from evse_controller.identity import Shown
from evse_controller.model.snapshot import DriverWishes, Notification
from evse_controller.net.control import RpcError

DAY_S = 86_400
LONGEST_STAY_S = 14 * DAY_S
_RENEGOTIATE = {
    "schedule": Notification.SCHEDULE_RENEGOTIATION,
    "service": Notification.SERVICE_RENEGOTIATION,
}


def stop(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    """End the session, also one that sleeps, and let nothing that stands begin another."""
    reason = _reason(params, "stopped by technician")
    paused = outlet.recorder.paused.all
    if outlet.recorder.record is None and not paused:
        raise RpcError(RpcError.REFUSED, "no session is running")
    outlet.end(reason)
    return {"reason": reason}


def pause(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the car to sleep; what does not sleep in time is stopped."""
    reason = _reason(params, "paused by technician")
    if not outlet.config.secc.pause:
        raise RpcError(RpcError.REFUSED, "session.pause is false in the configuration")
    _ask(outlet, Notification.PAUSE, reason)
    return {"reason": reason}


def renegotiate(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the car for a new schedule, or to choose its service anew."""
    what = params.get("what", "schedule")
    if not isinstance(what, str) or what not in _RENEGOTIATE:
        raise RpcError(RpcError.INVALID_PARAMS, f"what must be {' or '.join(_RENEGOTIATE)}")
    reason = _reason(params, "asked by technician")
    _ask(outlet, _RENEGOTIATE[what], reason)
    return {"what": what, "reason": reason}


def confirm_meter(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    _ask(outlet, Notification.METERING_CONFIRMATION, _reason(params, "asked by technician"))
    return {}


def exit_standby(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    _ask(outlet, Notification.EXIT_STANDBY, _reason(params, "asked by technician"))
    return {}


def wake(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    """Wake a car that sleeps."""
    if not outlet.station.wake(_reason(params, "woken by technician"), outlet.now_s()):
        raise RpcError(RpcError.REFUSED, "no car sleeps here")
    return {}


def _ask(outlet: Outlet, kind: Notification, reason: str) -> None:
    if outlet.recorder.record is None:
        raise RpcError(RpcError.REFUSED, "no session is running")
    connection = outlet.connection
    why = None if connection is None else connection.never_served(kind, outlet.snapshot())
    if why is not None:
        raise RpcError(RpcError.REFUSED, why)
    outlet.ask(kind, reason)


def authorize(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    """Present an EIM token, as an RFID reader would."""
    token, at = params.get("token"), params.get("outlet")
    if not isinstance(token, str) or not (at is None or isinstance(at, str)):
        raise RpcError(RpcError.INVALID_PARAMS, "token (and outlet, if given) must be a text")
    return _shown(outlet, outlet.authorizer.present(token, outlet.now_s(), at), "stopped by its token")


def start(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    """A start from afar: the car that is plugged in, or is within the configured time, may charge."""
    token = params.get("token")
    if not (token is None or isinstance(token, str)):
        raise RpcError(RpcError.INVALID_PARAMS, "token must be a text")
    return _shown(outlet, outlet.authorizer.remote_start(outlet.now_s(), token), "stopped from afar")


def _shown(outlet: Outlet, shown: Shown, why: str) -> dict[str, Any]:
    if shown is Shown.NOT_NEEDED and outlet.call_car("somebody wants it to charge"):
        shown = Shown.EXPECTED  # free vend, too, obeys a stop until somebody wants it otherwise
    outlet.event("authorization", shown.value)
    if not shown:
        raise RpcError(RpcError.REFUSED, shown.value)
    if shown is Shown.STOPS:
        outlet.end(why)
    return {"said": shown.value}


def set_driver(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    """What the driver wants of this stay: `departure` (HH:MM of the charger's clock, HH:MMZ, ISO 8601 with an offset,
    or Unix seconds), `target_soc`, `minimum_soc` in %. What is not given stays as it was.

    `heard`: the car asks us for departure and target (MobilityNeedsMode 2 selected, or before that offered).
    The minimum is kept by the station itself, whoever hears it."""
    known = outlet.driver or DriverWishes()
    utc_s = outlet.world.utc_s()
    departure = params.get("departure")
    wishes = DriverWishes(
        departure_utc_s=known.departure_utc_s if departure is None else departure_s(departure, utc_s),
        target_soc=_soc(params, "target_soc", known.target_soc),
        minimum_soc=_soc(params, "minimum_soc", known.minimum_soc),
    )
    if wishes == DriverWishes():
        raise RpcError(RpcError.INVALID_PARAMS, "departure, target_soc or minimum_soc is needed")
    if (wishes.minimum_soc or 0) > (100 if wishes.target_soc is None else wishes.target_soc):
        raise RpcError(RpcError.INVALID_PARAMS, "minimum_soc must not be above target_soc")
    outlet.wish(wishes)
    chosen = outlet.mobility_needs_mode
    heard = 2 in outlet.config.secc.mobility_needs_modes if chosen is None else chosen == 2
    return driver(outlet) | {"heard": heard}


def clear_driver(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    outlet.wish(None)
    return driver(outlet)


def driver(outlet: Outlet) -> dict[str, Any]:
    wishes = outlet.driver or DriverWishes()
    return {
        "departure_utc_s": wishes.departure_utc_s,
        "target_soc": wishes.target_soc,
        "minimum_soc": wishes.minimum_soc,
    }


def _reason(params: Mapping[str, Any], default: str) -> str:
    reason = params.get("reason", default)
    if not isinstance(reason, str):
        raise RpcError(RpcError.INVALID_PARAMS, "reason must be a text")
    return reason


def _soc(params: Mapping[str, Any], key: str, default: int | None) -> int | None:
    value = params.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 100:
        raise RpcError(RpcError.INVALID_PARAMS, f"{key} must be a whole number from 0 to 100")
    return value


def departure_s(value: object, utc_s: float) -> float:
    """Unix seconds of a departure, after `utc_s`; of a time of the day the next. Raises RpcError."""
    found: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    elif isinstance(value, str):
        found = _time_of_day(value, utc_s) or _date_time(value)
    if found is None:
        form = "07:30 (the charger's clock), 07:30Z (UTC), or 2026-05-01T07:30:00+02:00"
        raise RpcError(RpcError.INVALID_PARAMS, f"departure must look like {form}, is {value!r}")
    if not 0 < found - utc_s <= LONGEST_STAY_S:
        raise RpcError(RpcError.INVALID_PARAMS, f"departure must be within the next {LONGEST_STAY_S // DAY_S} days")
    return found


def _time_of_day(text: str, utc_s: float) -> float | None:
    try:
        at = datetime.strptime(text.removesuffix("Z"), "%H:%M")
    except ValueError:
        return None
    if text.endswith("Z"):
        found = utc_s - utc_s % DAY_S + at.hour * 3600 + at.minute * 60
        return found if found > utc_s else found + DAY_S
    day = time.localtime(utc_s)
    for later in (0, 1):  # mktime knows how long the day is, also when the clock is changed
        date = (day.tm_year, day.tm_mon, day.tm_mday + later)
        found = time.mktime((*date, at.hour, at.minute, 0, 0, 0, -1))
        if found > utc_s:
            break
    return found


def _date_time(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.tzinfo is None else at.timestamp()
