"""The same moves and the same judge as `secc_sequences`, as a Hypothesis state machine: what it finds it makes short.

Every choice, inside the moves too, is Hypothesis's own. A life is one EV over its connections: it may do what its state
suggests, say anything, wait, fall silent, hang up and come back.
"""

from __future__ import annotations

import random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.campaign.secc_moves import loops, shake, talk
from tests.campaign.secc_sequences import STARTS, Life, come_back, end, new_bench, open_connection, walk
from tests.secc.wire import Wire

FULL_EXAMPLES = 20_000
STEPS = 30
_WAITS_S = (0.05, 0.3, 2.0, 30.0, 61.0)


class OneLife(RuleBasedStateMachine):
    """One EV at one outlet; the judge of its connection raises, and so does `fall_silent`."""

    bench: Wire
    life: Life

    @initialize(chance=st.randoms(use_true_random=False), start=st.sampled_from(STARTS))
    def plug_in(self, chance: random.Random, start: str) -> None:
        self.life = Life(chance)
        self.bench = new_bench(self.life)
        open_connection(self.bench)
        walk(self.bench, start)

    @property
    def talks(self) -> bool:
        return self.bench.state != "Ended" and not self.bench.link.closed

    @precondition(lambda self: self.talks)
    @rule()
    def goes_on(self) -> None:
        """The usual next request."""
        self.bench._step()

    @precondition(lambda self: self.talks)
    @rule(seed=st.integers(0, 2**20), index=st.integers(0, 100))
    def says(self, seed: int, index: int) -> None:
        if not talk(self.bench, seed, index):
            self.hangs_up()

    @precondition(lambda self: self.bench.state == "ChargeLoop")
    @rule()
    def charges(self) -> None:
        loops(self.bench)

    @precondition(lambda self: self.talks)
    @rule()
    def outlet_changes(self) -> None:
        shake(self.bench)

    @precondition(lambda self: self.talks)
    @rule(seconds=st.sampled_from(_WAITS_S))
    def waits(self, seconds: float) -> None:
        self.bench.after(seconds)
        self.bench.timers()

    @precondition(lambda self: self.talks)
    @rule()
    def coder_is_done(self) -> None:
        self.bench.work()

    @precondition(lambda self: self.talks)
    @rule()
    def falls_silent(self) -> None:
        self.bench.fall_silent()

    @precondition(lambda self: not self.bench.judge.over_with)
    @rule()
    def hangs_up(self) -> None:
        end(self.bench, self.life)

    @precondition(lambda self: self.bench.judge.over_with)
    @rule()
    def comes_back(self) -> None:
        come_back(self.bench, self.life)
        open_connection(self.bench)

    def teardown(self) -> None:
        if hasattr(self, "bench") and not self.bench.judge.over_with:
            end(self.bench, self.life)


def check(examples: int, seed: int) -> None:
    """Raises what the shortest life that breaks a rule raises; Hypothesis prints that life."""
    quiet = settings(
        max_examples=examples, stateful_step_count=STEPS, deadline=None, database=None, derandomize=False,
        suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink), print_blob=False,
    )
    run_state_machine_as_test(seeded(seed)(OneLife), settings=quiet)


def run(scale: float, seed: int) -> int:
    examples = max(20, round(FULL_EXAMPLES * scale))
    check(examples, seed)
    return examples
