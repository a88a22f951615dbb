"""Building + outlet never leave the ruling limits; decreases count at once; silence means the failsafe."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.model.limits import SiteAllowance
from evse_controller.site import Direction, Site, SiteConfig
from hal.api import AcMeterReading

_STEP_S = 0.05


def _config(**changes: object) -> SiteConfig:
    values: dict[str, object] = {
        "import_limit_w": 24000.0,
        "export_limit_w": 5000.0,
        "failsafe_import_w": 4000.0,
        "increase_w_per_s": 1e9,
    }
    return SiteConfig(**{**values, **changes})  # type: ignore[arg-type]


def _reading(at_s: float, power_w: float) -> AcMeterReading:
    return AcMeterReading(at_s, power_w, 0.0, 0.0)


def _settled(site: Site, power_w: float, now_s: float = 100.0) -> SiteAllowance:
    site.step(now_s - 1.0, _reading(now_s - 1.0, power_w), 0.0)
    return site.step(now_s, _reading(now_s, power_w), 0.0)


def test_allowance_is_limit_less_building_less_margin_in_both_directions() -> None:
    allowance = _settled(Site(_config(margin_w=500.0)), 8000.0)
    assert allowance.import_w.value == 24000 - 8000 - 500
    assert allowance.export_w.value == 5000 + 8000 - 500
    assert allowance.import_w.source == "commissioning"
    assert "24000 W - building 8000 W - margin 500 W" in allowance.import_w.reason
    assert not allowance.stale


def test_solar_surplus_raises_import_and_uses_up_export() -> None:
    allowance = _settled(Site(_config()), -4000.0)
    assert allowance.import_w.value == 28000
    assert allowance.export_w.value == 1000


@given(
    st.floats(-50e3, 50e3), st.floats(0, 50e3), st.floats(0, 50e3), st.floats(0, 2e3), st.floats(0, 60e3),
    st.floats(0, 60e3),
)
@settings(max_examples=200, deadline=None)
def test_allowance_plus_building_is_never_outside_a_limit(
    building_w: float, import_w: float, export_w: float, margin_w: float, cut_in_w: float, cut_out_w: float
) -> None:
    site = Site(SiteConfig(import_w, export_w, 0.0, margin_w, increase_w_per_s=1e9))
    site.set_limit(Direction.IMPORT, cut_in_w, "dso", "cut", 60.0, 99.0)
    site.set_limit(Direction.EXPORT, cut_out_w, "dso", "cut", 60.0, 99.0)
    allowance = _settled(site, building_w)
    if allowance.import_w.value > 0:
        assert building_w + allowance.import_w.value <= min(import_w, cut_in_w) - margin_w + 1e-6
    if allowance.export_w.value > 0:
        assert building_w - allowance.export_w.value >= -(min(export_w, cut_out_w) - margin_w) - 1e-6


@given(st.lists(st.tuples(st.floats(-20e3, 30e3), st.booleans()), min_size=2, max_size=40))
@settings(max_examples=100, deadline=None)
def test_decreases_count_at_once_and_increases_are_ramped(steps: list[tuple[float, bool]]) -> None:
    """A fresh reading never leaves more than it allows; an allowance rises by the ramp at most, fresh or not."""
    site = Site(_config(increase_w_per_s=2000.0))
    now_s, before, reading = 10.0, None, None
    for power_w, fresh in steps:
        now_s += _STEP_S
        reading = _reading(now_s, power_w) if fresh else reading
        allowance = site.step(now_s, reading, 0.0)
        if not allowance.stale and reading is not None:
            assert allowance.import_w.value <= max(0.0, 24000 - reading.power_w) + 1e-6
            assert allowance.export_w.value <= max(0.0, 5000 + reading.power_w) + 1e-6
        if before is not None:
            assert allowance.import_w.value <= before.import_w.value + 2000 * _STEP_S + 1e-6
            assert allowance.export_w.value <= before.export_w.value + 2000 * _STEP_S + 1e-6
        before = allowance


def test_starts_at_the_failsafe_share_and_without_export() -> None:
    site = Site(_config(increase_w_per_s=1000.0))
    allowance = site.step(10.0, _reading(10.0, 0.0), 0.0)
    assert (allowance.import_w.value, allowance.export_w.value) == (4000.0, 0.0)
    assert "rising" in allowance.import_w.reason


def test_stale_building_meter_means_failsafe_share_and_no_export() -> None:
    site = Site(_config())
    _settled(site, 2000.0, 100.0)
    good = site.step(103.0, _reading(100.0, 2000.0), 0.0)
    assert not good.stale
    assert good.import_w.expires_at_s == 103.0
    stale = site.step(103.05, _reading(100.0, 2000.0), 0.0)
    assert stale.stale
    assert stale.import_w.value == 4000.0
    assert stale.export_w.value == 0.0
    assert stale.import_w.source == "site-failsafe"
    assert "silent for 3.0" in stale.import_w.reason
    assert site.building_w is None
    assert site.stale is not None


def test_losing_the_meter_never_raises_the_allowance() -> None:
    site = Site(_config())
    assert _settled(site, 23000.0, 100.0).import_w.value == 1000.0
    assert site.step(110.0, _reading(100.0, 23000.0), 0.0).import_w.value == 1000.0


@pytest.mark.parametrize(
    ("reading", "own_w"),
    [
        (None, 0.0),
        (_reading(100.0, float("nan")), 0.0),
        (_reading(100.0, float("inf")), 0.0),
        (_reading(105.0, 0.0), 0.0),
        (_reading(100.0, 0.0), float("nan")),
    ],
)
def test_missing_absurd_or_future_input_is_stale(reading: AcMeterReading | None, own_w: float) -> None:
    site = Site(_config())
    _settled(site, 0.0, 99.9)
    allowance = site.step(100.0, reading, own_w)
    assert allowance.stale
    assert allowance.export_w.value == 0.0
    assert allowance.import_w.value <= 4000.0


def test_a_cut_is_obeyed_at_once_names_its_source_and_ends_with_its_time() -> None:
    site = Site(_config())
    _settled(site, 1000.0)
    site.set_limit(Direction.IMPORT, 6000.0, "cli", "grid operator's call", 30.0, 100.0)
    cut = site.step(100.05, _reading(100.05, 1000.0), 20000.0)
    assert cut.import_w.value == 5000.0
    assert cut.import_w.source == "cli"
    assert "grid operator's call" in cut.import_w.reason
    after = site.step(130.0, _reading(130.0, 1000.0), 0.0)
    assert after.import_w.value == 23000.0
    assert not after.stale


def test_another_source_never_loosens_and_clear_takes_back_one_source_only() -> None:
    site = Site(_config())
    _settled(site, 0.0)
    site.set_limit(Direction.IMPORT, 6000.0, "dso", "cut", None, 100.0)
    site.set_limit(Direction.IMPORT, 20000.0, "emsys", "plan", None, 100.0)
    assert site.step(101.0, _reading(101.0, 0.0), 0.0).import_w.value == 6000.0
    assert site.clear_limit("dso")
    assert not site.clear_limit("dso")
    assert site.step(102.0, _reading(102.0, 0.0), 0.0).import_w.value == 20000.0


def test_a_lease_that_ran_out_means_the_failsafe_until_renewed() -> None:
    site = Site(_config())
    _settled(site, 0.0)
    site.set_limit(Direction.IMPORT, 15000.0, "lease", "coordinator", 5.0, 100.0, lease=True)
    assert site.step(104.0, _reading(104.0, 0.0), 0.0).import_w.expires_at_s == 105.0
    expired = site.step(105.0, _reading(105.0, 0.0), 0.0)
    assert expired.stale
    assert expired.import_w.value == 4000.0
    assert "lease of lease ran out" in expired.import_w.reason
    site.set_limit(Direction.IMPORT, 15000.0, "lease", "coordinator", 5.0, 106.0, lease=True)
    site.step(106.0, _reading(106.0, 0.0), 0.0)
    assert site.step(107.0, _reading(107.0, 0.0), 0.0).import_w.value == 15000.0


def test_a_cut_while_the_meter_is_silent_takes_from_the_failsafe_share() -> None:
    """The share stands beside the building's largest load; 3 kW less for both leaves 3 kW less for the outlet."""
    site = Site(_config())
    site.set_limit(Direction.IMPORT, 21000.0, "dso", "cut", None, 100.0)
    assert site.step(101.0, None, 0.0).import_w.value == 1000.0
    site.set_limit(Direction.IMPORT, 5000.0, "dso", "cut", None, 100.0)
    assert site.step(102.0, None, 0.0).import_w.value == 0.0
    site.clear_limit("dso")
    assert site.step(103.0, None, 0.0).import_w.value == 4000.0


@pytest.mark.parametrize("values", [(-1.0, 10.0), (float("nan"), 10.0), (1.0, 0.0), (1.0, float("inf"))])
def test_senseless_limit_is_refused(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="'x'"):
        Site(_config()).set_limit(Direction.EXPORT, values[0], "x", "", values[1], 0.0)


def test_limit_needs_a_source_of_its_own() -> None:
    for source in ("", "commissioning"):
        with pytest.raises(ValueError, match="source"):
            Site(_config()).set_limit(Direction.EXPORT, 1.0, source, "", 1.0, 0.0)


def test_limits_lists_every_source_with_time_left_and_who_rules() -> None:
    site = Site(_config())
    _settled(site, 0.0)
    site.set_limit(Direction.IMPORT, 6000.0, "dso", "cut", 30.0, 100.0)
    rows = site.limits(110.0)
    assert [(r.direction.value, r.source, r.value_w, r.expires_in_s, r.rules) for r in rows] == [
        ("import", "commissioning", 24000.0, None, False),
        ("import", "dso", 6000.0, 20.0, True),
        ("export", "commissioning", 5000.0, None, True),
    ]
    site.step(200.0, None, 0.0)
    ruling = [(r.direction.value, r.source, r.value_w) for r in site.limits(200.0) if r.rules]
    assert ruling == [("import", "site-failsafe", 4000.0), ("export", "site-failsafe", 0.0)]


@pytest.mark.parametrize(
    "change",
    [
        {"import_limit_w": -1.0}, {"export_limit_w": float("nan")}, {"failsafe_import_w": 25000.0},
        {"stale_after_s": 0.0}, {"increase_w_per_s": 0.0}, {"meter_lag_s": -1.0}, {"own_lag_s": -1.0},
    ],
)
def test_senseless_config_is_refused_by_name(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        _config(**change)


def test_outlook_for_planning_has_limits_less_margin_and_the_load() -> None:
    site = Site(_config(margin_w=500.0))
    _settled(site, 3000.0)
    outlook = site.outlook(100.0)
    assert (outlook.import_limit_w, outlook.export_limit_w, outlook.building_w) == (23500.0, 4500.0, 3000.0)


def test_the_outlook_knows_when_limits_run_out_and_trusts_leases_to_be_renewed() -> None:
    site = Site(SiteConfig(import_limit_w=20000.0, export_limit_w=5000.0, failsafe_import_w=4000.0))
    site.set_limit(Direction.IMPORT, 6000.0, "dso", "congestion", 900.0, 0.0)
    site.set_limit(Direction.IMPORT, 9000.0, "neighbour", "event", 1800.0, 0.0)
    site.set_limit(Direction.EXPORT, 1000.0, "ems", "lease", 60.0, 0.0, lease=True)
    outlook = site.outlook(100.0 - 50.0)
    assert outlook.import_limit_w == 6000.0
    assert outlook.import_later == ((850.0, 9000.0), (1750.0, 20000.0))
    assert (outlook.export_limit_w, outlook.export_later) == (1000.0, ())


def test_a_change_of_the_buildings_load_takes_from_the_allowance_at_once() -> None:
    site = Site(_config(margin_w=500.0))
    before = _settled(site, 6000.0)
    now_s = before.import_w.expires_at_s or 0.0
    risen = site.step(now_s, AcMeterReading(now_s, 9000.0, 0.0, 0.0), 0.0)
    assert risen.import_w.value == 24000 - 9000 - 500
    fallen = site.step(now_s + 1.0, AcMeterReading(now_s + 1.0, 1000.0, 0.0, 0.0), 0.0)
    assert fallen.export_w.value == 5000 + 1000 - 500
