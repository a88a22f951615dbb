"""Random sequences and random bytes: a sample of what `make campaign` does at length, and the test of that test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.messages.generated import common_messages as cm
from evse_controller.model import commands as c
from evse_controller.model.power import PhasePower
from evse_controller.model.snapshot import Authorization
from evse_controller.secc.iso20 import (
    ac_loop,
    authorization,
    dc_loop,
    metering_confirmation,
    pause,
    power_delivery,
    profile,
    renegotiation,
)
from evse_controller.secc.iso20.session import Iso20Session
from evse_controller.secc.iso20.timers import Timers
from evse_controller.station import Station
from tests.campaign.secc_machine import check
from tests.campaign.secc_sequences import Judge, charged_on_plant, play, run
from tests.secc.ev import NS_DC, SNAPSHOT, connection, frame, negotiated, sap_request
from tests.secc.wire import Wire


def test_a_sample_of_random_sequences() -> None:
    assert run(0.01, 7) == 200


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**40))
def test_any_random_sequence_keeps_the_rules(seed: int) -> None:
    play(seed)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=6), st.booleans())
def test_random_bytes_never_raise_and_leave_no_session_open(chunks: list[bytes], opened: bool) -> None:
    link = negotiated()[0] if opened else connection()
    ends = 0
    for chunk in chunks:
        for prefix in (b"", b"\x01\xfe\x80\x02\x00\x00\x00"):
            for output in link.receive(prefix + chunk, SNAPSHOT, 1001.0):
                ends += sum(isinstance(command, c.SessionEnded) for command in output.commands)
    for output in link.on_disconnect(1002.0):
        ends += sum(isinstance(command, c.SessionEnded) for command in output.commands)
    assert ends == (1 if opened else 0)


# The test of the test: a defect of each kind, planted, must turn it red


def _caught(sequence: Callable[[int], object], seeds: range) -> str:
    """What the first sequence that objects says."""
    for seed in seeds:
        try:
            sequence(seed)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    raise AssertionError(f"{len(seeds)} sequences noticed nothing")


def _raises(*_: Any) -> Any:
    raise RuntimeError("planted")


def _wrong_answer(header: Any, code: Any, status: Any) -> cm.SessionStopRes:
    return cm.SessionStopRes(header, code)


def _no_stop(turn: Any, reason: str) -> None:
    turn.data.energy_possible = False


_ending = Iso20Session._ending


def _no_end(self: Iso20Session, kind: c.EndKind, reason: str) -> tuple[c.Command, ...]:
    return tuple(command for command in _ending(self, kind, reason) if not isinstance(command, c.SessionEnded))




@pytest.mark.parametrize(
    ("where", "name", "defect", "says"),
    [
        (renegotiation, "exchange", _raises, "RuntimeError: planted"),
        (power_delivery, "begin", _raises, "RuntimeError: planted"),
        (metering_confirmation, "_signature_fault", _raises, "RuntimeError: planted"),
        (power_delivery, "PowerDeliveryRes", _wrong_answer, "AssertionError"),
        (power_delivery, "stop_energy", _no_stop, "contactor closed in"),
        (Iso20Session, "_ending", _no_end, "session left open"),
    ],
    ids=[
        "exception in the schedule exchange",
        "exception in the renegotiation",
        "exception on a side stream",
        "answer of the wrong type",
        "contactor closed outside the energy phases",
        "session left open",
    ],
)
def test_a_planted_defect_is_noticed(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, defect: Any, says: str
) -> None:
    monkeypatch.setattr(where, name, defect)
    assert says in _caught(play, range(300))


def test_a_planted_defect_that_the_referee_sees_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A station that opens its contactor as soon as it is told to stop, under full current."""
    command = Station.command

    def hasty(self: Station, cmd: c.Command, now_s: float) -> None:
        command(self, cmd, now_s)
        if isinstance(cmd, c.EnergyStop):
            self._actuator._mcu.set_contactors(False)
            self._actuator._mcu.beat(now_s)

    monkeypatch.setattr(Station, "command", hasty)
    with pytest.raises(AssertionError, match="opened-under-load"):
        charged_on_plant()


def _endless(self: Timers, looping: bool) -> float:
    return 1e6


def _anybody(turn: Any) -> Any:
    turn.snapshot = replace(turn.snapshot, authorization=Authorization.ACCEPTED)
    return _eim(turn)


def _generous(turn: Any, rated: Any) -> Any:
    return _limits(turn, replace(rated, max_charge_power_w=2.0 * rated.max_charge_power_w))


_eim, _limits = authorization._eim, dc_loop._limits


@pytest.mark.parametrize(
    ("where", "name", "defect", "says"),
    [
        (Timers, "sequence_after", _endless, "waits 1000000.00 s"),
        (power_delivery, "_too_late", lambda turn: None, "announces its start for ever"),
        (dc_loop, "_within", lambda negotiated, known, limits: limits, "of the EV above what it negotiated"),
        (dc_loop, "_limits", _generous, "above what was negotiated"),
        (ac_loop, "_target", lambda turn, present, limits: present.target_w, "target beyond what was negotiated"),
        (authorization, "_eim", _anybody, "let in by nobody"),
        (profile, "profile_fault", lambda *_: None, "a profile of"),
        (pause.hmac, "compare_digest", lambda a, b: True, "of another vehicle was joined"),
    ],
    ids=[
        "no sequence timer",
        "no time limit for the start",
        "EV limits above its parameters",
        "DC limits above ours",
        "AC target not bounded",
        "anybody let in",
        "profile not checked",
        "anybody joins",
    ],
)
def test_a_planted_defect_in_figures_times_or_rights_is_noticed(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, defect: Any, says: str
) -> None:
    monkeypatch.setattr(where, name, defect)
    assert says in _caught(play, range(2000))


def test_that_a_silent_ev_ends_its_session_is_seen_by_the_judges_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that says the right deadline and then does nothing is noticed."""
    on_timer = Iso20Session.on_timer

    def deaf(self: Iso20Session, now_s: float, snapshot: Any) -> Any:
        return on_timer(self, now_s, snapshot) if self.pending else None

    monkeypatch.setattr(Iso20Session, "on_timer", deaf)
    bench = Wire(chance=Random(0))
    bench.feed(frame(sap_request((NS_DC, 1, 0, 1, 1))))
    bench.to("ChargeLoop").ask(bench._loop())
    with pytest.raises(AssertionError, match="although its EV is silent"):
        bench.fall_silent()


def test_a_sample_of_the_state_machine() -> None:
    check(40, 3)


def test_the_state_machine_makes_what_it_finds_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorization, "_eim", _anybody)
    with pytest.raises(AssertionError, match="let in by nobody") as found:
        check(2000, 1)
    steps = [line for line in getattr(found.value, "__notes__", ()) if line.startswith("state.")]
    assert 1 <= len(steps) <= 8, steps


def test_the_same_way_without_the_defect_has_no_objection() -> None:
    charged_on_plant()


SELECTED = c.ServiceSelected(6, 1, c.ControlMode.DYNAMIC, True, 1)
LIMITS = c.EvDcLimits(450.0, 250.0, 180.0, 0.0, 80_000.0, 0.0)
AC_LIMITS = c.EvAcLimits(PhasePower(1.0), PhasePower(0.0))
OPENED, ASKED = c.SessionOpened("A", "B", "C"), c.AuthorizationRequested()
KEPT = c.ContextKept(c.PausedSession("A", "", "", "", 6, 1, (), 0.0))


@pytest.mark.parametrize(
    "commands",
    [
        [OPENED, c.EnergyStart(None)],
        [c.LoopUpdate(1.0, 1.0, 1.0, LIMITS, None, None)],
        [OPENED, c.SessionEnded(c.EndKind.FAILED, ""), c.EnergyStop("")],
        [c.EnergyStop("")],
        [OPENED, c.SessionOpened("A", "B", "C")],
        [OPENED, SELECTED],
        [OPENED, ASKED, SELECTED, SELECTED],
        [OPENED, ASKED, SELECTED, c.LimitsNegotiated(AC_LIMITS, None)],
        [OPENED, c.ServiceReleased()],
        [OPENED, c.EnergyHold("")],
        [OPENED, c.SessionEnded(c.EndKind.PAUSED, "")],
        [OPENED, KEPT, c.SessionEnded(c.EndKind.TERMINATED, "")],
        [OPENED, KEPT, ASKED],
        [OPENED, c.ContextDropped("A")],
    ],
    ids=[
        "energy too early",
        "loop too early",
        "after the end",
        "stop of nothing",
        "opened twice",
        "service without authorisation",
        "two services",
        "limits of the other kind",
        "nothing to release",
        "nothing to hold",
        "paused and not kept",
        "kept and not paused",
        "kept and gone on",
        "dropped without a join",
    ],
)
def test_the_judge_objects(commands: list[c.Command]) -> None:
    judge = Judge()
    *before, wrong = commands
    for command in before:
        judge.command(command)
    with pytest.raises(AssertionError):
        judge.command(wrong)


def test_the_judge_objects_to_a_contactor_and_a_session_left() -> None:
    judge = Judge()
    judge.closed = True
    judge.stands_in("Standby")
    with pytest.raises(AssertionError):
        judge.stands_in("SessionStop")
    judge = Judge()
    judge.command(OPENED)
    with pytest.raises(AssertionError):
        judge.over()
