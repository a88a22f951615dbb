"""What the station does for its devices beside the phases: grid profile, isolation self-test, pilot duty."""

from __future__ import annotations

from collections.abc import Callable

from evse_controller.safety import Phase
from evse_controller.station.actuator import Actuator
from evse_controller.station.cable_check import CableCheck, Sub
from evse_controller.station.config import StationConfig
from evse_controller.station.view import View
from hal.api import IsolationState

PROFILE_REPEAT_S = 2.0
PROFILE_PATIENCE_S = 5.0
"""So long the cable check waits for the profile; then the session goes on and only charges."""
SELF_TEST_TIME_S = 35.0
"""A self-test takes up to 30 s; started again when it has not ended by then, or has failed, after this time."""


class Upkeep:
    """Keeps the commissioned grid profile written and read back, and the isolation monitor tested before a car."""

    def __init__(self, config: StationConfig, note: Callable[[str, str], None]) -> None:
        self._config = config
        self._note = note
        self._profile_written_s: float | None = None
        self._profile_good = False
        self._profile_bad_since_s: float | None = None
        self._tested_s: float | None = None

    def settled(self, now_s: float) -> bool:
        """Whether a session may begin: the grid profile is read back, or has had its time. It is written only before
        a session, so a car that is quicker than the modules would lose its discharge for the whole session."""
        if self._config.grid_profile is None or self._profile_good:
            return True
        return self._profile_bad_since_s is not None and now_s - self._profile_bad_since_s >= PROFILE_PATIENCE_S

    def step(self, phase: Phase, check: CableCheck | None, view: View, actuator: Actuator) -> None:
        if self._profile_bad_since_s is None and not self._profile_good:
            self._profile_bad_since_s = view.now_s
        if phase in (Phase.IDLE, Phase.CONNECTED):
            self._grid_profile(view, actuator)
        waiting = check is not None and check.sub is Sub.WAIT_READY
        if phase in (Phase.IDLE, Phase.CONNECTED) or waiting:
            self._self_test(phase, view, actuator)

    def _grid_profile(self, view: View, actuator: Actuator) -> None:
        wanted = self._config.grid_profile
        if wanted is None or view.power is None or view.power.on:
            return
        good = view.power.grid_profile == wanted
        if good and not self._profile_good:
            self._note("device", f"grid profile {wanted} read back from the power modules")
        self._profile_good = good
        if good:
            self._profile_bad_since_s = None
        due = self._profile_written_s is None or view.now_s - self._profile_written_s >= PROFILE_REPEAT_S
        if not good and due:
            self._profile_written_s = view.now_s
            actuator.write_grid_profile(wanted)

    def _self_test(self, phase: Phase, view: View, actuator: Actuator) -> None:
        reading = view.isolation
        if reading is None or reading.state is IsolationState.SELF_TEST or actuator.measuring:
            return
        age = None if self._tested_s is None else view.now_s - self._tested_s
        passed = reading.self_test_ok is True
        if age is None:
            due = True
        elif passed:
            due = phase is Phase.IDLE and age >= self._config.self_test_interval_s
        else:
            due = age >= SELF_TEST_TIME_S
        if due:
            self._tested_s = view.now_s
            actuator.start_self_test()
            self._note("device", "isolation monitor self-test started")
