"""A car that is plugged in without a session: stopped it stays so, and who is let in late is called."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evse_controller.cli.render import status as rendered
from evse_controller.identity import EimAuthorizer
from evse_controller.model.snapshot import Notification
from evse_controller.net.control import RpcError
from hil.virtual import BenchSettings, VirtualBench, plant_of
from tests.app.house import DYNAMIC, call, charging
from tests.app.test_session_life import AC_CAR, asleep

CARD = "04A1B2C3"
MAY_CHARGE = {"said": "the car that is plugged in may charge"}


class Listener:
    """The V2G server, as far as the outlet knows it."""

    latency = None

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    def set_enabled(self, enabled: bool) -> None:
        self.told.append(("enabled", enabled))

    def expect(self, patient: bool) -> None:
        self.told.append(("expect", patient))


@pytest.fixture(params=["dc", "ac"])
def guarded(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[VirtualBench]:
    """A card is needed here."""
    plant = replace(plant_of(0.4), kind=request.param)
    vehicle = AC_CAR if request.param == "ac" else DYNAMIC
    with VirtualBench(tmp_path, vehicle, BenchSettings(speed=1.0, plant=plant)) as house:
        house.outlet.authorizer = EimAuthorizer(False, [CARD])
        yield house
        house.check()


def listening(house: VirtualBench) -> Listener:
    listener = Listener()
    house.outlet.server = listener  # type: ignore[assignment]
    return listener


def duties(house: VirtualBench, seconds: float) -> set[float | None]:
    seen = set()
    for _ in range(round(seconds / 0.1)):
        house.run(0.1)
        seen.add(house.plant.inlet.duty_percent)
    return seen


def gone(house: VirtualBench) -> None:
    """Its session is over; the car stays plugged in, and keeps quiet."""
    house.until(lambda: house.evcc.finished and house.outlet.recorder.record is None, 120.0)
    house.connection = None


def again(house: VirtualBench) -> None:
    """The called car comes, and charges."""
    house.come_back(house.evcc.config, None)
    charging(house)


# -- a late card ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["authorize", "session.start"])
def test_a_car_that_gave_up_is_called_when_somebody_lets_it_in(guarded: VirtualBench, how: str) -> None:
    listener = listening(guarded)
    guarded.arrive()
    gone(guarded)  # nobody came with a card
    assert duties(guarded, 60.0) == {5.0}
    listener.told.clear()
    assert call(guarded, how, token=CARD) == MAY_CHARGE
    guarded.run(2.9)
    assert (guarded.plant.inlet.duty_percent, listener.told) == (None, [])
    guarded.run(0.3)
    assert (guarded.plant.inlet.duty_percent, listener.told) == (5.0, [("expect", False)])
    again(guarded)


def test_the_cars_communication_is_not_disturbed_while_it_may_come_by_itself(guarded: VirtualBench) -> None:
    guarded.until(guarded._ready, 60.0)
    guarded.plant.inlet.plug()
    guarded.run(2.0)
    assert call(guarded, "authorize", token=CARD) == MAY_CHARGE
    assert duties(guarded, 20.0) == {5.0}
    guarded.connect()
    charging(guarded)
    assert duties(guarded, 40.0) == {5.0}


def test_a_car_that_does_not_come_is_called_again_while_the_card_counts(guarded: VirtualBench) -> None:
    guarded.arrive()
    gone(guarded)
    guarded.run(30.0)
    call(guarded, "authorize", token=CARD)
    guarded.run(5.0)
    assert duties(guarded, 20.0) == {5.0}
    assert duties(guarded, 10.0) == {None, 5.0}


# -- a stop that stands -------------------------------------------------------------------------------------------


def test_a_stop_before_any_energy_stands_until_the_card_is_shown_again(guarded: VirtualBench) -> None:
    guarded.arrive()
    guarded.until(lambda: guarded.outlet.recorder.record is not None, 20.0)
    call(guarded, "session.stop", reason="closing time")
    gone(guarded)
    guarded.run(0.2)
    assert duties(guarded, 60.0) == {None}
    status = call(guarded, "status")
    assert status["outlet"]["stopped"] == "closing time"  # type: ignore[index]
    assert any(line.startswith("STOPPED   closing time") for line in rendered(status))
    assert call(guarded, "authorize", token=CARD) == MAY_CHARGE
    again(guarded)


@pytest.mark.parametrize("how", ["technician", "back office", "card"])
def test_a_car_that_was_stopped_does_not_charge_again_by_itself(guarded: VirtualBench, how: str) -> None:
    guarded.arrive()
    guarded.until(lambda: guarded.outlet.authorizer.phase.value == "waiting for a token", 20.0)
    call(guarded, "authorize", token=CARD)
    charging(guarded)
    guarded.run(4.0)
    if how == "technician":
        call(guarded, "session.stop")
    elif how == "back office":
        guarded.ask(Notification.TERMINATE)
    else:
        call(guarded, "authorize", token=CARD)
    gone(guarded)
    guarded.until(lambda: guarded.outlet.at_rest, 30.0)
    guarded.run(0.2)
    assert duties(guarded, 40.0) == {None}
    guarded.plant.inlet.unplug()
    guarded.run(1.0)
    assert call(guarded, "status")["outlet"]["stopped"] is None  # type: ignore[index]


def test_free_vend_obeys_a_stop_until_somebody_wants_it_otherwise(house: VirtualBench) -> None:
    house.arrive()
    charging(house)
    call(house, "session.stop", reason="closing time")
    gone(house)
    house.until(lambda: house.outlet.at_rest, 30.0)
    house.run(0.2)
    assert duties(house, 40.0) == {None}
    assert call(house, "session.start") == MAY_CHARGE
    again(house)
    with pytest.raises(RpcError, match="no token is needed here"):
        call(house, "session.start")


# -- what slept ---------------------------------------------------------------------------------------------------


def test_a_start_from_afar_calls_the_car_whose_sleeping_session_was_ended(house: VirtualBench) -> None:
    asleep(house)
    call(house, "session.stop", reason="closing time")
    assert duties(house, 10.0) == {None}
    assert call(house, "session.start") == MAY_CHARGE
    again(house)


@pytest.mark.parametrize("house", [(DYNAMIC, "[session]\npause_keep_h = 0.5\n", 100.0)], indirect=True)
def test_who_slept_too_long_is_woken_and_listened_to(house: VirtualBench) -> None:
    asleep(house)
    listener = listening(house)
    house.until(lambda: house.outlet.recorder.paused.all == (), 30.0)
    house.run(0.2)
    assert (house.plant.inlet.duty_percent, house.outlet.station.asleep) == (5.0, False)
    assert listener.told[-1] == ("expect", False)
    again(house)


def test_a_car_that_was_plugged_in_while_the_daemon_was_down_is_listened_to(house: VirtualBench) -> None:
    asleep(house)
    house.plant.inlet.unplug()
    house.plant.step(1.0)
    house.plant.inlet.plug()
    house.lose_daemon(3.0)
    listener = listening(house)
    house.run(40.0)
    assert house.plant.inlet.duty_percent == 5.0
    assert listener.told[-1] == ("expect", True)
    again(house)


def test_the_car_that_slept_through_a_restart_joins_its_session_when_it_is_woken(house: VirtualBench) -> None:
    session_id = asleep(house)
    memory = house.evcc.paused
    house.lose_daemon(3.0)
    house.run(40.0)
    house.come_back(DYNAMIC, memory)
    charging(house)
    assert house.outlet.recorder.record is not None
    assert house.outlet.recorder.record.session_id == session_id
