"""Services as data: id, name, and what its parameter sets say. Which table serves one is said in `services`.

A new energy service is a row here, a row there, and handlers where its messages differ. Value-added services come from
the configuration alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evse_controller.model.commands import ControlMode
from evse_controller.model.snapshot import EvseSnapshot
from evse_controller.secc.config import PRICING_NONE, SeccConfig
from evse_controller.secc.iso20.data import OfferedSet
from evse_controller.secc.value_added import INTERNET, PARKING_STATUS, ParameterValue

PROVIDED_BY_EVCC = 1
PROVIDED_BY_BOTH = 2
AC_SINGLE_PHASE = 1
# Parameter set ids never change their meaning, whatever is offered and in what order.
_SET_IDS = {
    (ControlMode.SCHEDULED, PROVIDED_BY_EVCC): 1,
    (ControlMode.DYNAMIC, PROVIDED_BY_EVCC): 2,
    (ControlMode.DYNAMIC, PROVIDED_BY_BOTH): 3,
}
Parameters = list[tuple[str, ParameterValue]]


@dataclass(frozen=True, slots=True)
class Service:
    """An energy transfer service. `connector` picks the Connector value; `ac`: which kind of outlet has it."""

    service_id: int
    name: str
    bidirectional: bool
    ac: bool
    connector: Callable[[SeccConfig, EvseSnapshot], int]

    def sets(self, config: SeccConfig) -> tuple[OfferedSet, ...]:
        """The parameter sets in order of preference. Scheduled knows no needs but the EV's [V2G20-2663]."""
        return tuple(
            OfferedSet(
                self.service_id,
                _SET_IDS[mode, needs],
                mode,
                self.bidirectional,
                needs,
                config.scheduled_pricing if mode is ControlMode.SCHEDULED else PRICING_NONE,
            )
            for mode in config.control_modes
            for needs in (config.mobility_needs_modes if mode is ControlMode.DYNAMIC else (PROVIDED_BY_EVCC,))
        )

    def parameters(self, config: SeccConfig, snapshot: EvseSnapshot, offered: OfferedSet) -> Parameters:
        """Names and values of one set, as sent."""
        parameters: Parameters = [
            ("Connector", self.connector(config, snapshot)),
            ("ControlMode", offered.control_mode.value),
        ]
        if self.ac:
            parameters.append(("EVSENominalVoltage", _nominal_voltage_v(config, snapshot)))
        parameters += [("MobilityNeedsMode", offered.mobility_needs_mode), ("Pricing", offered.pricing)]
        if self.bidirectional:
            parameters += [("BPTChannel", config.bpt_channel), ("GeneratorMode", config.generator_mode)]
        if self.bidirectional and self.ac:
            parameters.append((config.islanding_parameter, config.islanding_method))
        return parameters


def _ac_connector(config: SeccConfig, snapshot: EvseSnapshot) -> int:
    three_phases = snapshot.ac_ratings is not None and snapshot.ac_ratings.phases == 3
    return config.ac_three_phase_connector if three_phases else AC_SINGLE_PHASE


def _dc_connector(config: SeccConfig, snapshot: EvseSnapshot) -> int:
    return config.dc_connector


def _mcs_connector(config: SeccConfig, snapshot: EvseSnapshot) -> int:
    return config.mcs_connector


def _nominal_voltage_v(config: SeccConfig, snapshot: EvseSnapshot) -> int:
    if config.ac_nominal_voltage_v is not None or snapshot.ac_ratings is None:
        return config.ac_nominal_voltage_v or 0
    return round(snapshot.ac_ratings.nominal_voltage_v)


SERVICES: dict[int, Service] = {
    service.service_id: service
    for service in (
        Service(1, "AC", False, True, _ac_connector),
        Service(2, "DC", False, False, _dc_connector),
        Service(5, "AC_BPT", True, True, _ac_connector),
        Service(6, "DC_BPT", True, False, _dc_connector),
        Service(8, "MCS", False, False, _mcs_connector),
        Service(9, "MCS_BPT", True, False, _mcs_connector),
    )
}


def offered_services(config: SeccConfig, snapshot: EvseSnapshot) -> tuple[Service, ...]:
    """What this outlet offers now, in order of preference: of its kind, and BPT only where it can feed back."""
    chosen = (SERVICES[service_id] for service_id in config.services)
    ac = snapshot.ac_ratings is not None
    return tuple(
        service for service in chosen if service.ac is ac and (snapshot.bidirectional or not service.bidirectional)
    )


def offered_set(
    config: SeccConfig, snapshot: EvseSnapshot, service_id: int, parameter_set_id: int
) -> OfferedSet | None:
    """What a pair of ids means now, None when this outlet does not offer it (any more)."""
    return next(
        (
            entry
            for service in offered_services(config, snapshot)
            if service.service_id == service_id
            for entry in service.sets(config)
            if entry.parameter_set_id == parameter_set_id
        ),
        None,
    )


@dataclass(frozen=True, slots=True)
class ValueAdded:
    """A service that carries no energy, as sent: parameter set id -> names and values."""

    service_id: int
    free: bool
    sets: dict[int, tuple[tuple[str, ParameterValue], ...]]


def value_added_services(config: SeccConfig) -> tuple[ValueAdded, ...]:
    """The value-added services of this configuration."""
    found: list[ValueAdded] = []
    if config.internet is not None:
        found.append(ValueAdded(INTERNET, config.internet.free, config.internet.sets()))
    if config.parking is not None:
        found.append(ValueAdded(PARKING_STATUS, config.parking.free, config.parking.sets()))
    found += [ValueAdded(service.service_id, service.free, service.sets()) for service in config.custom_services]
    return tuple(found)


def carries_no_energy(config: SeccConfig, service_id: int) -> bool:
    """Whether this id is that of a value-added service, offered here or not."""
    return service_id in (INTERNET, PARKING_STATUS) or any(
        service.service_id == service_id for service in config.custom_services
    )
