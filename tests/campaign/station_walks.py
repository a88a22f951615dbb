"""Random walks of both kinds of outlet on the plant: sessions that hold, release, pause, end anyhow, cars and devices
that misbehave meanwhile. The referee judges every one; at the end of each the contactors must be open."""

from __future__ import annotations

import random
from dataclasses import replace

from evse_controller.model.commands import (
    EndKind,
    EnergyHold,
    EnergyStart,
    EnergyStop,
    ScheduleRequested,
    ServiceReleased,
    SessionEnded,
)
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Notification
from evse_controller.model.wish import EnergyWish
from hal.sim.onboard import OnboardConfig
from hal.sim.plant import Plant
from hal.sim.testing import judged
from tests.station.ac_rig import AC_PLANT, CONFIG, FED, V2G, AcRig
from tests.station.rig import CAR, NEEDS, Rig

FULL_AC, FULL_DC = 300, 60
AC_FAULTS = (
    ("ev.charger", "ignores", {"power_w": 9_000.0}),
    ("ev.charger", "ignores", {"power_w": 27_000.0}),
    ("ev.charger", "overdraw", {"factor": 2.0}),
    ("ev.charger", "one_phase", {}),
    ("mains", "over_voltage", {"factor": 1.2}),
    ("mcu", "silent", {}),
    ("mcu", "noise", {}),
    ("mcu", "rcm", {}),
    ("meter", "silent", {}),
    ("meter", "corrupt", {}),
    ("meter", "late", {"delay_s": 0.4}),
    ("contactor", "stuck_open", {}),
    ("contactor", "feedback_wrong", {}),
    ("contactor", "welded", {}),
)


def run(scale: float, seed: int) -> int:
    rng = random.Random(seed)
    ac, dc = max(1, round(FULL_AC * scale)), max(1, round(FULL_DC * scale))
    for _ in range(ac):
        _ac(rng.randrange(1 << 30))
    for _ in range(dc):
        _dc(rng.randrange(1 << 30))
    return ac + dc


def _ac(seed: int) -> None:
    rng = random.Random(seed)
    fed = rng.random() < 0.5
    config = replace(FED if fed else AC_PLANT, onboard=OnboardConfig(phases=rng.choice((1, 3)), max_current_a=30.0))
    with judged(Plant(config)) as plant:
        # a silent input opens at once, and nobody can bring an AC car to zero in its deadline
        plant.referee.waive("opened-under-load", "faults and ends of every kind come under power here")
        plant.referee.waive("unplugged-live", "welded contactors are among the faults")
        rig = AcRig(plant, V2G if fed else replace(CONFIG, max_asymmetry_w=rng.choice((None, 4_600.0))))
        rig.per_phase = rng.random() < 0.5
        try:
            rig.start()
            for _ in range(rng.randrange(2, 9)):
                _ac_move(rig, rng, fed)
                rig.run(rng.choice((0.03, 0.3, 1.0, 4.0)))
            _ac_end(rig)
        except AssertionError as error:
            raise AssertionError(f"AC walk {seed}: {error}\n{rig.story()}") from error


def _ac_move(rig: AcRig, rng: random.Random, fed: bool) -> None:
    inlet = rig.plant.inlet
    move = rng.randrange(13)
    if move <= 3:
        rig.wish = EnergyWish(setpoint_w=rng.uniform(-12_000.0 if fed else 0.0, 22_000.0))
    elif move == 4:
        rig.import_w, rig.export_w = rng.choice((0.0, 5_000.0, 22_000.0)), rng.choice((0.0, 4_000.0, 11_000.0))
    elif move == 5:
        device, fault, parameters = rng.choice(AC_FAULTS)
        rig.plant.inject(device, fault, **parameters)
    elif move == 6:
        rig.looping = False
        rig.send(EnergyHold("walk"))
        if rng.random() < 0.8:
            rig.car.set_power(0.0)
    elif move == 7:
        rig.send(EnergyStart(None))
        rig.looping = True
    elif move == 8:
        rig.send(rng.choice((EnergyStop("walk"), ServiceReleased(), ScheduleRequested(NEEDS, renegotiation=True))))
    elif move == 9:
        if inlet.plugged:
            inlet.set_pilot(rng.choice((PilotState.B, PilotState.C, PilotState.C)))
    elif move == 10:
        rig.looping = False
        rig.send(SessionEnded(rng.choice(tuple(EndKind)), "walk"))
    elif move == 11:
        rig.station.notify(rng.choice((Notification.PAUSE, Notification.EXIT_STANDBY)), 1.0, "walk", rig.now_s)
    else:
        rig.looping = rig.follows = rng.random() < 0.5


def _ac_end(rig: AcRig) -> None:
    rig.looping = False
    rig.send(SessionEnded(EndKind.EV_CLOSED, "walk over"))
    rig.run(6.5)
    welded = rig.plant.world.evse_contactor.welded
    assert welded or not rig.closed, "contactor still closed after the session's end"
    rig.plant.inlet.unplug()
    rig.run(2.0)
    assert welded or not rig.closed, "contactor closed without a car"
    assert not rig.station._actuator.contactors
    silent = {("mcu", "silent"), ("mcu", "noise"), ("meter", "silent"), ("meter", "corrupt")} & set(rig.plant.faults)
    if rig.plant.faults and not silent and not rig.station.faults and not welded:
        rig.plant.clear()
        rig.run(1.0)
        assert rig.station.status().ready


def _dc(seed: int) -> None:
    rng = random.Random(seed)
    with judged(Plant(CAR)) as plant:
        rig = Rig(plant)
        try:
            rig.start()
            held = False
            for _ in range(rng.randrange(2, 7)):
                held = _dc_move(rig, rng, held)
                rig.run(rng.choice((0.05, 0.3, 1.0, 3.0)))
            _dc_end(rig, rng)
        except AssertionError as error:
            raise AssertionError(f"DC walk {seed}: {error}\n{rig.story()}") from error


def _dc_move(rig: Rig, rng: random.Random, held: bool) -> bool:
    if held:
        rig.send(EnergyStart(None))
        rig.until(lambda: rig.snapshot.energy_ready, 3.0)
        rig.looping = True
        return False
    if rng.random() < 0.5:
        rig.wish = EnergyWish(setpoint_w=rng.uniform(-15_000.0, 30_000.0))
        return False
    rig.looping = False
    rig.send(EnergyHold("walk"))
    return True


def _dc_end(rig: Rig, rng: random.Random) -> None:
    rig.looping = False
    end = rng.randrange(3)
    if end == 0:
        rig.send(ServiceReleased())
    elif end == 1:
        rig.send(EnergyStop("walk"))
        rig.send(SessionEnded(EndKind.PAUSED, "walk"))
    else:
        rig.send(SessionEnded(EndKind.EV_CLOSED, "walk"))
    rig.until(lambda: not rig.contactor_closed, 3.0)
    rig.plant.inlet.open_contactor()
    rig.until(lambda: rig.phase.value == "connected", 20.0)
    assert rig.fault_codes == set(), rig.fault_codes
    assert rig.station.asleep == (end == 1)
    if end == 0 and rng.random() < 0.5:  # the same session again, with another service
        rig.plant.inlet.set_pilot(PilotState.B)
        rig.run(0.3)
        rig.negotiate()
        rig.cable_check()
        rig.precharge()
        rig.start_energy()
        rig.set_power(5_000.0)
        rig.stop()
