"""Random message sequences against a whole connection, with random timing, splits, drops and outlet states.

Whatever comes, the connection must not raise, must answer each request with its paired response exactly once and on
its stream, must end after a FAILED response, must ask the station for energy in the one right order, and must leave
neither a session open nor a contactor closed. One life is an EV that may pause, sleep and come back on a new
connection; some lives are played on the simulated plant, whose referee must not object.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from evse_controller.messages.generated import common_messages as cm
from evse_controller.model.commands import PausedSession
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.surroundings import Peer, Surroundings
from tests.campaign.secc_moves import loops, shake, talk
from tests.secc.ev import (
    BESIDE_THE_LOOP,
    DC,
    DC_BPT,
    DYNAMIC,
    NS_AC,
    NS_DC,
    SCHEDULED,
    frame,
    power_delivery,
    sap_request,
)
from tests.secc.judge import Judge
from tests.secc.wire import Wire, stretch

__all__ = ["Judge", "Wire", "play", "run", "stretch"]

FULL_CASES = 20_000
ON_PLANT = 100  # one life in so many is played on the plant, too
# Where the random part begins; up to there the EV behaves.
STARTS = (
    "SessionSetup",
    "Authorization",
    "ServiceSelection",
    "ScheduleExchange",
    "CableCheck",
    "PreCharge",
    *("ChargeLoop",) * 5,
    *BESIDE_THE_LOOP,
)


@dataclass
class Life:
    """One EV over all its connections, and what the store keeps for it."""

    chance: random.Random
    shelf: dict[str, PausedSession] = field(default_factory=dict)
    owners: dict[str, bytes | None] = field(default_factory=dict)  # who paused the session of this id
    reached: Counter[str] = field(default_factory=Counter)

    def surroundings(self, certificate: bytes | None) -> Surroundings:
        return Surroundings(Peer(certificate), self.shelf.get)

    def after(self, bench: Wire) -> None:
        """The connection is gone."""
        for session_id in bench.judge.dropped:
            del self.shelf[session_id]
        for context in bench.judge.kept:
            self.shelf[context.session_id] = context
            self.owners[context.session_id] = bench.around.peer.certificate_sha512


def walk(bench: Wire, target: str) -> None:
    """The usual way to this state, if it leads there: a resumed session has passed some, a station may not offer it."""
    for _ in range(25):
        if bench.state in (target, "Ended"):
            return
        if bench.state == "ChargeLoop" and target in BESIDE_THE_LOOP:
            bench.ask(bench._loop())
            standby = target == "Standby"
            wanted = cm.ChargeProgress.Standby if standby else cm.ChargeProgress.ScheduleRenegotiation
            bench.ask(power_delivery(wanted))
            if target != "Renegotiated":
                return
        bench._step()


def _connection(bench: Wire, life: Life, seed: int) -> None:
    """One connection from its first byte to its end."""
    chance = bench.chance
    open_connection(bench)
    walk(bench, chance.choice(STARTS))
    for index in range(chance.randrange(5, 60)):
        if bench.link.closed or bench.state == "Ended":
            break
        life.reached[bench.state] += 1
        if chance.random() < bench.roughness:
            shake(bench)
        if chance.random() < 0.03:
            bench.after(chance.choice((0.3, 2.0, 30.0, 61.0)))
        bench.timers()
        if chance.random() < 0.5:
            bench.work()
        if bench.state != "Ended" and not talk(bench, seed, index):
            break
    end(bench, life)


def end(bench: Wire, life: Life) -> None:
    """The EV hangs up, or is not heard of any more."""
    if not bench.link.closed and bench.judge.silence_s(bench.state) < bench.patience_s and bench.chance.random() < 0.5:
        bench.fall_silent()
    bench.take(bench.link.on_disconnect(bench.now_s))
    bench.judge.over()
    assert bench.link.next_deadline_s is None
    life.after(bench)


def open_connection(bench: Wire) -> None:
    """The first request of a connection."""
    bench.feed(frame(sap_request((NS_DC if bench.service in (DC, DC_BPT) else NS_AC, 1, 0, 1, 1))))


def new_bench(life: Life) -> Wire:
    chance = life.chance
    certificate = chance.choice((None, *(hashlib.sha512(name).digest() for name in (b"a", b"b", b"b", b"b"))))
    config = SeccConfig(
        standby=chance.random() < 0.9,
        service_renegotiation=chance.random() < 0.9,
        pause=chance.random() < 0.95,
        session_stop_in_loop=chance.random() < 0.9,
    )
    shared: dict[str, Any] = {
        "control_mode": chance.choice((SCHEDULED, DYNAMIC)),
        "around": life.surroundings(certificate),
        "chance": chance,
        "roughness": chance.choice((0.03, 0.1, 0.4)),
        "slow": chance.choice((0.0, 0.5)),
        "large_bytes": chance.choice((None, None, 48, 400)),
    }
    if chance.random() < 0.3:
        from tests.secc.wire_ac import AC_SERVICES, AcWire

        return AcWire(config=replace(config, services=AC_SERVICES), service=chance.choice(AC_SERVICES), **shared)
    return Wire(config=config, service=chance.choice((DC, DC_BPT)), **shared)


def play(seed: int) -> Counter[str]:
    """One random life; returns how often each state was reached. AssertionError where a rule is broken."""
    life = Life(random.Random(seed))
    bench = new_bench(life)
    _connection(bench, life, seed)
    while bench.judge.kept and life.chance.random() < 0.8:
        come_back(bench, life)
        life.reached["resumed"] += 1
        _connection(bench, life, seed + 1)
    return life.reached


def play_on_plant(seed: int) -> Counter[str]:
    """One random life above the real station on the simulated plant; the referee must not object."""
    from tests.campaign.secc_plant import PlantWire

    chance = random.Random(seed)
    life = Life(chance)
    certificate = hashlib.sha512(b"a").digest()
    bench = PlantWire(
        control_mode=chance.choice((SCHEDULED, DYNAMIC)),
        service=chance.choice((DC, DC_BPT)),
        around=life.surroundings(certificate),
        chance=chance,
        roughness=chance.choice((0.02, 0.05, 0.2)),
    )
    try:
        bench.power(chance.choice((-5000.0, 0.0, 8000.0)))
        _connection_on_plant(bench, life, seed)
        while bench.judge.kept and chance.random() < 0.8:
            bench.after(5.0)
            come_back(bench, life)
            life.reached["resumed"] += 1
            _connection_on_plant(bench, life, seed + 1)
        bench.settle()
    finally:
        bench.close()
    return life.reached


def charged_on_plant() -> None:
    """No chance at all: power flows, the EV stops it, the referee is asked. What a planted defect is held against."""
    from tests.campaign.secc_plant import PlantWire

    life = Life(random.Random(0))
    bench = PlantWire(control_mode=DYNAMIC, service=DC_BPT, chance=life.chance)
    try:
        bench.power(8000.0)
        bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
        for _ in range(600):
            if bench.state == "ChargeLoop":
                break
            bench._step()
        for _ in range(20):
            bench.after(0.2)
            bench.ask(bench._loop())
        assert bench.rig.current_a > 10.0
        bench.ask(power_delivery(cm.ChargeProgress.Stop))
        bench.after(3.0)
        end(bench, life)
        bench.settle()
    finally:
        bench.close()


def _connection_on_plant(bench: Wire, life: Life, seed: int) -> None:
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
    for _ in range(600):  # cable check and pre-charge take as long as the hardware needs
        if bench.state in ("ChargeLoop", "Ended"):
            break
        bench._step()
    for _ in range(bench.chance.randrange(12)):
        if bench.state == "ChargeLoop":
            loops(bench)  # some power flows
    for index in range(bench.chance.randrange(5, 40)):
        if bench.link.closed or bench.state == "Ended":
            break
        life.reached[bench.state] += 1
        bench.timers()
        if bench.state != "Ended" and not talk(bench, seed, index):
            break
    end(bench, life)


def come_back(bench: Wire, life: Life) -> None:
    """The EV wakes up and asks for its old session on a new connection; or another one does, which knows its id."""
    bench.after(bench.chance.choice((10.0, 3600.0)))
    if bench.chance.random() < 0.25:
        bench.around = life.surroundings(bench.chance.choice((None, hashlib.sha512(b"thief").digest())))
    paused = bench.session_id.hex().upper()
    bench.may_join = paused in life.shelf and life.owners[paused] == bench.around.peer.certificate_sha512
    bench.set(offer=None, cable_check=Step.IDLE, precharge=Step.IDLE, pilot=PilotState.C, notification=None)
    bench.asked_id = bench.session_id
    bench.connect()


def run(scale: float, seed: int) -> int:
    count = max(50, round(FULL_CASES * scale))
    reached: Counter[str] = Counter()
    on_plant: Counter[str] = Counter()
    for case in range(count):
        number = seed * 1_000_003 + case
        try:
            reached += play(number)
            if case % ON_PLANT == 0:
                on_plant += play_on_plant(number)
        except Exception as error:
            raise AssertionError(f"sequence {number}: {error}") from error
    # A campaign that never gets anywhere proves nothing.
    for state in ("ChargeLoop", *BESIDE_THE_LOOP, "WeldingDetection", "SessionStop", "resumed"):
        assert reached[state] >= count // 100, f"only {reached[state]} times in {state}: {dict(reached)}"
    assert on_plant["ChargeLoop"] >= count // ON_PLANT, f"the plant saw too little: {dict(on_plant)}"
    return count
