"""The independent vehicle at the real daemon in every combination that it can do. One case takes about half a minute.

AC, AC_BPT, DC and DC_BPT, Scheduled and Dynamic, plain TCP and TLS under lab-p256, and its service-renegotiation stop.
A scaled run takes a sample by seed. Where Java is present its own codec is among the cases and may not be left out.
With our codec it is quick enough for the strict loop of 0.5 s [V2G20-1502] too; its own may need `lab-slow-loop`.
"""

from __future__ import annotations

import itertools
import random
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hil.peers.house import HouseResult, charge_josev
from hil.peers.options import DYNAMIC, SCHEDULED, PeerOptions

SERVICES = ("AC", "AC_BPT", "DC", "DC_BPT")
SERVICE_IDS = {"AC": 1, "DC": 2, "AC_BPT": 5, "DC_BPT": 6}
MODE_NAMES = {SCHEDULED: "Scheduled", DYNAMIC: "Dynamic"}
_SELECTED = re.compile(r'Message to encode .*"SelectedEnergyTransferService": ?\{"ServiceID": ?(\d+)')
_LOOP_MODE = re.compile(r'Message to encode .*"(\w+_CLReqControlMode)"')
CURRENT_LEGS = {False: ((60, 20.0),), True: ((70, 20.0), (45, -15.0))}
POWER_LEGS = {False: ((60, 7_000.0),), True: ((70, 7_000.0), (90, -5_000.0))}


@dataclass(frozen=True, slots=True)
class Case:
    """`renegotiate`: the station asks for a service renegotiation, and the vehicle stops with it."""

    service: str
    control_mode: int
    tls: bool
    codec: str = "native"
    slow_loop: bool = True
    renegotiate: bool = False

    def options(self) -> PeerOptions:
        legs = POWER_LEGS if self.service.startswith("AC") else CURRENT_LEGS
        return PeerOptions(
            "", "", service=self.service, control_mode=self.control_mode, tls=self.tls, codec=self.codec,
            departure_s=6 * 3600, legs=legs[self.service.endswith("_BPT")],
        )


def cases() -> list[Case]:
    """Every combination; a service renegotiation once for each service, control mode and codec."""
    codecs = [("native", True), ("native", False)] + ([("own", True)] if shutil.which("java") else [])
    plain = [
        Case(service, mode, tls, codec, slow_loop)
        for service, mode, tls, (codec, slow_loop) in itertools.product(
            SERVICES, (SCHEDULED, DYNAMIC), (True, False), codecs
        )
    ]
    stops = [
        Case(service, mode, mode == DYNAMIC, codec, True, True)
        for service, mode, codec in itertools.product(
            SERVICES, (SCHEDULED, DYNAMIC), ["native", *(["own"] if shutil.which("java") else [])]
        )
    ]
    return plain + stops


def loop_mode(case: Case) -> str:
    """The element that every charge loop request of the case must have, by the schema's name."""
    named, both_ways = case.service.partition("_")[::2]
    return f"{'BPT_' if both_ways else ''}{MODE_NAMES[case.control_mode]}_{named}_CLReqControlMode"


def flaws(case: Case, result: HouseResult) -> list[str]:
    """What is wrong with a session, seen by the vehicle itself, the plant, the daemon's journal and the referee."""
    plant, record, options = result.plant, result.record, case.options()
    if not result.peer.completed:
        return [f"its own log: {result.peer.failure}\n{result.evsed}"]
    named = "AC" if options.by_ac else "DC"
    # Asked for a service renegotiation, this vehicle says so in its SessionStopReq with AC, but Terminate with DC.
    changes = case.renegotiate and options.by_ac
    found = [
        (f"{named}_ChargeLoopRes" in result.peer.received, "no charge loop response in its log"),
        (result.peer.received[-1] == "SessionStopRes", "its log does not end with SessionStopRes"),
        (plant["highest_w"] > 3_000.0, "never charged"),
        (record.get("end_kind") == ("ev-closed" if changes else "terminated"), "ended otherwise"),
        (not plant["contactor_closed"], "the contactor stayed closed"),
        (not plant["objections"], "the referee objects"),
        (not result.disagreements(), "meter, journal and set-points disagree"),
        (record.get("charged_wh", 0.0) > 500.0, "the journal knows of no energy"),
    ]
    found += [
        (_SELECTED.findall(result.peer.log) == [str(SERVICE_IDS[case.service])], "its log selects another service"),
        (set(_LOOP_MODE.findall(result.peer.log)) == {loop_mode(case)}, "its log has loops of another control mode"),
        (record.get("service") == case.service, "the journal has another service"),
        (record.get("control_mode") == MODE_NAMES[case.control_mode].lower(), "the journal has another control mode"),
    ]
    if options.both_ways and not case.renegotiate:
        found.append((plant["lowest_w"] < -1_000.0, "never discharged"))
        found.append((record.get("discharged_wh", 0.0) > 500.0, "the journal knows of no energy given back"))
    return [f"{why}: {plant} {record} {result.disagreements()}" for good, why in found if not good]


def run(scale: float, seed: int) -> int:
    every = cases()
    chosen = random.Random(seed).sample(every, max(1, round(len(every) * scale)))
    for case in chosen:
        with tempfile.TemporaryDirectory() as folder:
            result = charge_josev(
                Path(folder), case.options(), slow_loop=case.slow_loop, renegotiate=case.renegotiate
            )
        found = flaws(case, result)
        assert not found, f"{case}: {found}"
    return len(chosen)
