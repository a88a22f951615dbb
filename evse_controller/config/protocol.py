"""What is told to cars, and how sessions live: the tables that become the one `SeccConfig` of the outlet.

[services], [session], [pricing], [schedule], [protocol] and [[quirks]] name fields of `SeccConfig` and of what it
holds, which document each and judge their values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from evse_controller.config.outlet import OutletSection
from evse_controller.config.reader import Table
from evse_controller.config.structure import attempt, read, values
from evse_controller.secc.config import (
    MAX_MESSAGE_LIMIT,
    MIN_MESSAGE_LIMIT,
    PRICING_ABSOLUTE,
    PRICING_LEVELS,
    PRICING_NONE,
    SeccConfig,
)
from evse_controller.secc.iso20.price_terms import PriceTerms
from evse_controller.secc.iso20.timers import Timers
from evse_controller.secc.quirks import QUIRK_FIELDS, Quirk
from evse_controller.secc.value_added import CustomService, CustomSet, Internet, ParkingStatus

SERVICE_IDS: Mapping[str, int] = {"AC": 1, "DC": 2, "AC_BPT": 5, "DC_BPT": 6, "MCS": 8, "MCS_BPT": 9}
PRICING: Mapping[str, int] = {"none": PRICING_NONE, "absolute": PRICING_ABSOLUTE, "levels": PRICING_LEVELS}

SERVICES_FIELDS = ("control_modes", "mobility_needs_modes")
SESSION_FIELDS = ("pause", "standby", "service_renegotiation", "metering_confirmation_signed", "ack_max_delay_s")
PRICING_FIELDS = ("language", "local_price_per_kwh")
SCHEDULE_FIELDS = ("power_tolerance_w", "power_tolerance_required", "go_to_pause_after_s", "profile_watch")
PROTOCOL_FIELDS = (
    "dc_connector",
    "mcs_connector",
    "ac_three_phase_connector",
    "ac_nominal_voltage_v",
    "islanding_parameter",
    "islanding_method",
    "bpt_channel",
    "generator_mode",
    "filter_energy_services",
    "unknown_service_is_no_energy",
    "session_stop_in_loop",
    "eim_pending_waits_for_customer",
    "invalid_signature_fails",
    "discharge_schedule_sign",
    "accept_negative_discharge_limits",
    "accept_senseless_loop_limits",
    "notifications",
)
ELSEWHERE = {
    "services": "[services] energy",
    "free_service": "[services] free",
    "internet": "[services.internet]",
    "parking": "[services.parking]",
    "custom_services": "[[services.custom]]",
    "prices": "[pricing]",
    "scheduled_pricing": "[pricing] kind",
    "currency": "[energy] currency",
    "quirks": "[[quirks]]",
    "max_message_bytes": "[protocol] max_message_kib",
    "lab_tcp": "lab-tcp",
    "refuse_deviations": "lab-refuse-deviations",
    "timers": "lab-slow-loop, else the standard's",
    "check_pilot": "nowhere: a protection",
}
"""Fields of SeccConfig that are not called in the file as they are called there, and where they come from."""


@dataclass(frozen=True, slots=True)
class SessionSection:
    """How sessions live beyond the protocol. `pause_keep_h`: after so many hours nobody may join a paused session any
    more. `confirm_meter_every_s`: how often the car is asked to confirm the meter while energy flows; 0: never."""

    pause_keep_h: float = 24.0
    confirm_meter_every_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.pause_keep_h <= 24 * 366:
            raise ValueError(f"pause_keep_h must be above 0 and at most {24 * 366}, is {self.pause_keep_h:g}")
        if self.confirm_meter_every_s and not 60 <= self.confirm_meter_every_s <= 86_400:
            raise ValueError(
                f"confirm_meter_every_s must be from 60 to 86400, or 0 for never, is {self.confirm_meter_every_s:g}"
            )


def read_protocol(
    root: Table, outlet: OutletSection, lab: tuple[str, ...], slow_loop_timeout_s: float, currency: str
) -> tuple[SeccConfig, SessionSection]:
    """Everything of it, once all problems are told; the strict defaults where there were some."""
    services, session_table = root.table("services"), root.table("session")
    chosen: dict[str, Any] = {
        "lab_tcp": "lab-tcp" in lab,
        "refuse_deviations": "lab-refuse-deviations" in lab,
        "timers": Timers(loop_sequence_s=max(0.5, slow_loop_timeout_s)) if "lab-slow-loop" in lab else Timers(),
        "services": _energy_services(services, outlet),
    }
    if len(currency) == 3:
        chosen["currency"] = currency
    config = SeccConfig(**chosen)
    config = _services(services, config)
    config = _plain(session_table, config, SESSION_FIELDS)
    config = _pricing(root.table("pricing"), config)
    config = _plain(schedule := root.table("schedule"), config, SCHEDULE_FIELDS)
    schedule.done()
    config = _protocol(root.table("protocol"), config)
    config = _quirks(root, config)
    return config, read(session_table, SessionSection) or SessionSection()


def _plain(table: Table, config: SeccConfig, keys: tuple[str, ...]) -> SeccConfig:
    """`config` with what the table says of these fields, one by one: what is wrong stays as it was, and is told."""
    table.know(keys)
    for key, value in values(table, SeccConfig, keys).items():
        if value is not None:
            config = attempt(table, lambda key=key, value=value, c=config: replace(c, **{key: value})) or config  # type: ignore[misc]
    return config


def _energy_services(table: Table, outlet: OutletSection) -> tuple[int, ...]:
    names = table.choices("energy", outlet.services, outlet.services)
    return tuple(SERVICE_IDS[name] for name in names)


def _services(table: Table, config: SeccConfig) -> SeccConfig:
    config = replace(config, free_service=table.flag("free", False))
    config = _plain(table, config, SERVICES_FIELDS)
    if "internet" in table:
        config = replace(config, internet=read(table.table("internet"), Internet))
    if "parking" in table:
        config = replace(config, parking=read(table.table("parking"), ParkingStatus))
    custom = [service for each in table.tables("custom") if (service := _custom(each)) is not None]
    made = attempt(table, lambda: replace(config, custom_services=tuple(custom)))
    table.done()
    return made or config


def _custom(table: Table) -> CustomService | None:
    sets = [made for each in table.tables("sets") if (made := _custom_set(each)) is not None]
    service_id, free = table.integer("id", 1, 0xFFFF), table.flag("free", True)
    table.done()
    return attempt(table, lambda: CustomService(service_id, tuple(sets), free))


def _custom_set(table: Table) -> CustomSet | None:
    set_id, parameters = table.integer("id", 1, 0xFFFF), table.get("parameters", dict, "a table of names and values")
    table.done()
    for name, value in (parameters or {}).items():
        if not isinstance(value, bool | int | float | str):
            table.complain("parameters", f"{name} must be a text, a number, true or false, is {value!r}")
            return None
    return attempt(table, lambda: CustomSet(set_id, tuple((parameters or {}).items())))


def _pricing(table: Table, config: SeccConfig) -> SeccConfig:
    kind = table.choice("kind", tuple(PRICING), "absolute")
    config = _plain(table, replace(config, scheduled_pricing=PRICING[kind]), PRICING_FIELDS)
    terms = read(table, PriceTerms)
    return config if terms is None else replace(config, prices=terms)


def _protocol(table: Table, config: SeccConfig) -> SeccConfig:
    limit_kib = table.integer("max_message_kib", MIN_MESSAGE_LIMIT // 1024, MAX_MESSAGE_LIMIT // 1024, 256)
    if MIN_MESSAGE_LIMIT <= limit_kib * 1024 <= MAX_MESSAGE_LIMIT:
        config = replace(config, max_message_bytes=limit_kib * 1024)
    config = _plain(table, config, PROTOCOL_FIELDS)
    table.done()
    return config


def _quirks(root: Table, config: SeccConfig) -> SeccConfig:
    for table in root.tables("quirks"):
        prefix, common_name = table.optional_text("evccid_prefix"), table.optional_text("common_name")
        why = table.text("why", "-")
        changes = table.table("set", required=True)
        overrides = _overrides(changes)
        table.done()
        if overrides is None:
            continue
        quirk = attempt(table, lambda p=prefix, c=common_name, o=overrides, w=why: Quirk(p, c, o, w))  # type: ignore[misc]
        if quirk is not None:
            made = attempt(changes, lambda q=quirk, c=config: replace(c, quirks=(*c.quirks, q)))  # type: ignore[misc]
            config = made or config
    return config


def _overrides(table: Table) -> dict[str, Any] | None:
    told = table.problems
    table.know(tuple(sorted(QUIRK_FIELDS)))
    found: dict[str, Any] = {}
    if "services" in table:
        found["services"] = tuple(SERVICE_IDS[name] for name in table.choices("services", tuple(SERVICE_IDS), ("DC",)))
    if "scheduled_pricing" in table:
        found["scheduled_pricing"] = PRICING[table.choice("scheduled_pricing", tuple(PRICING), "none")]
    plain = [field.name for field in fields(SeccConfig) if field.name in QUIRK_FIELDS and field.name not in found]
    found |= values(table, SeccConfig, plain)
    table.done()
    if not found and table.problems == told:
        table.complain("", f"must set some of {', '.join(sorted(QUIRK_FIELDS))}")
    return found if table.problems == told else None
