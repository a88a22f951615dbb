"""What is told differently to vehicles that read the standard differently: a table, not code.

Public stacks disagree in places that no public source settles. Each such place is a field of `SeccConfig` with a
documented default; a quirk gives it another value for one make of vehicle. An EVCCID is only a claim, so that nothing
may be changed this way that a liar could gain by: no transport, no signature, no price, no check of pilot or power.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

QUIRK_FIELDS = frozenset(
    {
        "services",
        "control_modes",
        "mobility_needs_modes",
        "scheduled_pricing",
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
        "discharge_schedule_sign",
        "accept_negative_discharge_limits",
        "accept_senseless_loop_limits",
        "notifications",
        "service_renegotiation",
        "standby",
        "ack_max_delay_s",
        "language",
    }
)


@dataclass(frozen=True, slots=True)
class Quirk:
    """Overrides for vehicles whose EVCCID begins with `evccid_prefix`, or whose certificate has this common name.

    With both given, both must match. Upper and lower case are the same. `why` is for the log.
    """

    evccid_prefix: str | None = None
    common_name: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""

    def __post_init__(self) -> None:
        if not self.evccid_prefix and not self.common_name:
            raise ValueError("a quirk must name an evccid_prefix or a common_name")
        unknown = sorted(set(self.overrides) - QUIRK_FIELDS)
        if unknown or not self.overrides:
            raise ValueError(f"a quirk must override some of {sorted(QUIRK_FIELDS)}, got {unknown}")

    def matches(self, evccid: str, common_name: str | None) -> bool:
        if self.evccid_prefix and not evccid.casefold().startswith(self.evccid_prefix.casefold()):
            return False
        return not self.common_name or (
            common_name is not None and common_name.casefold() == self.common_name.casefold()
        )


def overrides_for(quirks: tuple[Quirk, ...], evccid: str, common_name: str | None) -> dict[str, Any]:
    """The overrides of all quirks that match; where two name the same field, the later one rules."""
    found: dict[str, Any] = {}
    for quirk in quirks:
        if quirk.matches(evccid, common_name):
            found.update(quirk.overrides)
    return found
