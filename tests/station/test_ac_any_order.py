"""The AC outlet on obedient fakes: whatever comes in whatever order, its contactor and its session stay true."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.model.commands import (
    AuthorizationRequested,
    CableCheckRequested,
    ContextDropped,
    EndKind,
    EnergyHold,
    EnergyStop,
    LimitsNegotiated,
    LoopUpdate,
    PreChargeRequested,
    ScheduleRequested,
    ServiceReleased,
    SessionEnded,
    WeldingDetectionRequested,
)
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Authorization, Step
from tests.safety.ac_facts import AC_EV
from tests.safety.facts import EV, NEEDS
from tests.station.ac_bench import AC_BPT, AC_LIMITS, AC_SCHEDULED, CLOSED_TCP, LOOP, OPENED, START, AcBench

COMMANDS = [
    OPENED,
    replace(OPENED, resumed=True),
    AuthorizationRequested(),
    AC_BPT,
    AC_SCHEDULED,
    AC_LIMITS,
    LimitsNegotiated(EV, None),
    ScheduleRequested(NEEDS),
    ScheduleRequested(NEEDS, renegotiation=True),
    CableCheckRequested(),
    PreChargeRequested(400.0, 0.0),
    START,
    START,
    LOOP,
    LoopUpdate(400.0, 450.0, 20.0, EV, None, 50.0),
    EnergyHold("hold"),
    EnergyStop("stop"),
    WeldingDetectionRequested(),
    ServiceReleased(),
    ContextDropped("00"),
    *(SessionEnded(kind, "end") for kind in EndKind),
]
MOVES = st.one_of(
    st.sampled_from(COMMANDS),
    st.sampled_from([PilotState.A, PilotState.B, PilotState.C, PilotState.C]),
    st.sampled_from([-20.0, 0.0, 0.0, 10.0, 20.0, 50.0]),
    st.integers(1, 40),
)


@settings(max_examples=40, deadline=None)
@given(moves=st.lists(MOVES, max_size=40))
def test_in_any_order_of_events_the_contactor_is_closed_only_with_pilot_c(moves: list[object]) -> None:
    bench = AcBench()
    bench.negotiate()
    for move in moves:
        if isinstance(move, PilotState):
            bench.pilot = move
        elif isinstance(move, float):
            bench.amps = move
        elif isinstance(move, int):
            for _ in range(move):
                bench.steps(1)
                if bench.devices.wanted:
                    assert bench.pilot.ready
                    assert bench.phase in ("closing", "energy", "hold", "ramp-down")
                if bench.phase == "energy":
                    assert AC_EV.max_discharge_w is not None
                    assert bench.present.target_w.total_w >= -AC_EV.max_discharge_w.total_w
        else:
            bench.tell(move)
    bench.tell(CLOSED_TCP)
    bench.steps(110)
    assert not bench.devices.wanted


def test_a_new_session_finds_nothing_of_the_one_before_it_also_between_two_steps() -> None:
    bench = AcBench()
    bench.to_energy()
    assert bench.snapshot.energy_ready
    bench.tell(replace(OPENED, session_id="01"))
    assert not bench.snapshot.energy_ready
    assert bench.snapshot.contactor is Step.IDLE
    assert (bench.snapshot.meter, bench.snapshot.offer) == (None, None)
    assert bench.snapshot.authorization is Authorization.PENDING
    bench = AcBench()
    bench.to_energy()
    bench.tell(EnergyStop("ev"))
    bench.steps(4)
    assert bench.snapshot.stop_done
    bench.tell(replace(OPENED, session_id="01"))
    assert not bench.snapshot.stop_done
