"""What a back office or a site manager says of the plan: it negotiates, delivers, withdraws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from evse_controller.app.outlet import Outlet
from evse_controller.energy.back_office import LONGEST_S, OfficePlan, OfficeSlot
from evse_controller.net.control import RpcError

_LONGEST_NEGOTIATION_S = 3600.0
_DEFAULT_SOURCE = "back-office"


def show(outlet: Outlet) -> dict[str, Any]:
    return outlet.back_office.status(outlet.now_s())


def negotiate(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    """An offer is being negotiated for `for_s` (up to 3600) seconds from now: Scheduled cars wait, each for
    `[energy] wait_for_back_office_s` at most."""
    for_s = _number(params.get("for_s"), "for_s")
    if not 0.0 < for_s <= _LONGEST_NEGOTIATION_S:
        raise RpcError(RpcError.INVALID_PARAMS, f"for_s must be above 0 and at most {_LONGEST_NEGOTIATION_S:g}")
    reason = params.get("reason", "")
    if not isinstance(reason, str):
        raise RpcError(RpcError.INVALID_PARAMS, "reason must be a text")
    try:
        outlet.back_office.negotiates(_source(params), reason, for_s, outlet.now_s())
    except ValueError as error:
        raise RpcError(RpcError.REFUSED, str(error)) from None
    return show(outlet)


def deliver(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    """The plan: `slots` of {duration_s, charge_w, discharge_w (0)}, from `start_utc_s` (now) on."""
    slots, utc_s = params.get("slots"), outlet.world.utc_s()
    start_s = _number(params.get("start_utc_s", math.floor(utc_s)), "start_utc_s")
    if not abs(start_s - utc_s) <= LONGEST_S:
        raise RpcError(RpcError.INVALID_PARAMS, f"start_utc_s must be within {LONGEST_S // 86_400} days of now")
    if not isinstance(slots, list):
        raise RpcError(RpcError.INVALID_PARAMS, "slots must be a list")
    try:
        plan = OfficePlan(_source(params), math.floor(start_s), tuple(_slot(each) for each in slots))
    except ValueError as error:
        raise RpcError(RpcError.INVALID_PARAMS, str(error)) from None
    if plan.ends_utc_s <= utc_s:
        raise RpcError(RpcError.INVALID_PARAMS, "the plan has ended already")
    outlet.back_office.deliver(plan)
    return show(outlet)


def withdraw(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    """Neither negotiation nor plan any more: cars are offered what we plan by ourselves."""
    source = _source(params)
    if not outlet.back_office.withdraw(source):
        raise RpcError(RpcError.REFUSED, f"{source!r} neither negotiates nor has a plan here")
    return show(outlet)


def _slot(each: object) -> OfficeSlot:
    if not isinstance(each, Mapping) or not {"duration_s", "charge_w"} <= set(each) <= {
        "duration_s",
        "charge_w",
        "discharge_w",
    }:
        raise RpcError(RpcError.INVALID_PARAMS, "a slot holds duration_s, charge_w and, if any, discharge_w")
    duration_s = each["duration_s"]
    if not isinstance(duration_s, int) or isinstance(duration_s, bool):
        raise RpcError(RpcError.INVALID_PARAMS, "duration_s must be whole seconds")
    return OfficeSlot(
        duration_s, _number(each["charge_w"], "charge_w"), _number(each.get("discharge_w", 0), "discharge_w")
    )


def _source(params: Mapping[str, Any]) -> str:
    source = params.get("source", _DEFAULT_SOURCE)
    if not isinstance(source, str) or not 1 <= len(source) <= 64:
        raise RpcError(RpcError.INVALID_PARAMS, "source must be a text of 1 to 64 letters")
    return source


def _number(value: object, name: str) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    raise RpcError(RpcError.INVALID_PARAMS, f"{name} must be a number")
