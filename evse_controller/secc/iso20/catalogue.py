"""Services as data: id, name, and what its parameter sets say. Which table serves one is said in `services`.

A new service is a row here, a row there, and handlers where its messages differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evse_controller.model.commands import ControlMode
from evse_controller.secc.config import PRICING_NONE, SeccConfig
from evse_controller.secc.iso20.data import OfferedSet

# Internet and ParkingStatus: services that transfer no energy, offered here or not.
VALUE_ADDED_SERVICE_IDS = frozenset({65, 66})
PROVIDED_BY_EVCC = 1
BPT_UNIFIED = 1
GRID_FOLLOWING = 1


@dataclass(frozen=True, slots=True)
class Service:
    """An energy transfer service. `connector` picks the Connector value from the configuration."""

    service_id: int
    name: str
    bidirectional: bool
    connector: Callable[[SeccConfig], int]

    def sets(self, config: SeccConfig) -> tuple[OfferedSet, ...]:
        """The parameter sets in order of preference; the id of a set is its control mode, whatever the order."""
        return tuple(
            OfferedSet(
                self.service_id,
                mode.value,
                mode,
                self.bidirectional,
                PROVIDED_BY_EVCC,
                config.scheduled_pricing if mode is ControlMode.SCHEDULED else PRICING_NONE,
            )
            for mode in config.control_modes
        )

    def parameters(self, config: SeccConfig, offered: OfferedSet) -> list[tuple[str, int]]:
        """Names and values of one set, as sent."""
        parameters = [
            ("Connector", self.connector(config)),
            ("ControlMode", offered.control_mode.value),
            ("MobilityNeedsMode", offered.mobility_needs_mode),
            ("Pricing", offered.pricing),
        ]
        if self.bidirectional:
            parameters += [("BPTChannel", BPT_UNIFIED), ("GeneratorMode", GRID_FOLLOWING)]
        return parameters


def _dc_connector(config: SeccConfig) -> int:
    return config.dc_connector


SERVICES: dict[int, Service] = {
    service.service_id: service
    for service in (
        Service(2, "DC", False, _dc_connector),
        Service(6, "DC_BPT", True, _dc_connector),
    )
}


def offered_services(config: SeccConfig, bidirectional: bool) -> tuple[Service, ...]:
    """What this outlet offers now, in order of preference; BPT only where the outlet can feed back."""
    chosen = (SERVICES[service_id] for service_id in config.services)
    return tuple(service for service in chosen if bidirectional or not service.bidirectional)
