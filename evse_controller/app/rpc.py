"""What the control socket answers: status, limits, faults, sessions, and the few things a technician may do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from evse_controller import __version__
from evse_controller.app import rpc_offer, rpc_session
from evse_controller.app.outlet import Outlet
from evse_controller.model.fault import Fault, FaultCode
from evse_controller.model.limits import Limit
from evse_controller.net.control import Caller, Handler, RpcError
from evse_controller.site import Direction
from evse_controller.store import SessionRecord

MAX_TTL_S = 7 * 86400
MAX_EVENTS = 10_000


def methods(outlet: Outlet, started_s: float) -> dict[str, Handler]:
    """Method name -> handler(params, caller)."""

    def audited(name: str, act: Callable[[Outlet, Mapping[str, Any]], Any]) -> Handler:
        def handler(params: Mapping[str, Any], caller: Caller) -> Any:
            result = act(outlet, params)
            shown = {key: value for key, value in params.items() if key != "token"}
            outlet.event("operator", f"{name} by uid {caller.uid}: {json.dumps(shown)}")
            return result

        return handler

    return {
        "status": lambda params, caller: status(outlet, started_s),
        "limits": lambda params, caller: limits(outlet),
        "driver": lambda params, caller: rpc_session.driver(outlet),
        "offer": lambda params, caller: rpc_offer.show(outlet),
        "faults": lambda params, caller: {"active": _faults(outlet)},
        "session.list": lambda params, caller: sessions(outlet, params),
        "session.show": lambda params, caller: session(outlet, params),
        "latency": lambda params, caller: latencies(outlet),
        **{name: audited(name, act) for name, act in _ACTS.items()},
    }


def status(outlet: Outlet, started_s: float) -> dict[str, Any]:
    now_s, utc_s = outlet.now_s(), outlet.world.utc_s()
    s = outlet.station.status()
    record = outlet.recorder.record
    running = None
    if record is not None:
        running = {
            "id": record.session_id,
            "state": outlet.connection.state_name if outlet.connection is not None else "-",
            "started_utc_s": record.started_utc_s,
            "evccid": record.evccid,
            "service": record.service,
            "control_mode": record.control_mode,
            "soc": outlet.recorder.soc,
            "charged_wh": record.charged_wh,
            "discharged_wh": record.discharged_wh,
        }
    return {
        "version": __version__,
        "evseid": outlet.config.controller.evseid,
        "utc_s": utc_s,
        "utc_trusted": outlet.world.trusted,
        "uptime_s": now_s - started_s,
        "step_age_s": None if outlet.good_step_s is None else now_s - outlet.good_step_s,
        "lab": list(outlet.config.controller.lab),
        "outlet": {
            "kind": outlet.config.outlet.kind,
            "phase": s.phase,
            "step": s.sub_step,
            "pilot": s.pilot,
            "contactor": s.contactors,
            "mode": s.mode,
            "voltage_v": s.voltage_v,
            "current_a": s.current_a,
            "power_w": s.power_w,
            "phases": [list(phase) for phase in s.phases],
            "setpoint_w": s.setpoint_w,
            "isolation_kohm": None if s.isolation_ohm is None else s.isolation_ohm / 1000,
            "export_denied": s.export_denied,
            "stopping": s.stopping,
            "stopped": outlet.station.stopped,
            "asleep": s.asleep,
            "notification": s.notification,
        },
        "limits": {"charge": _ruling(s.charge_rules), "discharge": _ruling(s.discharge_rules)},
        "session": running,
        "authorization": outlet.authorizer.phase.value,
        "driver": rpc_session.driver(outlet),
        "offer": rpc_offer.show(outlet),
        "paused": [
            {"id": each.session_id, "evccid": each.evccid, "since_utc_s": each.paused_utc_s}
            for each in outlet.recorder.paused.all
        ],
        "price": {
            "buy": outlet.tariff.buy(utc_s),
            "sell": outlet.tariff.sell(utc_s),
            "currency": outlet.tariff.currency,
        },
        "faults": _faults(outlet),
        "devices": [
            *({"name": driver.name, "problem": driver.problem()} for driver in outlet.devices.drivers),
            {"name": "journal", "problem": outlet.recorder.problem},
        ],
        "latency_ms": _latency(outlet),
    }


def _latency(outlet: Outlet) -> dict[str, Any] | None:
    """Computation from frame bytes in to frame bytes out, over all messages of this run."""
    record = outlet.server.latency if outlet.server is not None else None
    if record is None:
        return None
    p50_s, p99_s = record.percentile_s(0.5), record.percentile_s(0.99)
    if p50_s is None or p99_s is None:
        return None
    return {"count": record.count, "p50": p50_s * 1e3, "p99": p99_s * 1e3, "late": outlet.late_messages}


def latencies(outlet: Outlet) -> dict[str, Any]:
    """Every kept computation time (frame bytes in to frame bytes out) in ms, oldest first; for a bench's histogram."""
    record = outlet.server.latency if outlet.server is not None else None
    if record is None:
        return {"count": 0, "recent_ms": []}
    return {"count": record.count, "recent_ms": [round(s * 1e3, 4) for s in record.samples()]}


def _ruling(rules: tuple[str, Limit]) -> dict[str, Any]:
    name, limit = rules
    return {"name": name, "value": limit.value, "source": limit.source, "reason": limit.reason}


def _faults(outlet: Outlet) -> list[dict[str, Any]]:
    """Those of this moment: the newest step's do not know what was raised since, least of all by a step that failed."""
    return [_fault(fault) for fault in outlet.station.faults]


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "code": fault.code.value,
        "severity": fault.kind.severity.value,
        "latching": fault.kind.latching,
        "source": fault.source,
        "cause": fault.cause,
        "first_check": fault.kind.first_check,
    }


def limits(outlet: Outlet) -> dict[str, Any]:
    """Site limits (grid connection, W AC) and the outlet's own (W DC), each direction; which one rules."""
    now_s = outlet.now_s()
    rows: list[dict[str, Any]] = [
        {
            "direction": item.direction.name.lower(),
            "value": item.value_w,
            "source": item.source,
            "reason": item.reason,
            "expires_in_s": item.expires_in_s,
            "rules": item.rules,
        }
        for item in outlet.site.limits(now_s)
    ]
    s = outlet.station.status()
    for direction, listed, rules in (
        ("charge", s.charge_limits, s.charge_rules),
        ("discharge", s.discharge_limits, s.discharge_rules),
    ):
        rows += [
            {
                "direction": direction,
                "value": limit.value,
                "source": limit.source,
                "reason": limit.reason,
                "expires_in_s": None if limit.expires_at_s is None else limit.expires_at_s - now_s,
                "rules": name == rules[0],
            }
            for name, limit in listed
        ]
    return {"limits": rows, "stale": outlet.site.stale}


def set_limit(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    direction = _param(params, "direction", str)
    if direction not in ("import", "export"):
        raise RpcError(RpcError.INVALID_PARAMS, "direction must be import or export")
    power_w, ttl_s = _param(params, "power_w", (int, float)), _param(params, "ttl_s", (int, float))
    if not 0 < ttl_s <= MAX_TTL_S:
        raise RpcError(RpcError.INVALID_PARAMS, f"ttl_s must be above 0 and at most {MAX_TTL_S}")
    source, reason = _param(params, "source", str), str(params.get("reason", ""))
    if not 0 <= power_w < math.inf:
        raise RpcError(RpcError.INVALID_PARAMS, "power_w must be a finite number, 0 or more")
    try:
        outlet.site.set_limit(
            Direction[direction.upper()], float(power_w), source, reason, float(ttl_s), outlet.now_s()
        )
    except (ValueError, OverflowError) as error:
        raise RpcError(RpcError.INVALID_PARAMS, str(error)) from error
    return {}


def clear_limit(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    source = _param(params, "source", str)
    if not outlet.site.clear_limit(source):
        raise RpcError(RpcError.REFUSED, f"no limit of source {source!r}")
    return {}


def clear_fault(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    text = _param(params, "code", str)
    try:
        code = FaultCode(text)
    except ValueError:
        raise RpcError(
            RpcError.INVALID_PARAMS, f"no fault {text!r}; there are {', '.join(c.value for c in FaultCode)}"
        ) from None
    if not outlet.station.clear_fault(code, outlet.now_s()):
        raise RpcError(RpcError.REFUSED, f"{text} is not raised, or its cause is still there")
    return {}


def sessions(outlet: Outlet, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    limit = params.get("limit", 20)
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 1000:
        raise RpcError(RpcError.INVALID_PARAMS, "limit must be 1 to 1000")
    return [_record(record) for record in outlet.journal.sessions(limit)]


def session(outlet: Outlet, params: Mapping[str, Any]) -> dict[str, Any]:
    outlet.recorder.flush()
    wanted = str(params.get("id", ""))
    if wanted:
        record = outlet.journal.session(wanted)
    else:
        newest = outlet.journal.sessions(1)
        record = newest[0] if newest else None
    if record is None:
        raise RpcError(
            RpcError.REFUSED, f"no session (or more than one) begins with {wanted!r}" if wanted else "no session yet"
        )
    events = outlet.journal.events(record.session_id, MAX_EVENTS)
    left_out = outlet.journal.count_events(record.session_id) - len(events)
    return {
        "session": _record(record),
        "confirmations": [asdict(each) for each in outlet.journal.confirmations(record.session_id)],
        "events": [asdict(e) for e in events],
        "events_left_out": left_out,
    }


def _record(record: SessionRecord) -> dict[str, Any]:
    settlement = json.loads(record.settlement) if record.settlement else None
    energy = {"charged_wh": record.charged_wh, "discharged_wh": record.discharged_wh}
    return {**asdict(record), **energy, "settlement": settlement}


def _param(params: Mapping[str, Any], key: str, kind: type | tuple[type, ...]) -> Any:
    value = params.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise RpcError(RpcError.INVALID_PARAMS, f"{key} is missing or of the wrong type")
    return value


_ACTS: dict[str, Callable[[Outlet, Mapping[str, Any]], Any]] = {
    "limits.set": set_limit,
    "limits.clear": clear_limit,
    "faults.clear": clear_fault,
    "stop": rpc_session.stop,
    "session.stop": rpc_session.stop,
    "session.pause": rpc_session.pause,
    "session.renegotiate": rpc_session.renegotiate,
    "session.confirm-meter": rpc_session.confirm_meter,
    "session.standby-exit": rpc_session.exit_standby,
    "session.wake": rpc_session.wake,
    "session.start": rpc_session.start,
    "authorize": rpc_session.authorize,
    "offer.negotiate": rpc_offer.negotiate,
    "offer.deliver": rpc_offer.deliver,
    "offer.withdraw": rpc_offer.withdraw,
    "driver.set": rpc_session.set_driver,
    "driver.clear": rpc_session.clear_driver,
}
"""What changes something: each is an event with the user that asked for it."""
