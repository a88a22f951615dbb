"""Faults are data: one table says what each does to power, to the EV, to the technician."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.Enum):
    """What a fault does to power: NOTICE nothing; STOP an orderly ramp down; EMERGENCY contactors open at once."""

    NOTICE = "notice"
    STOP = "stop"
    EMERGENCY = "emergency"


class FaultCode(enum.Enum):
    """Every fault the controller can raise. The value is the stable name in journal, CLI and API."""

    EMERGENCY_STOP = "emergency-stop"
    PILOT_LOST = "pilot-lost"
    PILOT_STALE = "pilot-stale"
    MCU_SAFE_STATE = "mcu-safe-state"
    CONTACTOR_MISMATCH = "contactor-mismatch"
    CONTACTOR_WELDED = "contactor-welded"
    OVER_VOLTAGE = "over-voltage"
    OVER_CURRENT = "over-current"
    MEASUREMENT_STALE = "measurement-stale"
    MEASUREMENT_IMPLAUSIBLE = "measurement-implausible"
    ISOLATION_FAULT = "isolation-fault"
    ISOLATION_MONITOR_MISSING = "isolation-monitor-missing"
    POWER_MODULE_SILENT = "power-module-silent"
    POWER_MODULE_FAULT = "power-module-fault"
    CABLE_CHECK_TIMEOUT = "cable-check-timeout"
    PRECHARGE_TIMEOUT = "precharge-timeout"
    DISCHARGE_TIMEOUT = "discharge-timeout"
    DIRECTION_CHANGE_FAILED = "direction-change-failed"
    EV_SILENT = "ev-silent"
    REVERSE_POWER = "reverse-power"
    PHASE_ASYMMETRY = "phase-asymmetry"
    SITE_INPUT_STALE = "site-input-stale"
    DEVICE_ERROR = "device-error"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row of the fault table."""

    severity: Severity
    latching: bool
    first_check: str


FAULT_TABLE: dict[FaultCode, FaultKind] = {
    FaultCode.EMERGENCY_STOP: FaultKind(Severity.EMERGENCY, True, "Release the emergency stop and clear the cause."),
    FaultCode.PILOT_LOST: FaultKind(
        Severity.EMERGENCY, False, "The plug was pulled or the pilot wire broke under power."
    ),
    FaultCode.PILOT_STALE: FaultKind(Severity.EMERGENCY, False, "Pilot board UART: cable, supply, baud rate."),
    FaultCode.MCU_SAFE_STATE: FaultKind(
        Severity.EMERGENCY, True, "The pilot board entered its safe state; read its reason."
    ),
    FaultCode.CONTACTOR_MISMATCH: FaultKind(Severity.EMERGENCY, True, "Contactor feedback disagrees with its command."),
    FaultCode.CONTACTOR_WELDED: FaultKind(Severity.EMERGENCY, True, "Replace the welded contactor before any use."),
    FaultCode.OVER_VOLTAGE: FaultKind(
        Severity.EMERGENCY, False, "Outlet above the negotiated voltage; check modules and EV."
    ),
    FaultCode.OVER_CURRENT: FaultKind(
        Severity.EMERGENCY, False, "Outlet current above its limit; check module sharing."
    ),
    FaultCode.MEASUREMENT_STALE: FaultKind(
        Severity.EMERGENCY, False, "A protection input stopped: meter or module bus."
    ),
    FaultCode.MEASUREMENT_IMPLAUSIBLE: FaultKind(Severity.EMERGENCY, False, "Meter and modules contradict each other."),
    FaultCode.ISOLATION_FAULT: FaultKind(Severity.EMERGENCY, False, "Isolation below the threshold: cable, inlet, EV."),
    FaultCode.ISOLATION_MONITOR_MISSING: FaultKind(
        Severity.EMERGENCY, False, "Isolation monitor silent or failed its test."
    ),
    FaultCode.POWER_MODULE_SILENT: FaultKind(
        Severity.EMERGENCY, False, "Power module stopped answering: CAN wiring, supply."
    ),
    FaultCode.POWER_MODULE_FAULT: FaultKind(
        Severity.EMERGENCY, False, "Power module reports a fault; read its status bits."
    ),
    FaultCode.CABLE_CHECK_TIMEOUT: FaultKind(
        Severity.EMERGENCY, False, "Cable check did not end in time; see the step log."
    ),
    FaultCode.PRECHARGE_TIMEOUT: FaultKind(Severity.EMERGENCY, False, "Outlet did not reach the EV's voltage."),
    FaultCode.DISCHARGE_TIMEOUT: FaultKind(
        Severity.EMERGENCY, False, "Link stayed above 60 V: bleeder or module discharge."
    ),
    FaultCode.DIRECTION_CHANGE_FAILED: FaultKind(
        Severity.EMERGENCY, False, "Module did not confirm its new working mode."
    ),
    FaultCode.EV_SILENT: FaultKind(Severity.EMERGENCY, False, "The EV stopped talking inside the charge loop."),
    FaultCode.REVERSE_POWER: FaultKind(
        Severity.EMERGENCY, False, "The EV fed the outlet without permission; check its converter, meter direction."
    ),
    FaultCode.PHASE_ASYMMETRY: FaultKind(Severity.STOP, False, "The EV loads one phase more than the site allows."),
    FaultCode.SITE_INPUT_STALE: FaultKind(
        Severity.NOTICE, False, "Building meter or remote limit silent; failsafe share."
    ),
    FaultCode.DEVICE_ERROR: FaultKind(Severity.STOP, False, "A device driver reported an error; see its text."),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One raised fault. `since_s` is control time; `source` the device or room; `cause` one sentence with figures."""

    code: FaultCode
    source: str
    cause: str
    since_s: float

    @property
    def kind(self) -> FaultKind:
        return FAULT_TABLE[self.code]
