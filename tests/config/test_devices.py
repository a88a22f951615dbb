"""The devices of a file: a driver is of the kind that its table needs, and what is wrong has file, line and key."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from evse_controller.cli.main import main
from evse_controller.config import load
from evse_controller.config.devices import DriverError, build
from tests.config.test_load import AC_EXAMPLE, EXAMPLE


def checked(tmp_path: Path, example: Path, *changes: tuple[str, str]) -> str:
    """What is said of the example with `changes`, and the number of the line that holds the last of them."""
    text = example.read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = tmp_path / "evse.toml"
    path.write_text(text, encoding="utf-8")
    gc.collect()  # what was built before holds its lines
    try:
        build(load(path))
    except DriverError as error:
        said = str(error)
    else:
        pytest.fail("nothing was said")
    assert said.startswith(f"{path}:")
    return said.removeprefix(f"{path}:")


def line_of(example: Path, words: str) -> int:
    lines = example.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if words in line)


@pytest.mark.parametrize("example", [EXAMPLE, AC_EXAMPLE])
def test_the_examples_have_the_devices_that_they_need(example: Path) -> None:
    assert build(load(example)).drivers


def test_the_meter_of_an_ac_outlet_must_be_one_of_an_outlet(tmp_path: Path) -> None:
    line = line_of(AC_EXAMPLE, "outlet = true ")
    assert checked(tmp_path, AC_EXAMPLE, ("outlet = true ", "outlet = false ")) == (
        f"{line}: outlet.meter.outlet: gives AcMeterReading, AcOutletReading is needed here;"
        " the meter of an AC outlet needs outlet = true"
    )
    said = checked(tmp_path, AC_EXAMPLE, ("outlet = true ", "# "))
    assert said.startswith(f"{line - 3}: outlet.meter.driver: gives AcMeterReading")


def test_a_driver_of_another_kind_of_device_is_refused(tmp_path: Path) -> None:
    said = checked(tmp_path, EXAMPLE, ('driver = "acrel-djsf1352"', 'driver = "eastron-sdm630"'))
    assert "outlet.meter.driver: gives AcMeterReading, DcMeterReading is needed here" in said
    port = 'port = "/dev/ttyLP5"\n'
    said = checked(tmp_path, AC_EXAMPLE, (port, port + "outlet = true\n"))
    assert "site.meter.outlet: gives AcOutletReading, AcMeterReading is needed here" in said


@pytest.mark.parametrize("phases", ["1", "3"])
def test_the_meter_measures_as_many_phases_as_the_outlet_has(tmp_path: Path, phases: str) -> None:
    other = "3" if phases == "1" else "1"
    changes = ("phases = 3", f"phases = {phases}"), ("outlet = true ", f"outlet = true\nphases = {other} ")
    said = checked(tmp_path, AC_EXAMPLE, *changes)
    line = line_of(AC_EXAMPLE, "outlet = true ") + 1
    assert said == f"{line}: outlet.meter.phases: measures {other} phases, the outlet has {phases} (outlet.ac.phases)"


def test_an_option_that_a_driver_refuses_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = checked(tmp_path, AC_EXAMPLE, ('port = "/dev/ttyLP3"', "port = 3"))
    line = line_of(AC_EXAMPLE, "/dev/ttyLP3")
    assert said.startswith(f"{line}: outlet.meter.port: option 'port' must be text")
    assert main(["config", "check", str(tmp_path / "evse.toml")]) == 1
    assert f"evse.toml:{line}: outlet.meter.port" in capsys.readouterr().err


def test_an_unknown_driver_is_named_with_its_line(tmp_path: Path) -> None:
    said = checked(tmp_path, EXAMPLE, ('driver = "infy-beg"', 'driver = "infy-bag"'))
    assert said.startswith(f"{line_of(EXAMPLE, 'infy-beg')}: outlet.power.driver: no driver 'infy-bag'; installed are")
