"""The actuator takes nothing but valid permits and puts what makes safe before everything else."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from evse_controller.model.permit import Permit
from evse_controller.station.actuator import Actuator, Demand
from hal.api import Contact, PowerMode
from tests.safety.facts import NOW
from tests.station.fakes import Face, FakeDevices

PERMIT = Permit(NOW, NOW + 0.25, True, 500.0, 100.0, 50.0, True, "site", "test")
CHARGE = Demand(contactors=True, on=True, voltage_v=450.0, current_a=20.0)


def make() -> tuple[Actuator, FakeDevices]:
    devices = FakeDevices()
    faces = [Face(devices, which) for which in ("mcu", "power", "isolation")]
    return Actuator(*faces), devices  # type: ignore[arg-type]


def apply(actuator: Actuator, devices: FakeDevices, demand: Demand, permit: Permit | None, now_s: float = NOW) -> None:
    actuator.apply(demand, permit, now_s, devices.mcu, devices.power, devices.meter)


def charging() -> tuple[Actuator, FakeDevices]:
    actuator, devices = make()
    apply(actuator, devices, Demand(contactors=True), PERMIT)
    actuator.beat(NOW)
    apply(actuator, devices, CHARGE, PERMIT)
    devices.log.clear()
    return actuator, devices


def test_without_a_permit_it_stops_first_and_then_opens_at_once() -> None:
    actuator, devices = charging()
    apply(actuator, devices, CHARGE, None)
    assert devices.log == ["stop", "open", "beat"]


def test_expired_permit_is_no_permit() -> None:
    actuator, devices = charging()
    apply(actuator, devices, CHARGE, PERMIT, NOW + 0.25)
    assert devices.log == ["stop", "open", "beat"]


def test_permit_without_contactors_opens_whatever_flows() -> None:
    actuator, devices = charging()
    devices.meter = replace(devices.meter, current_a=80.0) if devices.meter else None
    apply(actuator, devices, CHARGE, replace(PERMIT, contactors=False))
    assert devices.log == ["stop", "open", "beat"]


def test_guard_switches_off_when_the_last_permit_ran_out() -> None:
    actuator, devices = charging()
    assert not actuator.expire(NOW + 0.24)
    assert actuator.expire(NOW + 0.25)
    assert devices.log == ["stop", "open", "beat"]
    assert not actuator.expire(NOW + 0.3)


def test_orderly_opening_waits_for_less_than_one_ampere() -> None:
    actuator, devices = charging()
    devices.meter = replace(devices.meter, current_a=1.0) if devices.meter else None
    apply(actuator, devices, Demand(), PERMIT)
    assert "open" not in devices.log
    devices.meter = replace(devices.meter, current_a=0.9) if devices.meter else None
    apply(actuator, devices, Demand(), PERMIT)
    assert devices.log[-1] == "open"


def test_contactors_do_not_close_onto_a_mismatch_or_without_measurement() -> None:
    actuator, devices = make()
    meter = devices.meter
    devices.meter = replace(meter, voltage_v=400.0) if meter else None
    apply(actuator, devices, Demand(contactors=True), PERMIT)
    devices.meter = replace(meter, voltage_v=36.0) if meter else None  # harmless, but no match
    apply(actuator, devices, Demand(contactors=True), PERMIT)
    devices.meter = None
    apply(actuator, devices, Demand(contactors=True), PERMIT)
    devices.meter = meter
    devices.mcu = replace(devices.mcu, contactor=Contact.UNDEFINED) if devices.mcu else None
    apply(actuator, devices, Demand(contactors=True), PERMIT)
    assert "close" not in devices.log


def test_mode_is_written_only_while_off_and_without_current() -> None:
    actuator, devices = charging()
    reverse = Demand(contactors=True, mode=PowerMode.DISCHARGE, floor_v=300.0)
    devices.meter = replace(devices.meter, current_a=5.0) if devices.meter else None
    apply(actuator, devices, reverse, PERMIT)
    apply(actuator, devices, reverse, PERMIT)
    assert "discharge" not in devices.log
    devices.meter = replace(devices.meter, current_a=0.0) if devices.meter else None
    apply(actuator, devices, reverse, PERMIT)
    assert devices.log[-2:] == ["floor 300", "discharge"]


def test_no_inverter_mode_without_export_permission() -> None:
    actuator, devices = charging()
    no_export = replace(PERMIT, export=False)
    for _ in range(3):
        apply(actuator, devices, Demand(contactors=True, mode=PowerMode.DISCHARGE), no_export)
    assert "discharge" not in devices.log


def test_inverter_is_not_switched_on_and_carries_nothing_when_export_is_withdrawn() -> None:
    actuator, devices = charging()
    for _ in range(2):
        apply(actuator, devices, Demand(contactors=True, mode=PowerMode.DISCHARGE), PERMIT)
    devices.log.clear()
    on = Demand(contactors=True, on=True, mode=PowerMode.DISCHARGE, voltage_v=450.0, current_a=20.0)
    apply(actuator, devices, on, replace(PERMIT, export=False))
    assert devices.log == []
    assert devices.output[1] == 0.0
    apply(actuator, devices, on, PERMIT)
    assert devices.log == ["on"]


def test_modules_are_not_switched_on_before_the_mode_is_read_back() -> None:
    actuator, devices = make()
    apply(actuator, devices, Demand(contactors=True), PERMIT)
    devices.power = replace(devices.power, mode=None) if devices.power else None
    apply(actuator, devices, CHARGE, PERMIT)
    assert "on" not in devices.log


@settings(max_examples=100, deadline=None)
@given(st.floats(-10.0, 1e4), st.floats(-10.0, 1e4), st.floats(0.0, 1000.0), st.floats(0.0, 200.0), st.booleans())
def test_outputs_never_exceed_the_permit(
    volts: float, amps: float, max_v: float, max_a: float, discharging: bool
) -> None:
    actuator, devices = charging()
    mode = PowerMode.DISCHARGE if discharging else PowerMode.CHARGE
    for _ in range(2):
        apply(actuator, devices, Demand(contactors=True, mode=mode), PERMIT)
    permit = replace(PERMIT, max_voltage_v=max_v, max_charge_current_a=max_a, max_discharge_current_a=max_a / 2)
    apply(actuator, devices, Demand(contactors=True, on=True, mode=mode, voltage_v=volts, current_a=amps), permit)
    assert 0.0 <= devices.output[0] <= max_v
    assert 0.0 <= devices.output[1] <= (max_a / 2 if discharging else max_a)
