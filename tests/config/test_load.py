"""The configuration file: strict, and every error says file, line, key and what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from evse_controller.cli.main import main
from evse_controller.config import ConfigError, load
from evse_controller.config import __file__ as package_file

EXAMPLE = Path(package_file).with_name("example.toml")
AC_EXAMPLE = EXAMPLE.with_name("example_ac.toml")


def broken(tmp_path: Path, old: str, new: str) -> list[str]:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = tmp_path / "evse.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    return caught.value.problems


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(EXAMPLE.read_text(encoding="utf-8").splitlines(), 1) if text in line)


def test_the_example_is_valid_and_strict() -> None:
    config = load(EXAMPLE)
    assert config.controller.lab == ()
    assert config.world is None
    assert config.devices["power"].options == {"interface": "socketcan", "channel": "can0", "modules": 1}


def test_a_typo_is_named_with_its_line_and_the_likely_key(tmp_path: Path) -> None:
    problems = broken(tmp_path, "import_limit_w = 24000", "imprt_limit_w = 24000")
    assert len(problems) == 2
    assert any(
        f":{line_of('import_limit_w = 24000')}: site.imprt_limit_w: unknown key; did you mean 'import_limit_w'" in p
        for p in problems
    )
    assert any("site.import_limit_w: is missing" in p for p in problems)


def test_a_wrong_type_and_a_value_out_of_range_are_both_reported(tmp_path: Path) -> None:
    assert "must be a number" in broken(tmp_path, "max_voltage_v = 920", 'max_voltage_v = "920"')[0]
    assert "must be from 50 to 1500" in broken(tmp_path, "max_voltage_v = 920", "max_voltage_v = 9200")[0]
    assert "true or false" in broken(tmp_path, "bidirectional = true", "bidirectional = 1")[0]


def test_the_limit_of_a_message_is_256_kib_unless_configured_within_bounds(tmp_path: Path) -> None:
    config = load(EXAMPLE)
    assert config.secc.max_message_bytes == 256 * 1024
    assert any("256 KiB (protocol.max_message_kib)" in note for note in config.notes())
    for wrong in ("63", "1537"):
        problems = broken(tmp_path, "max_message_kib = 256", f"max_message_kib = {wrong}")
        assert f"protocol.max_message_kib: must be from 64 to 1536, is {wrong}" in problems[0]


def test_an_unknown_lab_switch_is_refused(tmp_path: Path) -> None:
    assert "unknown switch 'lab-tpc'" in broken(tmp_path, "lab = []", 'lab = ["lab-tpc"]')[0]


def test_a_failsafe_above_the_limit_is_refused(tmp_path: Path) -> None:
    assert "must not be above" in broken(tmp_path, "failsafe_import_w = 4200", "failsafe_import_w = 42000")[0]


def test_a_file_that_is_not_toml_says_where(tmp_path: Path) -> None:
    assert "not TOML" in broken(tmp_path, "[net]", "[net")[0]


def test_tls_files_are_needed_unless_lab_tcp_is_on(tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    start, end = text.index("[net.tls]"), text.index("[outlet]")
    path = tmp_path / "evse.toml"
    path.write_text(text[:start] + text[end:], encoding="utf-8")
    with pytest.raises(ConfigError, match=r"net\.tls"):
        load(path)
    path.write_text((text[:start] + text[end:]).replace("lab = []", 'lab = ["lab-tcp"]'), encoding="utf-8")
    assert any("lab-tcp" in note for note in load(path).notes())


def test_config_check_exits_1_and_prints_each_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evse.toml"
    path.write_text(
        EXAMPLE.read_text(encoding="utf-8").replace("unit = 3", "unit = 3\nparty = 1").replace("[site]", "[sit]")
    )
    assert main(["config", "check", str(path)]) == 1
    assert "sit: unknown key; did you mean 'site'" in capsys.readouterr().err
    assert main(["config", "check", str(EXAMPLE)]) == 0
    assert main(["config", "check", str(tmp_path / "none.toml")]) == 2


@pytest.mark.parametrize("wrong", ["nan", "inf", "-inf", "1e400", "1" + "0" * 400])
def test_no_number_of_a_file_is_anything_but_finite(tmp_path: Path, wrong: str) -> None:
    (problem,) = broken(tmp_path, "import_limit_w = 24000", f"import_limit_w = {wrong}")
    assert problem.endswith(f":{line_of('import_limit_w = 24000')}: site.import_limit_w: must be a finite number")
    path = tmp_path / "ac.toml"
    text = AC_EXAMPLE.read_text(encoding="utf-8")
    text = text.replace("# max_asymmetry_w = 4600", f"max_asymmetry_w = {wrong} #")
    text = text.replace("# power_ramp_w_per_s = 5000", f"power_ramp_w_per_s = {wrong} #")
    path.write_text(f"{text}\n[pricing]\n[[pricing.taxes]]\ntax_id = 1\nrate_percent = {wrong}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [problem.split(": ")[1] for problem in caught.value.problems] == [
        "outlet.ac.max_asymmetry_w", "outlet.ac.power_ramp_w_per_s", "pricing.taxes[0].rate_percent",
    ]
    assert all(int(problem.removeprefix(f"{path}:").split(":")[0]) > 20 for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("pricing", "words"),
    [
        ("[[pricing.taxes]]\ntax_id = 1\nrate_percent = 101\n", "pricing.taxes[0].rate_percent: rate_percent"),
        ('[[pricing.additional_services]]\nname = "wash"\nfee = -1\n', "additional_services[0].fee: service fee"),
        (
            '[[authorization.token]]\nvalue = "04A2"\noutlets = ["outlet-1", "outlet-9"]\n',
            "authorization.token[0].outlets: no outlet 'outlet-9'; there is 'outlet-1'",
        ),
    ],
)
def test_taxes_fees_and_tokens_that_make_no_sense_are_refused_with_their_line(
    tmp_path: Path, pricing: str, words: str
) -> None:
    path = tmp_path / "evse.toml"
    text = AC_EXAMPLE.read_text(encoding="utf-8")
    path.write_text(f"{text}\n{pricing}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert words in problem
    assert problem.startswith(f"{path}:{len(text.splitlines()) + 4}:")
