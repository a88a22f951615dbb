"""What was asked and agreed, in one sentence each: for event log, journal and whoever watches."""

from __future__ import annotations

import time
from typing import Any

from evse_controller.model.offer import EnergyNeeds, PowerProfile, PowerSlot, ScheduleOffer
from evse_controller.net.ports import Output
from evse_controller.secc.reply import MessageEvent
from evse_controller.secc.streams import Stream

_MEANINGS = {
    "supportedAppProtocol": "protocol chosen",
    "SessionSetup": "session opened, or joined again",
    "AuthorizationSetup": "how the driver may be authorised",
    "Authorization": "may this driver charge",
    "CertificateInstallation": "contract certificate for the car",
    "ServiceDiscovery": "what is on offer",
    "ServiceDetail": "how it is on offer",
    "ServiceSelection": "what the car takes",
    "AC_ChargeParameterDiscovery": "limits of car and outlet",
    "DC_ChargeParameterDiscovery": "limits of car and outlet",
    "ScheduleExchange": "needs of the car, schedules and prices of ours",
    "DC_CableCheck": "isolation of the cable",
    "DC_PreCharge": "outlet brought to the battery's voltage",
    "PowerDelivery": "energy on, off, held or planned anew",
    "AC_ChargeLoop": "power now, limits now",
    "DC_ChargeLoop": "current and voltage now, limits now",
    "DC_WeldingDetection": "are contactors welded",
    "MeteringConfirmation": "the car confirms the meter",
    "VehicleCheckIn": "parking space taken",
    "VehicleCheckOut": "parking space left",
    "SessionStop": "session ended, paused, or another service wanted",
}


def message_text(event: MessageEvent, late_s: float | None) -> str:
    """One line for one message pair: what was asked and answered, why it was refused, and what is odd about it.

    `late_s`: how long it took, if that was longer than it may.
    """
    text = f"{event.request} -> {event.response} {event.code}"
    text += f": {event.reason}" if event.reason else ""
    if event.deviations:
        text += f"; breaks its schema, served: {'; '.join(event.deviations)}"
    if late_s is not None:
        text += f"; LATE: {late_s:.2f} s, allowed are {event.performance_s:g} s"
    return text


def message_data(output: Output, event: MessageEvent, took_s: float | None) -> dict[str, Any]:
    """The same for programs: states, meaning, payload type, stream, time in ms."""
    data: dict[str, Any] = {"state": event.state, "next": event.next_state}
    meaning = _MEANINGS.get(event.request.removesuffix("Req"))
    if meaning is not None:
        data["meaning"] = meaning
    payload_type = getattr(output, "payload_type", None)
    if payload_type is not None:
        data["payload"] = f"{payload_type:#06x}"
    if event.stream is not Stream.MAIN:
        data["stream"] = event.stream.value
    if took_s is not None:
        data["ms"] = round(took_s * 1e3, 3)
    if event.deviations:
        data["deviations"] = list(event.deviations)
    return data


def _clock(utc_s: float) -> str:
    return time.strftime("%H:%M", time.gmtime(utc_s))


def _kwh(energy_wh: float | None) -> str:
    return "-" if energy_wh is None else f"{energy_wh / 1000:+.1f} kWh"


def needs_text(needs: EnergyNeeds) -> str:
    """The driver's wishes as the EV told them."""
    by = "no departure told" if needs.departure_utc_s is None else f"by {_clock(needs.departure_utc_s)} UTC"
    text = f"the EV needs {_kwh(needs.target_wh)} ({_kwh(needs.minimum_wh)} to {_kwh(needs.maximum_wh)}) {by}"
    if needs.v2x_minimum_wh is not None:
        text += f", may cycle between {_kwh(needs.v2x_minimum_wh)} and {_kwh(needs.v2x_maximum_wh)}"
    return text


def agreed_text(profile: PowerProfile | None, offer: ScheduleOffer | None) -> str:
    """What the EV accepted: its profile's charging and discharging, with times; Dynamic: the charger steers."""
    if profile is None or profile.tuple_id is None:
        return "Dynamic control: the charger sets the power, minute by minute"
    which = f"tuple {profile.tuple_id}" + (f" of offer {offer.offer_id}" if offer is not None else "")
    parts = [
        f"{word} {_sum(profile, sign):.1f} kWh {_when(profile, sign)}"
        for word, sign in (("charges", 1), ("discharges", -1))
        if _sum(profile, sign) >= 0.05
    ]
    return f"schedule agreed, {which}: the EV " + (", ".join(parts) if parts else "plans no energy")


def _counts(slot: PowerSlot, sign: int) -> bool:
    return slot.power_w * sign > 1.0


def _sum(profile: PowerProfile, sign: int) -> float:
    return sum(abs(s.power_w) * s.duration_s for s in profile.slots if _counts(s, sign)) / 3.6e6


def _when(profile: PowerProfile, sign: int) -> str:
    """Spans in which it flows, neighbours joined: `12:15-14:00, 15:00-15:30`; at most four."""
    spans: list[list[float]] = []
    start = float(profile.anchor_utc_s)
    for slot in profile.slots:
        if _counts(slot, sign):
            if spans and spans[-1][1] == start:
                spans[-1][1] = start + slot.duration_s
            else:
                spans.append([start, start + slot.duration_s])
        start += slot.duration_s
    shown = ", ".join(f"{_clock(a)}-{_clock(b)}" for a, b in spans[:4])
    return shown + (" and more" if len(spans) > 4 else "")
