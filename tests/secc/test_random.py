"""Random sequences and random bytes: a sample of what `make campaign` does at length."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.model import commands as c
from tests.campaign.secc_sequences import Judge, play, run
from tests.secc.ev import SNAPSHOT, connection, negotiated


def test_a_sample_of_random_sequences() -> None:
    assert run(0.02, 7) == 400


@settings(max_examples=60, deadline=None)
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


LIMITS = c.EvDcLimits(450.0, 250.0, 180.0, 0.0, 80_000.0, 0.0)


@pytest.mark.parametrize(
    "commands",
    [
        [c.SessionOpened("A", "B", "C"), c.EnergyStart(None)],
        [c.LoopUpdate(1.0, 1.0, 1.0, LIMITS, None, None)],
        [c.SessionOpened("A", "B", "C"), c.SessionEnded(c.EndKind.FAILED, ""), c.EnergyStop("")],
        [c.EnergyStop("")],
        [c.SessionOpened("A", "B", "C"), c.SessionOpened("A", "B", "C")],
    ],
    ids=["energy too early", "loop too early", "after the end", "stop of nothing", "opened twice"],
)
def test_the_judge_objects(commands: list[c.Command]) -> None:
    judge = Judge()
    *before, wrong = commands
    for command in before:
        judge.command(command)
    with pytest.raises(AssertionError):
        judge.command(wrong)
