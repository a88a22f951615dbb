"""Services, session, prices and quirks of the file reach the protocol's one configuration, with their lines."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from evse_controller.config import Config, ConfigError, load
from evse_controller.config import __file__ as package_file
from evse_controller.config import protocol as p
from evse_controller.model.commands import ControlMode
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.catalogue import SERVICES
from evse_controller.secc.iso20.price_terms import AdditionalService, TaxRule
from evse_controller.secc.quirks import QUIRK_FIELDS
from evse_controller.secc.value_added import CustomService, CustomSet, Internet, ParkingStatus

EXAMPLE = Path(package_file).with_name("example.toml")
AC_EXAMPLE = EXAMPLE.with_name("example_ac.toml")


def configured(folder: Path, more: str, example: Path = EXAMPLE, **changes: str) -> Config:
    """The example without its protocol tables, and `more` in their place."""
    text = example.read_text(encoding="utf-8")
    if example is EXAMPLE:
        text = text[: text.index("[services]\n")] + text[text.index("[authorization]") :]
    for old, new in changes.items():
        before, after = text.split(f"\n{old} = ")
        text = f"{before}\n{old} = {new}{after[after.index(chr(10)) :]}"
    path = folder / "evse.toml"
    path.write_text(text + "\n" + more, encoding="utf-8")
    return load(path)


def refused(folder: Path, more: str, example: Path = EXAMPLE, **changes: str) -> str:
    """All problems; each names the file and the line of what it is about."""
    with pytest.raises(ConfigError) as caught:
        configured(folder, more, example, **changes)
    return "\n".join(caught.value.problems).replace(str(folder / "evse.toml"), "")


def line(folder: Path, text: str) -> int:
    lines = (folder / "evse.toml").read_text(encoding="utf-8").splitlines()
    return next(number for number, each in enumerate(lines, 1) if text in each)


def test_every_field_of_the_protocol_can_be_configured_or_says_why_not() -> None:
    named = {*p.SERVICES_FIELDS, *p.SESSION_FIELDS, *p.PRICING_FIELDS, *p.SCHEDULE_FIELDS, *p.PROTOCOL_FIELDS}
    assert not named & p.ELSEWHERE.keys()
    assert named | p.ELSEWHERE.keys() == {field.name for field in fields(SeccConfig)}


def test_services_are_called_as_the_catalogue_calls_them() -> None:
    assert dict(p.SERVICE_IDS) == {SERVICES[number].name: number for number in p.SERVICE_IDS.values()}


def test_without_its_tables_everything_is_as_the_protocol_has_it_by_default(tmp_path: Path) -> None:
    config = configured(tmp_path, "")
    assert config.secc == SeccConfig(services=(6, 2))
    assert (config.session.pause_keep_h, config.session.confirm_meter_every_s) == (24.0, 0.0)


def test_an_outlet_offers_what_it_can(tmp_path: Path) -> None:
    assert configured(tmp_path, "", bidirectional="false").secc.services == (2,)
    assert configured(tmp_path, "", bidirectional="true\nmcs = true").secc.services == (9, 8)
    assert configured(tmp_path, '[services]\nenergy = ["DC", "DC_BPT"]').secc.services == (2, 6)
    assert load(AC_EXAMPLE).secc.services == (1,)
    both = configured(tmp_path, "", AC_EXAMPLE, bidirectional="true", min_current_a="6\nmax_discharge_current_a = 16")
    assert both.secc.services == (5, 1)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('[services]\nenergy = ["AC"]', "services.energy: must name each once, of DC_BPT, DC, is ['AC']"),
        ('[services]\nenergy = ["DC", "DC"]', "services.energy: must name each once"),
        ("[services]\nenergy = []", "services.energy: must name each once"),
        ("[services]\nmobility_needs_modes = [3]", "services.mobility_needs_modes: mobility_needs_modes must be from"),
        ("[services]\nmobilty_needs_modes = [1]", "did you mean 'mobility_needs_modes'?"),
        ('[services]\ncontrol_modes = ["dynamic"]', "services.control_modes: control_modes must name SCHEDULED"),
        ("[services.internet]\nports = [22]", "services.internet.ports: internet ports must be chosen from"),
        ("[services.internet]\nport = [80]", "services.internet.port: unknown key; did you mean 'ports'?"),
        ("[services.parking]\nstatus_type = 5", "services.parking.status_type: parking status_type must be"),
        ('[services.parking]\nspace = "A4"', "services.parking.space: must be a whole number, is 'A4'"),
        ("[session]\npause = 1", "session.pause: must be true or false, is 1"),
        ("[session]\npause_keep_h = 0", "session.pause_keep_h: pause_keep_h must be above 0"),
        ("[session]\nconfirm_meter_every_s = 5", "session.confirm_meter_every_s: confirm_meter_every_s must be"),
        ('[pricing]\nkind = "free"', "pricing.kind: must be one of none, absolute, levels, is 'free'"),
        ('[pricing]\nlanguage = "en"', "pricing.language: currency and language have 3 letters"),
        ("[pricing]\nrenewable_percent = 101", "pricing.renewable_percent: renewable_percent must be from 0 to 100"),
        ("[schedule]\npower_tolerance_w = -1", "schedule.power_tolerance_w: power_tolerance_w must be from 0"),
        ("[schedule.profile_watch]\nfail_after_s = 1", "schedule.profile_watch.fail_after_s: fail_after_s must be"),
        ("[protocol]\ndc_connector = 5", "protocol.dc_connector: dc_connector must be from 1 to 4, got 5"),
        ("[protocol]\ncheck_pilot = false", "protocol.check_pilot: unknown key"),
        ("[[quirks]]\nwhy = 'x'\nset = { standby = false }", "quirks[0]: a quirk must name an evccid_prefix or"),
        ("[[quirks]]\ncommon_name = 'x'\nset = { lab_tcp = true }", "quirks[0].set.lab_tcp: unknown key"),
        ("[[quirks]]\ncommon_name = 'x'\nset = {}", "quirks[0].set: must set some of ac_"),
        ("[[quirks]]\ncommon_name = 'x'\nset = { services = ['AC'] }", "a quirk must keep to the outlet's kind"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(tmp_path: Path, more: str, says: str) -> None:
    problems = refused(tmp_path, more)
    assert problems.count("\n") == 0, problems
    assert says in problems
    lines = more.splitlines()
    assert problems.startswith(f":{line(tmp_path, lines[0 if says.startswith('quirks[0]: ') else -1])}: ")


def test_of_several_tables_of_one_name_the_wrong_one_is_named_with_its_line(tmp_path: Path) -> None:
    more = """
[[services.custom]]
id = 4711
[[services.custom.sets]]
id = 1
parameters = { Washing = "gentle" }
[[services.custom]]
id = 4712
[[services.custom.sets]]
id = 1
parameters = { Washing = "gentle" }
[[services.custom.sets]]
id = 2
parameters = { Washing = [1] }
[[services.custom]]
id = 66
[[services.custom.sets]]
id = 1
parameters = { Washing = "gentle" }
"""
    problems = refused(tmp_path, more)
    wrong = line(tmp_path, "parameters = { Washing = [1] }")
    assert f":{wrong}: services.custom[1].sets[1].parameters: Washing must be" in problems
    assert f":{line(tmp_path, 'id = 66')}: services.custom[2].id: a custom service id must be" in problems


def test_all_of_it_reaches_the_protocol(tmp_path: Path) -> None:
    more = """
[services]
free = true
control_modes = ["dynamic", "scheduled"]
mobility_needs_modes = [2, 1]
[services.internet]
ports = [443]
free = false
[services.parking]
space = 7
[[services.custom]]
id = 4711
[[services.custom.sets]]
id = 1
parameters = { Washing = "gentle", Minutes = 15, Hot = true, Price = 1.5 }
[session]
pause = false
standby = false
service_renegotiation = false
pause_keep_h = 2
[pricing]
kind = "levels"
taxes = [{ tax_id = 1, rate_percent = 19, name = "VAT", included = true }]
[[pricing.additional_services]]
name = "reservation"
fee = 1.5
[schedule]
power_tolerance_w = 500
[schedule.profile_watch]
fail_after_s = 30
[protocol]
filter_energy_services = true
islanding_parameter = "DetectionMethodGridCodeIslanding"
[[quirks]]
evccid_prefix = "WX"
why = "reads 3 as CCS"
set = { dc_connector = 3, services = ["DC"], scheduled_pricing = "none" }
[[quirks]]
common_name = "EV1"
[quirks.set]
control_modes = ["scheduled", "dynamic"]
"""
    config = configured(tmp_path, more)
    secc = config.secc
    assert (secc.free_service, secc.mobility_needs_modes) == (True, (2, 1))
    assert secc.control_modes == (ControlMode.DYNAMIC, ControlMode.SCHEDULED)
    assert (secc.internet, secc.parking) == (Internet((443,), False), ParkingStatus(space=7))
    values = (("Washing", "gentle"), ("Minutes", 15), ("Hot", True), ("Price", 1.5))
    assert secc.custom_services == (CustomService(4711, (CustomSet(1, values),)),)
    assert (secc.pause, secc.standby, secc.service_renegotiation, secc.scheduled_pricing) == (False, False, False, 2)
    assert secc.prices.taxes == (TaxRule(1, 19, "VAT", True),)
    assert secc.prices.additional_services == (AdditionalService("reservation", 1.5),)
    assert (secc.power_tolerance_w, secc.profile_watch.fail_after_s, config.session.pause_keep_h) == (500.0, 30.0, 2.0)
    assert secc.filter_energy_services
    assert secc.islanding_parameter == "DetectionMethodGridCodeIslanding"
    assert secc.for_vehicle("WX1", None).dc_connector == 3
    assert secc.for_vehicle("WX1", None).services == (2,)
    assert secc.for_vehicle("A", "EV1").control_modes[0] is ControlMode.SCHEDULED
    assert secc.for_vehicle("A", "EV2") is secc
    notes = "\n".join(config.notes())
    for said in ("cars are offered DC_BPT, DC", "evsectl driver", "session.pause is false", "(reads 3 as CCS)"):
        assert said in notes


@pytest.mark.parametrize("name", sorted(QUIRK_FIELDS))
def test_every_quirk_can_be_written_in_the_file(tmp_path: Path, name: str) -> None:
    default = getattr(SeccConfig(), name)
    written = {
        "services": '["DC"]',
        "control_modes": '["dynamic", "scheduled"]',
        "mobility_needs_modes": "[2]",
        "scheduled_pricing": '"none"',
        "ac_nominal_voltage_v": "400",
        "language": '"deu"',
        "ac_three_phase_connector": "3",
        "notifications": '["Terminate"]',
    }.get(name, {bool: "true", int: "1"}.get(type(default), '"x"'))
    config = configured(tmp_path, f"[[quirks]]\ncommon_name = 'EV1'\nset = {{ {name} = {written} }}")
    assert name in config.secc.quirks[0].overrides


def test_an_ac_outlet_has_no_modules_and_no_isolation_monitor(tmp_path: Path) -> None:
    config = load(AC_EXAMPLE)
    assert config.outlet.ac is not None
    assert set(config.devices) == {"mcu", "meter", "building"}
    assert (config.outlet.max_charge_w, config.outlet.efficiency_import) == (32 * 230 * 3, 1.0)
    problems = refused(tmp_path, "[outlet.isolation]\ndriver = 'x'", AC_EXAMPLE, max_current_a="0", phases="2")
    assert f":{line(tmp_path, 'max_current_a = 0')}: outlet.ac.max_current_a: max_current_a must be above 0" in problems
    assert f":{line(tmp_path, '[outlet.isolation]')}: outlet.isolation: unknown key" in problems
    assert "phases must be 1 or 3" in refused(tmp_path, "", AC_EXAMPLE, phases="2")
    more = "6\nmax_discharge_current_a = 33"
    assert "max_discharge_current_a must be from 0 to max_current_a" in refused(
        tmp_path, "", AC_EXAMPLE, bidirectional="true", min_current_a=more
    )
    needs = refused(tmp_path, "", AC_EXAMPLE, bidirectional="true")
    assert "outlet.ac.max_discharge_current_a: a bidirectional outlet needs a discharge current above 0" in needs


def test_an_inverter_in_a_car_feeds_only_where_the_site_authorised_it(tmp_path: Path) -> None:
    text = AC_EXAMPLE.read_text(encoding="utf-8").replace("bidirectional = false", "bidirectional = true")
    path = tmp_path / "evse.toml"
    path.write_text(text.replace("# max_discharge_current_a", "max_discharge_current_a"), encoding="utf-8")
    config = load(path)
    assert config.outlet.ac is not None
    assert not config.outlet.ac.ac_export_authorised
    assert any("ac_export_authorised is false" in note for note in config.notes())


def test_nobody_pauses_without_a_certificate(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8").replace("lab = []", 'lab = ["lab-tcp"]')
    path = tmp_path / "evse.toml"
    path.write_text(text[: text.index("[net.tls]")] + text[text.index("[outlet]") :], encoding="utf-8")
    assert any("no pause without TLS" in note for note in load(path).notes())
