"""The rooms' own configurations, from the one file."""

from __future__ import annotations

from dataclasses import asdict

from evse_controller.config import Config
from evse_controller.config.devices import Devices
from evse_controller.config.outlet import OUTLET_NAME
from evse_controller.energy.config import LONGEST_WAIT_S, EnergyConfig
from evse_controller.energy.prices import Tariff, TariffTerms, flat_day_ahead, load_day_ahead
from evse_controller.identity import EimAuthorizer, EimTimes, KnownToken
from evse_controller.metering import SettlementTerms
from evse_controller.model.fault import Fault
from evse_controller.site import MeterScope, SiteConfig
from evse_controller.station import (
    AcOutletDevices,
    AcStation,
    AcStationConfig,
    OutletDevices,
    Station,
    StationConfig,
)

AnyStation = Station | AcStation
"""The two kinds of outlet have one face; only their devices and phases differ."""

_START_LEAD_S, _ISOLATION_SAMPLES = 4.0, 3  # control time of cable check and pre-charge beside the isolation samples
# An allowance rises at least so fast; a large connection's whole room is there after so long: no truck waits longer.
_LEAST_RISE_W_PER_S, _WHOLE_RISE_S = 5_000.0, 10.0
_OFFERED_BEFORE_S = 0.5  # control time before the session would answer with a schedule of its own
_AC_START_LEAD_S = 2.0  # closing the contactor, and the car's own charger


def site_config(config: Config) -> SiteConfig:
    s = config.site
    return SiteConfig(
        import_limit_w=s.import_limit_w,
        export_limit_w=s.export_limit_w,
        failsafe_import_w=s.failsafe_import_w,
        margin_w=s.margin_w,
        increase_w_per_s=max(_LEAST_RISE_W_PER_S, max(s.import_limit_w, s.export_limit_w) / _WHOLE_RISE_S),
        meter_scope=MeterScope[s.meter_scope.upper()],
    )


def station_of(config: Config, devices: Devices, latched: tuple[Fault, ...]) -> AnyStation:
    """The station of the configured kind, on its devices."""
    o, c = config.outlet, config.controller
    loop_timeout_s = c.slow_loop_timeout_s if "lab-slow-loop" in c.lab else 0.5
    if o.ac is not None:
        if not isinstance(devices.outlet, AcOutletDevices):
            raise TypeError("an AC outlet needs AC devices")
        mains = AcStationConfig(
            evseid=c.evseid,
            name=OUTLET_NAME,
            bidirectional=o.bidirectional,
            loop_timeout_s=loop_timeout_s,
            pause_allowed=config.secc.pause,
            **asdict(o.ac),
        )
        return AcStation(mains, devices.outlet, latched)
    if not isinstance(devices.outlet, OutletDevices):
        raise TypeError("a DC outlet needs DC devices")
    station = StationConfig(
        evseid=c.evseid,
        name=OUTLET_NAME,
        ratings=o.ratings,
        bidirectional=o.bidirectional,
        grid_profile=o.grid_profile,
        efficiency_import=o.efficiency_import,
        efficiency_export=o.efficiency_export,
        ramp_up_a_per_s=o.ramp_up_a_per_s,
        isolation_response_s=o.isolation_response_s,
        loop_timeout_s=loop_timeout_s,
        mcs=o.mcs,
        pause_allowed=config.secc.pause,
    )
    return Station(station, devices.outlet, latched)


def energy_config(config: Config) -> EnergyConfig:
    e = config.energy
    speed = 1.0 if config.world is None else config.world.speed
    lead_s = _START_LEAD_S + _ISOLATION_SAMPLES * config.outlet.isolation_response_s
    typical = typical_efficiency(config)
    return EnergyConfig(
        slot_s=e.slot_s,
        default_stay_s=e.default_stay_s,
        renegotiation_gap_s=e.renegotiation_gap_s,
        wear_per_kwh=e.wear_cost_per_kwh,
        charge_efficiency=typical,
        discharge_efficiency=typical,
        building_profile_w=e.building_profile_w,
        start_lead_s=(lead_s if config.outlet.ac is None else _AC_START_LEAD_S) * speed,
        back_office_wait_s=min(e.wait_for_back_office_s, LONGEST_WAIT_S - _OFFERED_BEFORE_S),
        world_speed=speed,
    )


def typical_efficiency(config: Config) -> float:
    """Between the lowest and the highest, which are for limits: what plans and bills reckon with."""
    return (config.outlet.efficiency_import + config.outlet.efficiency_export) / 2


def settlement_terms(config: Config) -> SettlementTerms:
    typical = typical_efficiency(config)
    return SettlementTerms(typical, typical, 0.98, config.energy.wear_cost_per_kwh)


def tariff_of(config: Config) -> Tariff:
    e = config.energy
    terms = TariffTerms(currency=e.currency, buy_surcharge_per_kwh=e.buy_surcharge, sell_fee_per_kwh=-e.sell_surcharge)
    return Tariff(load_day_ahead(e.prices) if e.prices is not None else flat_day_ahead(0.0), terms)


def authorizer_of(config: Config) -> EimAuthorizer:
    a = config.authorization
    bound = (KnownToken(token, frozenset(outlets)) for token, outlets in a.bound_tokens)
    tokens: tuple[str | KnownToken, ...] = (*a.tokens, *bound)
    times = EimTimes(a.tap_s, a.remote_s, a.bounce_s, a.broken_s)
    return EimAuthorizer(a.mode == "free-vend", tokens, OUTLET_NAME, times)
