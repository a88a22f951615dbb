"""The referee's rules of an AC outlet. Like the others they know only what is physically there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hal.sim.ac_mains import AcMains
from hal.sim.events import ContactorMoved
from hal.sim.world import World

AC_RULES = ("ac-closed-without-pilot", "ac-opened-above-rating", "ac-reverse-power", "ac-phase-limit")

Held = Callable[[str, bool, float, float], bool]
"""The referee's memory: key, condition, time, how long it must last. True once per episode."""


@dataclass(frozen=True, slots=True)
class AcRefereeConfig:
    """`break_a`: what the contactor may open. `phase_limit_a`: the fuse. `export_allowed`: this site may be fed.

    `pilot_s`: IEC 61851-1, 100 ms, and the contactor's own time. `phase_s` and `reverse_s`: within these times a
    controller has seen it at its meter and opened.
    """

    break_a: float = 63.0
    phase_limit_a: float = 32.0
    phase_share: float = 0.15
    phase_s: float = 1.2
    export_allowed: bool = False
    reverse_w: float = 200.0
    reverse_s: float = 2.5
    pilot_s: float = 0.15
    grid_reaction_s: float = 8.0


def opened_above_rating(config: AcRefereeConfig, event: ContactorMoved) -> str | None:
    """What is wrong with a contactor's opening whatever its reason."""
    if event.which == "evse" and not event.closed and abs(event.current_a) > config.break_a:
        return f"contactor opened at {event.current_a:.1f} A, made for {config.break_a:.0f} A"
    return None


def judge_ac(config: AcRefereeConfig, world: World, ac: AcMains, held: Held) -> Iterator[tuple[str, str]]:
    """Rules that are broken now: (rule, detail)."""
    contactor, pilot = world.evse_contactor, world.vehicle_pilot
    loose = contactor.closed and not contactor.welded and not pilot.ready
    if held("ac-pilot", loose, world.now_s, config.pilot_s):
        yield "ac-closed-without-pilot", f"contactor closed with pilot {pilot.value}"
    limit_a = config.phase_limit_a * (1 + config.phase_share)
    if held("ac-phase", abs(ac.largest_a) > limit_a and not contactor.welded, world.now_s, config.phase_s):
        yield "ac-phase-limit", f"{ac.largest_a:.1f} A in a phase with a fuse of {config.phase_limit_a:.0f} A"
    back_w = -min(ac.phase_w)
    reverse = back_w > config.reverse_w and not config.export_allowed and not contactor.welded
    if held("ac-reverse", reverse, world.now_s, config.reverse_s):
        yield "ac-reverse-power", f"{back_w:.0f} W fed back at a site that may not be fed"
