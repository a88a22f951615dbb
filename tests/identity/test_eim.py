"""EIM in virtual time, each real-life order as a script: what happens, and what the outlet says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.identity import EimAuthorizer, EimTimes, KnownToken, Phase, Shown
from evse_controller.model.commands import EndKind
from evse_controller.model.snapshot import Authorization

MINE, YOURS, FOREIGN, AFAR = "04A1", "04B2", "FFFF", "REMOTE-1"
PENDING, ACCEPTED, REJECTED = Authorization.PENDING, Authorization.ACCEPTED, Authorization.REJECTED
TIMES = EimTimes(tap_s=60.0, remote_s=120.0, bounce_s=3.0, broken_s=0.0)


@dataclass
class House:
    """An outlet and its time. Each method is one thing that happens."""

    authorizer: EimAuthorizer = field(default_factory=lambda: EimAuthorizer(False, [MINE, YOURS], "outlet-1", TIMES))
    now_s: float = 1000.0

    def after(self, seconds: float) -> House:
        self.now_s += seconds
        return self

    def tap(self, token: str = MINE, outlet: str | None = None) -> Shown:
        return self.authorizer.present(token, self.now_s, outlet)

    def start(self, token: str | None = AFAR) -> Shown:
        return self.authorizer.remote_start(self.now_s, token)

    def session(self, resumed: bool = False) -> House:
        self.authorizer.opened(resumed)
        return self

    def asks(self) -> House:
        self.authorizer.asked(self.now_s)
        return self

    def ends(self, kind: EndKind = EndKind.TERMINATED) -> House:
        self.authorizer.session_ended(kind, self.now_s)
        return self

    @property
    def state(self) -> Authorization:
        return self.authorizer.state(self.now_s)


def accepted() -> House:
    """A session that MINE opened, long enough ago for a second tap."""
    house = House().session().asks()
    house.tap()
    assert house.state is ACCEPTED
    return house.after(10.0)


def test_free_vend_accepts_everyone_and_needs_no_token() -> None:
    house = House(EimAuthorizer(True, [MINE]))
    assert house.state is ACCEPTED
    assert house.tap(FOREIGN) is Shown.NOT_NEEDED
    assert house.start() is Shown.NOT_NEEDED
    assert house.session().asks().state is ACCEPTED
    assert house.ends().state is ACCEPTED


def test_a_card_for_a_car_that_is_plugged_in_says_so_and_counts_as_long_as_a_start_from_afar() -> None:
    """It has to be called, and to come: that takes longer than an open plug takes to be put in."""
    house = House()
    house.authorizer.plugged_in()
    assert house.tap() is Shown.EXPECTED
    assert house.after(1.0).tap() is Shown.REPEATED
    assert house.after(118.0).state is PENDING
    assert house.authorizer.phase is Phase.KEPT
    assert house.after(2.0).state is PENDING
    assert house.authorizer.phase is Phase.IDLE
    assert house.start() is Shown.EXPECTED
    house.authorizer.unplugged()
    assert house.after(5.0).tap() is Shown.KEPT


def test_tap_after_plug() -> None:
    house = House().session().asks()
    assert house.state is PENDING
    assert house.after(5.0).tap() is Shown.OPENS
    assert house.state is ACCEPTED


@pytest.mark.parametrize(("waited_s", "state"), [(0.0, ACCEPTED), (60.0, ACCEPTED), (60.1, PENDING)])
def test_tap_before_plug_counts_for_its_time(waited_s: float, state: Authorization) -> None:
    house = House()
    assert house.tap() is Shown.KEPT
    assert house.state is PENDING
    assert house.after(waited_s).session().asks().state is state


def test_a_tap_that_timed_out_while_the_car_waits_may_be_made_again() -> None:
    house = House()
    house.tap()
    house.after(61.0).session().asks()
    assert house.tap() is Shown.OPENS


def test_a_second_tap_before_the_plug_counts_from_then_on() -> None:
    house = House()
    house.tap()
    assert house.after(50.0).tap() is Shown.KEPT
    assert house.after(50.0).session().asks().state is ACCEPTED


def test_the_last_of_two_drivers_before_the_plug_counts() -> None:
    house = House()
    house.tap(MINE)
    assert house.after(5.0).tap(YOURS) is Shown.KEPT
    house.session().asks()
    assert house.after(5.0).tap(MINE) is Shown.NOT_YOURS
    assert house.tap(YOURS) is Shown.STOPS


def test_one_tap_opens_one_session() -> None:
    house = House()
    house.tap()
    assert house.session().asks().state is ACCEPTED
    assert house.ends().session().asks().state is PENDING


def test_a_wrong_card_before_the_plug_refuses_nobody() -> None:
    house = House()
    assert house.tap(FOREIGN) is Shown.UNKNOWN
    assert house.session().asks().state is PENDING
    house = House()
    house.tap(MINE)
    assert house.tap(FOREIGN) is Shown.UNKNOWN
    assert house.session().asks().state is ACCEPTED


def test_case_25_a_refused_token_rejects_and_the_car_may_try_again() -> None:
    house = House().session().asks()
    assert house.tap(FOREIGN) is Shown.UNKNOWN
    assert house.state is REJECTED
    assert house.after(1.0).state is REJECTED  # until the car was told and asks again
    assert house.asks().state is PENDING
    assert house.tap(MINE) is Shown.OPENS
    assert house.state is ACCEPTED


def test_the_right_token_right_after_the_wrong_one_needs_no_second_try() -> None:
    house = House().session().asks()
    house.tap(FOREIGN)
    assert house.tap(MINE) is Shown.OPENS
    assert house.state is ACCEPTED


def test_a_wrong_card_that_stays_on_the_reader_rejects_once() -> None:
    house = House().session().asks()
    house.tap(FOREIGN)
    house.asks()
    assert house.after(1.0).tap(FOREIGN) is Shown.UNKNOWN
    assert house.state is PENDING
    assert house.after(3.0).tap(FOREIGN) is Shown.UNKNOWN
    assert house.state is REJECTED


def test_the_same_token_stops_the_session_and_is_used_up() -> None:
    house = accepted()
    assert house.tap() is Shown.STOPS
    assert house.state is ACCEPTED  # the session ends in its own order
    assert house.ends(EndKind.EV_CLOSED).after(1.0).session().asks().state is PENDING


def test_another_token_does_not_stop_the_session() -> None:
    house = accepted()
    assert house.tap(YOURS) is Shown.NOT_YOURS
    assert house.tap(FOREIGN) is Shown.UNKNOWN
    assert house.state is ACCEPTED


def test_a_card_that_lies_on_the_reader_is_one_tap() -> None:
    house = House().session().asks()
    assert house.tap() is Shown.OPENS
    for _ in range(20):
        assert house.after(0.5).tap() is Shown.REPEATED
    assert house.state is ACCEPTED
    assert house.after(2.9).tap() is Shown.REPEATED
    assert house.after(3.0).tap() is Shown.STOPS
    # And it starts nothing anew while it lies there.
    house.ends()
    assert house.after(0.5).tap() is Shown.REPEATED
    assert house.session().asks().state is PENDING


def test_remote_start_before_and_after_the_plug() -> None:
    house = House()
    assert house.start() is Shown.KEPT
    assert house.after(120.0).session().asks().state is ACCEPTED
    assert house.tap(AFAR) is Shown.STOPS
    house = House()
    house.start()
    assert house.after(120.1).session().asks().state is PENDING
    assert house.start() is Shown.OPENS
    assert house.state is ACCEPTED


def test_a_remote_start_without_token_is_stopped_by_no_card() -> None:
    house = House().session().asks()
    house.start(None)
    assert house.tap(MINE) is Shown.NOT_YOURS


def test_a_remote_start_of_an_outlet_in_use_is_refused() -> None:
    house = accepted()
    assert house.start() is Shown.NOT_YOURS
    assert house.tap(MINE) is Shown.STOPS


def test_a_token_is_bound_to_its_outlets() -> None:
    tokens = [KnownToken(MINE, frozenset({"outlet-2"})), KnownToken(YOURS, frozenset({"outlet-1", "outlet-2"}))]
    house = House(EimAuthorizer(False, tokens, "outlet-1", TIMES)).session().asks()
    assert house.tap(MINE) is Shown.UNKNOWN
    assert house.tap(YOURS) is Shown.OPENS


def test_a_tap_at_a_shared_reader_counts_for_the_outlet_that_was_chosen() -> None:
    house = House().session().asks()
    assert house.tap(MINE, "outlet-2") is Shown.ELSEWHERE
    assert house.state is PENDING
    assert house.tap(MINE, "outlet-1") is Shown.OPENS


def test_a_resumed_session_keeps_its_authorisation_and_its_token() -> None:
    house = accepted().ends(EndKind.PAUSED)
    assert house.state is PENDING
    assert house.after(8 * 3600.0).session(resumed=True).state is ACCEPTED
    assert house.tap(YOURS) is Shown.NOT_YOURS
    assert house.tap(MINE) is Shown.STOPS


def test_a_new_session_inherits_nothing_of_a_paused_one() -> None:
    assert accepted().ends(EndKind.PAUSED).session().asks().state is PENDING


def test_the_token_ends_a_paused_session_another_does_not() -> None:
    house = accepted().ends(EndKind.PAUSED)
    assert house.tap(YOURS) is Shown.NOT_YOURS
    assert house.tap(FOREIGN) is Shown.UNKNOWN
    assert house.tap(MINE) is Shown.STOPS
    assert house.session().asks().state is PENDING


def test_after_a_restart_a_resumed_session_goes_on_without_its_token() -> None:
    house = House().session(resumed=True)
    assert house.state is ACCEPTED
    assert house.tap(MINE) is Shown.NOT_YOURS
    house = House()
    house.tap(YOURS)  # for whoever comes next; it is not the token of the car that comes back
    assert house.session(resumed=True).after(5.0).tap(YOURS) is Shown.NOT_YOURS


def test_authorization_timed_out_and_the_next_session_is_asked_afresh() -> None:
    house = House().session().asks().after(55.0).ends(EndKind.FAILED)
    assert house.state is PENDING
    assert house.tap() is Shown.KEPT  # the driver was late; the car comes again
    assert house.after(5.0).session().asks().state is ACCEPTED


def test_a_rejection_does_not_outlive_its_session() -> None:
    house = House().session().asks()
    house.tap(FOREIGN)
    assert house.ends(EndKind.EV_CLOSED).session().asks().state is PENDING


@pytest.mark.parametrize("kind", [EndKind.FAILED, EndKind.EV_TIMEOUT, EndKind.EV_CLOSED])
def test_a_broken_session_needs_a_new_token_unless_the_operator_decides_otherwise(kind: EndKind) -> None:
    assert accepted().ends(kind).after(0.1).session().asks().state is PENDING


@pytest.mark.parametrize(("waited_s", "state"), [(30.0, ACCEPTED), (30.1, PENDING)])
def test_a_broken_session_may_go_on_with_the_cable_still_in(waited_s: float, state: Authorization) -> None:
    def broken() -> House:
        house = House(EimAuthorizer(False, [MINE, YOURS], times=EimTimes(broken_s=30.0))).session().asks()
        house.tap()
        return house.after(10.0).ends(EndKind.EV_CLOSED)

    house = broken().after(waited_s).session().asks()
    assert house.state is state
    if state is ACCEPTED:
        assert house.tap(MINE) is Shown.STOPS
    house = broken()
    house.authorizer.unplugged()
    assert house.session().asks().state is PENDING
    house = broken()
    house.authorizer.revoke()
    assert house.session().asks().state is PENDING


@pytest.mark.parametrize("kind", list(EndKind))
@pytest.mark.parametrize("over", [EimAuthorizer.unplugged, EimAuthorizer.revoke], ids=["unplugged", "revoked"])
def test_what_was_unplugged_or_stopped_leaves_nothing_behind(
    over: Callable[[EimAuthorizer], None], kind: EndKind
) -> None:
    """The cable is out before the connection is known to be gone."""
    house = House(EimAuthorizer(False, [MINE], times=EimTimes(broken_s=30.0))).session().asks()
    house.tap()
    over(house.authorizer)
    assert house.ends(kind).session().asks().state is PENDING


@pytest.mark.parametrize("kind", list(EndKind))
def test_unplugged_while_it_sleeps_or_waits(kind: EndKind) -> None:
    house = accepted().ends(EndKind.PAUSED)
    house.authorizer.unplugged()
    assert house.tap(YOURS) is Shown.KEPT
    house = House().session().asks()
    house.authorizer.unplugged()
    assert house.ends(kind).authorizer.phase is Phase.IDLE


def test_a_tap_before_the_plug_survives_the_unplugging_of_the_car_before() -> None:
    house = House()
    house.tap()
    house.authorizer.unplugged()
    assert house.session().asks().state is ACCEPTED


def test_a_contract_session_is_opened_and_stopped_by_no_token() -> None:
    house = House()
    house.tap(MINE)
    house.session().authorizer.by_contract()
    assert house.state is ACCEPTED
    assert house.after(5.0).tap(MINE) is Shown.NOT_YOURS
    assert house.tap(FOREIGN) is Shown.UNKNOWN
    assert house.ends().session().asks().state is PENDING
    house = House().session()
    house.authorizer.by_contract()
    assert house.ends(EndKind.PAUSED).session(resumed=True).state is ACCEPTED


@pytest.mark.parametrize("wrong", [{"tap_s": -1.0}, {"bounce_s": float("nan")}, {"broken_s": float("inf")}])
def test_times_must_be_times(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be 0 or more"):
        EimTimes(**wrong)


def test_no_token_is_ever_shown() -> None:
    house = accepted()
    told = [repr(house.authorizer), repr(KnownToken(MINE)), *(repr(shown) for shown in Shown)]
    told += [repr(house.tap(token)) for token in (MINE, YOURS, FOREIGN)]
    assert not [text for text in told for token in (MINE, YOURS, FOREIGN) if token in text]


EVENTS: dict[str, Callable[[House], object]] = {
    "mine": lambda house: house.tap(MINE),
    "foreign": lambda house: house.tap(FOREIGN),
    "remote": lambda house: house.start(),
    "opened": lambda house: house.session(),
    "resumed": lambda house: house.session(resumed=True),
    "asked": lambda house: house.asks(),
    "contract": lambda house: house.authorizer.by_contract(),
    "ended": lambda house: house.ends(),
    "paused": lambda house: house.ends(EndKind.PAUSED),
    "broken": lambda house: house.ends(EndKind.FAILED),
    "unplugged": lambda house: house.authorizer.unplugged(),
    "revoked": lambda house: house.authorizer.revoke(),
    "later": lambda house: house.after(61.0),
}
GRANTS = {"mine", "remote", "resumed", "contract"}


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(sorted(EVENTS)), max_size=12))
def test_nobody_is_accepted_whom_nobody_let_in(events: list[str]) -> None:
    """In any order of anything: accepted only after something granted it since the last session began anew."""
    house = House()
    for index, event in enumerate(events):
        EVENTS[event](house)
        if house.state is ACCEPTED:
            assert GRANTS & set(events[: index + 1])
        if event == "opened" and not GRANTS & set(events[:index][-1:]):
            assert house.state is not ACCEPTED
        house.after(4.0)
