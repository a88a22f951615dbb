"""Faults of the world's passive parts and of the car, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hal.sim.can_bus import CanBus
from hal.sim.world import World

Switch = Callable[[bool, Mapping[str, float]], None]


def world_faults(world: World, bus: CanBus) -> dict[tuple[str, str], Switch]:
    """Faults of the passive parts: what to do when they begin (True) and end (False)."""
    def flag(owner: object, attribute: str, broken: object = True, sound: object = False) -> Switch:
        return lambda on, parameters: setattr(owner, attribute, broken if on else sound)

    def number(owner: object, attribute: str, key: str, broken: float, sound: float | None) -> Switch:
        return lambda on, parameters: setattr(owner, attribute, parameters.get(key, broken) if on else sound)

    faults = {
        ("contactor", "welded"): flag(world.evse_contactor, "welded"),
        ("contactor", "stuck_open"): flag(world.evse_contactor, "stuck_open"),
        ("contactor", "feedback_wrong"): flag(world.evse_contactor, "feedback_wrong"),
        ("ev.contactor", "welded"): flag(world.ev_contactor, "welded"),
        ("ev.contactor", "stuck_open"): flag(world.ev_contactor, "stuck_open"),
        ("cable", "isolation"): number(
            world, "cable_isolation_ohm", "ohm", 20_000.0, world.config.cable_isolation_ohm
        ),
        ("cable", "short"): number(world, "short_ohm", "ohm", 0.5, None),
        ("vehicle", "isolation"): number(
            world, "vehicle_isolation_ohm", "ohm", 20_000.0, world.config.vehicle_isolation_ohm
        ),
        ("grid", "absent"): flag(world, "grid_present", False, True),
        ("can", "dead"): flag(bus, "dead"),
        ("can", "noise"): number(bus, "loss", "share", 0.2, 0.0),
    }
    if world.ac is not None:
        charger = world.ac.charger
        faults |= {
            ("ev.charger", "ignores"): number(charger, "forced_w", "power_w", 11_000.0, None),
            ("ev.charger", "reverse"): number(charger, "forced_w", "power_w", -5_000.0, None),
            ("ev.charger", "overdraw"): number(charger, "factor", "factor", 1.5, 1.0),
            ("ev.charger", "one_phase"): flag(charger, "one_phase"),
            ("plug", "no_proximity"): flag(world.ac, "proximity_lost"),
            ("mains", "over_voltage"): number(world.ac, "factor", "factor", 1.2, 1.0),
        }
    return faults
