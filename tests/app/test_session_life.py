"""The outlet joins what sessions live by: pause through a restart, the meter's confirmation, plans."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from evse_controller.energy.renegotiation import Renegotiation
from evse_controller.model.commands import ControlMode
from evse_controller.model.snapshot import Notification
from evse_controller.net.control import RpcError
from evse_controller.site import Direction
from evse_controller.store import Journal
from hil.evcc import EvccConfig
from hil.evcc.config import AC_PROTOCOLS, SERVICE_AC_BPT
from hil.virtual import BenchSettings, VirtualBench, plant_of
from tests.app.house import DYNAMIC, START_S, call, charging


def asleep(house: VirtualBench) -> str:
    """The car sleeps; the id of its session."""
    house.arrive()
    charging(house)
    house.run(3.0)
    call(house, "session.pause", reason="test")
    house.until(lambda: house.evcc.finished and house.outlet.station.asleep, 40.0)
    house.run(4.0)
    (paused,) = house.outlet.recorder.paused.all
    return paused.session_id


def test_a_paused_session_is_on_the_disk_before_its_answer_leaves(house: VirtualBench, tmp_path: Path) -> None:
    house.arrive()
    charging(house)
    call(house, "session.pause", reason="test")
    found: list[int] = []
    house.outlet.on_commands = _looking(house, tmp_path, found)  # type: ignore[method-assign]
    house.until(lambda: house.evcc.finished, 40.0)
    assert found == [1]


def _looking(house: VirtualBench, folder: Path, found: list[int]) -> object:
    inner = house.outlet.on_commands

    def on_commands(commands: tuple[object, ...]) -> None:
        inner(commands)  # type: ignore[arg-type]
        if any(type(command).__name__ == "ContextKept" for command in commands):
            other = Journal(folder / "journal.db")  # what a process that starts now would find
            found.append(len(other.paused()))
            other.close()

    return on_commands


def test_a_paused_session_goes_on_after_a_restart_as_one_record(house: VirtualBench) -> None:
    session_id = asleep(house)
    journal = house.outlet.journal
    before = journal.session(session_id)
    assert before is not None
    assert (before.end_kind, before.charged_wh > 0) == ("paused", True)
    house.lose_daemon(10.0)
    assert [each.session_id for each in house.outlet.recorder.paused.all] == [session_id]
    memory = house.evcc.paused
    house.wake_by_vehicle()
    house.come_back(DYNAMIC, memory)
    charging(house)
    house.run(20.0)
    assert house.outlet.recorder.paused.all == ()
    assert journal.paused() == []
    snapshot = house.outlet.snapshot()
    assert snapshot.meter is not None
    status = call(house, "status")["session"]
    assert isinstance(status, dict)
    assert (status["id"], status["charged_wh"]) == (session_id, pytest.approx(snapshot.meter.charged_wh, abs=2.0))
    assert snapshot.meter.charged_wh > before.charged_wh + 20
    house.evcc.request_stop("done")
    house.until(lambda: house.evcc.finished, 40.0)
    (record,) = journal.sessions()
    assert (record.end_kind, record.started_utc_s) == ("terminated", before.started_utc_s)
    energy = house.plant.world.world_energy
    assert record.charged_wh == pytest.approx(energy.outlet_in_wh, abs=2.0)
    assert record.settlement is not None
    assert before.settlement is not None
    told = call(house, "session.show")["session"]
    assert isinstance(told, dict)
    assert told["settlement"]["charged_kwh"] * 1000 == pytest.approx(record.charged_wh, abs=2.0)


def test_a_restart_wakes_no_car_that_sleeps(house: VirtualBench) -> None:
    asleep(house)
    assert house.plant.inlet.duty_percent is None
    house.lose_daemon(2.0)
    house.run(10.0)
    assert house.outlet.station.asleep
    assert house.plant.inlet.duty_percent is None


def test_a_restart_after_a_session_that_was_not_paused_listens_to_the_car(house: VirtualBench) -> None:
    asleep(house)
    memory = house.evcc.paused
    house.wake_by_vehicle()
    house.come_back(DYNAMIC, memory)
    charging(house)
    house.lose_daemon(2.0)
    house.run(5.0)
    assert not house.outlet.station.asleep
    assert house.plant.inlet.duty_percent is not None


def test_an_unplugged_car_has_nothing_to_go_on_with(house: VirtualBench) -> None:
    session_id = asleep(house)
    house.plant.inlet.unplug()
    house.run(1.0)
    assert house.outlet.recorder.paused.all == ()
    assert house.outlet.surroundings().paused(session_id) is None
    assert house.outlet.journal.paused() == []
    house.lose_daemon(5.0)
    assert house.outlet.recorder.paused.all == ()


@pytest.mark.parametrize("house", [(DYNAMIC, "[session]\npause_keep_h = 0.5\n", 100.0)], indirect=True)
def test_who_sleeps_too_long_comes_back_to_a_new_session(house: VirtualBench) -> None:
    session_id = asleep(house)
    assert house.outlet.surroundings().paused(session_id) is not None
    house.lose_daemon(19.0)
    assert house.outlet.surroundings().paused(session_id) is None
    house.run(0.1)
    assert house.outlet.journal.paused() == []
    house.come_back(replace(DYNAMIC, services=(6,)), house.evcc.paused)
    house.until(lambda: house.outlet.recorder.record is not None, 10.0)
    assert house.outlet.recorder.record is not None
    assert house.outlet.recorder.record.session_id != session_id


def test_the_operators_stop_ends_a_session_that_sleeps(house: VirtualBench) -> None:
    session_id = asleep(house)
    call(house, "session.stop", reason="closing time")
    assert house.outlet.surroundings().paused(session_id) is None
    with pytest.raises(RpcError, match="no session is running"):
        call(house, "session.stop")


def test_a_car_that_does_not_sleep_when_asked_is_stopped(house: VirtualBench) -> None:
    house.arrive()
    charging(house)
    house.evcc.config = replace(house.evcc.config, accepts_pause=False)
    house.ask(Notification.PAUSE, "test", 5)
    house.until(lambda: house.evcc.finished, 60.0)
    assert house.outlet.recorder.paused.all == ()


@pytest.mark.parametrize(
    ("known", "method", "params", "why"),
    [
        ((), "session.pause", {}, "not told of Pause"),
        ((), "session.renegotiate", {}, "not told of ScheduleRenegotiation"),
        ((), "session.renegotiate", {"what": "service"}, "not told of ServiceRenegotiation"),
        ((), "session.confirm-meter", {}, "not told of MeteringConfirmation"),
        (("ExitStandby",), "session.standby-exit", {}, "not in standby"),
    ],
)
def test_what_the_session_cannot_serve_is_refused_to_who_asks_and_ends_nothing(
    tmp_path: Path, known: tuple[str, ...], method: str, params: dict[str, object], why: str
) -> None:
    """A quirk: this car ends its session at a notification that it does not know."""
    told = ", ".join(f'"{name}"' for name in ("Terminate", *known))
    quirk = f'[[quirks]]\nevccid_prefix = "EVLAB"\nwhy = "test"\n[quirks.set]\nnotifications = [{told}]\n'
    with VirtualBench(tmp_path, DYNAMIC, BenchSettings(speed=1.0, plant=plant_of(0.4), config=quirk)) as house:
        house.arrive()
        charging(house)
        with pytest.raises(RpcError, match=why):
            call(house, method, **params)
        house.run(65.0)
        assert not house.evcc.finished
        assert house.outlet.station.status().stopping is None


AC_CAR = EvccConfig(
    services=(SERVICE_AC_BPT,),
    protocols=AC_PROTOCOLS,
    control_mode=ControlMode.DYNAMIC,
    departure_utc_s=START_S + 8 * 3600,
    target_soc=60.0,
)


def test_an_ac_outlet_runs_a_session_whose_energy_the_meter_counts(tmp_path: Path) -> None:
    plant = replace(plant_of(0.4), kind="ac")
    with VirtualBench(tmp_path, AC_CAR, BenchSettings(speed=10.0, plant=plant)) as house:
        house.arrive()
        charging(house)
        house.run(60.0)
        outlet = house.outlet
        status = call(house, "status")
        shown = status["outlet"]
        assert isinstance(shown, dict)
        assert (shown["kind"], len(shown["phases"]), shown["contactor"]) == ("ac", 3, "closed")
        assert shown["power_w"] == pytest.approx(house.samples[-1].power_w, rel=0.02)
        assert outlet._max_charge_w(outlet.snapshot()) == pytest.approx(11_000, rel=0.05)  # the car's, not the fuse's
        house.evcc.request_stop("done")
        house.until(lambda: house.evcc.finished and outlet.at_rest, 40.0)
        house.run(3.0)
        (record,) = outlet.journal.sessions()
        assert (record.service, record.end_kind) == ("AC_BPT", "terminated")
        assert record.charged_wh == pytest.approx(house.plant.world.world_energy.outlet_in_wh, rel=0.01)
        house.check()


CONFIRMING = (replace(DYNAMIC, loop_period_s=0.45), "[session]\nconfirm_meter_every_s = 60\n", 1.0)


@pytest.mark.parametrize("house", [CONFIRMING], indirect=True)
def test_the_car_is_asked_to_confirm_the_meter_and_the_journal_keeps_it(house: VirtualBench) -> None:
    house.arrive()
    charging(house)
    house.run(54.0)
    assert house.outlet.snapshot().notification is None
    house.run(8.0)
    shown = call(house, "session.show")
    (confirmed,) = shown["confirmations"]  # type: ignore[misc]
    assert confirmed["charged_wh"] > 0
    assert any("the car confirms" in e.text for e in house.outlet.journal.events())
    assert house.outlet.snapshot().notification is None


SCHEDULED = (
    EvccConfig(control_mode=ControlMode.SCHEDULED, departure_utc_s=START_S + 8 * 3600, services=(6,)),
    "",
    30.0,
)


@pytest.mark.parametrize("house", [SCHEDULED], indirect=True)
def test_a_cut_of_the_site_is_obeyed_at_once_and_then_planned_anew(house: VirtualBench) -> None:
    house.arrive()
    charging(house)
    house.limit(Direction.IMPORT, 6_000.0)
    house.until(lambda: house.samples[-1].grid_w <= 6_100, 3.0)
    house.until(lambda: house.outlet.station.snapshot.notification is not None, 60.0)  # type: ignore[union-attr]
    assert house.outlet.snapshot().notification is Notification.SCHEDULE_RENEGOTIATION
    house.until(lambda: told(house, "schedule agreed") == 2, 30.0)
    house.run(1.0)
    assert told(house, "ScheduleRenegotiation within") == 1
    assert house.outlet.snapshot().notification is None


def told(house: VirtualBench, text: str) -> int:
    """How many events say so."""
    house.outlet.recorder.flush()
    return sum(text in event.text for event in house.outlet.journal.events())


def test_what_cannot_be_asked_is_refused(house: VirtualBench) -> None:
    for method in ("session.pause", "session.renegotiate", "session.standby-exit", "session.confirm-meter"):
        with pytest.raises(RpcError, match="no session is running"):
            call(house, method)
    with pytest.raises(RpcError, match="no car sleeps here"):
        call(house, "session.wake")
    with pytest.raises(RpcError, match="what must be schedule or service"):
        call(house, "session.renegotiate", what="price")
    with pytest.raises(RpcError, match="no token is needed here"):
        call(house, "session.start")


def test_a_technician_wakes_a_car_that_sleeps(house: VirtualBench) -> None:
    asleep(house)
    assert house.plant.inlet.duty_percent is None
    call(house, "session.wake", reason="the sun shines")
    house.until(lambda: house.plant.inlet.duty_percent == 5.0, 5.0)
    house.come_back(DYNAMIC, house.evcc.paused)
    charging(house)


def test_a_session_asked_for_another_service_goes_on_without_unplugging(house: VirtualBench) -> None:
    house.arrive()
    charging(house)
    call(house, "session.renegotiate", what="service")
    house.until(lambda: told(house, "ServiceReleased") == 1, 30.0)
    charging(house)
    assert len(house.outlet.journal.sessions()) == 1


def test_a_better_plan_is_asked_for_once(house: VirtualBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a question taken back that the car has not heeded yet."""
    asked: list[str] = []
    station = house.outlet.station
    monkeypatch.setattr(type(station), "notify", lambda self, kind, s, reason, now_s: asked.append(reason))
    monkeypatch.setattr(type(station), "withdraw", lambda self, kind, now_s: asked.append("withdrawn"))
    plan: list[Renegotiation | None] = [None]
    monkeypatch.setattr(type(house.outlet.energy), "renegotiation", property(lambda self: plan[0]))
    for wanted in (None, Renegotiation(1, "cut"), Renegotiation(2, "prices"), None):
        plan[0] = wanted
        house.run(0.5)
    assert asked == ["cut", "prices", "withdrawn"]


def test_status_shows_the_faults_of_this_moment_and_how_old_the_newest_good_step_is(house: VirtualBench) -> None:
    house.arrive()
    charging(house)
    assert call(house, "status")["step_age_s"] == pytest.approx(0.0, abs=0.06)
    house.outlet.failed(TypeError("a meter without phases"), house.now_s)
    house.clock.advance(3.0)
    status = call(house, "status")
    (fault,) = status["faults"]  # type: ignore[misc]
    assert fault["code"] == "device-error"
    assert call(house, "faults")["active"] == status["faults"]
    assert status["step_age_s"] == pytest.approx(3.0, abs=0.06)


WRONG: tuple[tuple[str, dict[str, object]], ...] = (
    ("session.renegotiate", {"what": ["schedule"]}),
    ("session.renegotiate", {"what": {}}),
    ("session.pause", {"reason": None}),
    ("session.stop", {"reason": 7}),
    ("limits.set", {"direction": "import", "power_w": 10**400, "ttl_s": 60, "source": "x"}),
    ("limits.set", {"direction": "import", "power_w": math.nan, "ttl_s": 60, "source": "x"}),
    ("limits.set", {"direction": "import", "power_w": 5, "ttl_s": math.nan, "source": "x"}),
    ("driver.set", {"departure": [1]}),
    ("session.list", {"limit": True}),
)


def test_parameters_of_a_wrong_type_are_refused_and_change_nothing(house: VirtualBench) -> None:
    house.arrive()
    charging(house)
    for method, params in WRONG:
        with pytest.raises(RpcError) as caught:
            call(house, method, **params)
        assert caught.value.code == RpcError.INVALID_PARAMS, (method, params)
        house.run(1.0)
        assert house.outlet.station.status().phase == "energy", (method, params)
