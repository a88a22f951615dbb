"""evsectl against a served socket: exit codes, 80 columns, JSON, refusals."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from evse_controller.cli import render
from evse_controller.cli.main import SESSION_ACTIONS, main
from evse_controller.net.control import Caller, ControlServer, RpcError

LIMIT = {"value": 11000.0, "source": "site", "reason": "import limit less building load, a long explanation indeed"}
STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "utc_s": 1.705e9,
    "utc_trusted": True,
    "uptime_s": 12.0,
    "lab": ["lab-p256"],
    "evseid": "DE*EVC*E000001",
    "outlet": {
        "phase": "energy",
        "step": "",
        "pilot": "C",
        "contactor": "closed",
        "voltage_v": 401.2,
        "current_a": -12.0,
        "power_w": -4814.4,
        "setpoint_w": -4800.0,
        "isolation_kohm": 1200.0,
    },
    "limits": {"charge": LIMIT, "discharge": LIMIT},
    "session": {
        "id": "0102030405060708",
        "state": "charge-loop",
        "started_utc_s": 1.705e9,
        "evccid": "WMIV1234567890ABCDEX",
        "service": "DC_BPT",
        "control_mode": "dynamic",
        "soc": 55.0,
        "charged_wh": 1234.5,
        "discharged_wh": 99.0,
    },
    "price": {"buy": 0.31, "sell": 0.12, "currency": "EUR"},
    "faults": [],
    "devices": [{"name": "building", "problem": "no answer for 3.2 s"}],
}


def stop(params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
    assert caller.pid > 0
    raise RpcError(RpcError.REFUSED, "no session is running")


CALLS: list[tuple[str, dict[str, Any]]] = []


def noted(name: str, result: dict[str, Any]) -> Any:
    def handler(params: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        CALLS.append((name, dict(params)))
        return result

    return handler


OFFER = {
    "wait_s": 40.0,
    "negotiating": {"source": "csms", "reason": "", "ends_in_s": 12.0},
    "car_waits_s": 3.0,
    "plan": {"source": "csms", "starts_utc_s": 1.7e9, "ends_utc_s": 1.7e9, "slots": 2, "most_charge_w": 4000.0},
}
WISHES = {"departure_utc_s": 1.7e9, "target_soc": 80, "minimum_soc": None}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "control.sock"
    loop = asyncio.new_event_loop()
    server = ControlServer(
        path,
        {
            "status": lambda p, c: STATUS,
            "stop": stop,
            "authorize": noted("authorize", {"said": "accepted"}),
            "driver": noted("driver", dict.fromkeys(WISHES)),
            "driver.set": noted("driver.set", {**WISHES, "heard": False}),
            "offer": noted("offer", OFFER),
            **{f"offer.{name}": noted(f"offer.{name}", OFFER) for name in ("negotiate", "deliver", "withdraw")},
            "driver.clear": noted("driver.clear", dict.fromkeys(WISHES)),
            **{f"session.{name}": noted(f"session.{name}", {"reason": "told"}) for name in SESSION_ACTIONS},
            "faults": lambda p, c: {"active": []},
            "broken": lambda p, c: {}[p["key"]],
            "limits": lambda p, c: {
                "stale": False,
                "limits": [{**LIMIT, "direction": "import", "expires_in_s": 3.2, "rules": True}],
            },
        },
    )
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield str(path)
    asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_status_fits_a_serial_console_and_shows_lab_switches(daemon: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--socket", daemon]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines)
    assert any("LAB SWITCHES ON: lab-p256" in line for line in lines)
    assert any("building: no answer" in line for line in lines)
    assert any("up to 11.00 kW by site" in line for line in lines)
    assert any("(import limit less building load" in line for line in lines)


def test_a_card_is_presented_and_never_shown(
    daemon: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    CALLS.clear()
    assert main(["authorize", "04AB12", "--outlet", "1", "--socket", daemon]) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("04CD34\n"))
    assert main(["authorize", "-", "--socket", daemon]) == 0
    assert main(["session", "start", "--token", "04EF56", "--socket", daemon]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[:2] == ["authorize: accepted"] * 2
    assert "04" not in said
    assert CALLS == [
        ("authorize", {"token": "04AB12", "outlet": "1"}),
        ("authorize", {"token": "04CD34"}),
        ("session.start", {"token": "04EF56"}),
    ]


def test_status_says_where_the_authorisation_stands() -> None:
    assert "authorise waiting for a token" in render.status({**STATUS, "authorization": "waiting for a token"})


def test_json_is_what_the_daemon_said(daemon: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--socket", daemon, "status"]) == 0
    assert json.loads(capsys.readouterr().out) == STATUS


def test_watch_prints_lines_of_80_columns_and_ends_by_count(daemon: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", "--socket", daemon, "--period", "0.1", "--count", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 80 for line in lines)


def test_a_refusal_exits_4_and_says_why(daemon: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", "--socket", daemon]) == 4
    assert "no session is running" in capsys.readouterr().err


def test_limits_show_source_expiry_and_which_one_rules(daemon: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "--socket", daemon]) == 0
    out = capsys.readouterr().out
    assert "*import" in out
    assert "3 s" in out


def test_no_daemon_exits_3_and_names_the_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--socket", str(tmp_path / "none.sock")]) == 3
    assert "none.sock" in capsys.readouterr().err


def test_a_wrong_command_exits_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["statsu"])
    assert caught.value.code == 2


def test_the_cli_starts_without_asyncio_ssl_or_a_codec() -> None:
    script = (
        "import sys; from evse_controller.cli.main import main\n"
        "main(['status', '--socket', '/nonexistent'])\n"
        "print([m for m in ('asyncio', 'ssl', 'cryptography', 'can', 'evse_controller.messages') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "line", [b"{}\n", b"[1]\n", b"nonsense\n", b'{"method":"x","params":[]}\n', b"\xff\xfe\n", b"[" * 60_000 + b"\n"]
)
def test_a_malformed_call_is_answered_with_an_error(daemon: str, line: bytes) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(daemon)
        s.sendall(line)
        assert "error" in json.loads(s.makefile("rb").readline())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"method":"broken","params":{"key":[]}}\n', "broken: TypeError"),
        (b'{"method":"status","params":{"x":"' + b"x" * 200_000 + b'"}}\n', "at most 65536 bytes"),
    ],
)
def test_a_call_that_cannot_be_served_is_answered_and_the_next_is_served(daemon: str, line: bytes, words: str) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(daemon)
        s.sendall(line + b'{"id":2,"method":"faults"}\n')
        answers = s.makefile("rb")
        assert words in json.loads(answers.readline())["error"]["message"]
        assert json.loads(answers.readline())["result"] == {"active": []}


def test_an_endless_line_is_dropped_and_the_daemon_lives(daemon: str, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(daemon)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            s.sendall(b"x" * 50_000_000)
    assert main(["faults", "--socket", daemon]) == 0


def test_what_a_car_sent_cannot_steer_the_terminal(daemon: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = STATUS["session"]["evccid"]
    STATUS["session"]["evccid"] = "\x1b[2J\x1b[1;1HEVIL\x07\n"
    try:
        assert main(["status", "--socket", daemon]) == 0
    finally:
        STATUS["session"]["evccid"] = before
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "?[2J?[1;1HEVIL??" in out


def test_what_is_asked_of_a_car_reaches_the_daemon_with_its_reason(
    daemon: str, capsys: pytest.CaptureFixture[str]
) -> None:
    CALLS.clear()
    for name in SESSION_ACTIONS:
        assert main(["session", name, "--socket", daemon, "--reason", "a tram"]) == 0
        assert f"{name}: told" in capsys.readouterr().out
    assert main(["session", "renegotiate", "--service", "--socket", daemon]) == 0
    assert [name for name, _ in CALLS] == [*(f"session.{name}" for name in SESSION_ACTIONS), "session.renegotiate"]
    assert all(params["reason"] == "a tram" for _, params in CALLS[:-1])
    assert [params["what"] for name, params in CALLS if name == "session.renegotiate"] == ["schedule", "service"]


def test_a_driver_says_departure_and_charge_and_is_told_what_the_car_does_not_hear(
    daemon: str, capsys: pytest.CaptureFixture[str]
) -> None:
    CALLS.clear()
    assert main(["driver", "--departure", "07:30", "--target", "80", "--socket", daemon]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "driver    leaves 2023-11-14 22:13:20   target 80 %   minimum - %"
    assert "the minimum is kept here in any case" in lines[1]
    assert main(["driver", "--socket", daemon]) == 0
    assert "said nothing" in capsys.readouterr().out
    assert main(["driver", "--clear", "--socket", daemon]) == 0
    assert CALLS == [("driver.set", {"departure": "07:30", "target_soc": 80}), ("driver", {}), ("driver.clear", {})]


def test_clear_with_a_wish_is_wrong_usage_and_nothing_is_asked(
    daemon: str, capsys: pytest.CaptureFixture[str]
) -> None:
    CALLS.clear()
    assert main(["driver", "--clear", "--target", "50", "--socket", daemon]) == 2
    assert "--clear" in capsys.readouterr().err
    assert CALLS == []


def test_status_says_how_old_it_is_when_control_steps_fail() -> None:
    lines = render.status({**STATUS, "step_age_s": 12.34})
    assert lines[1] == "CONTROL STEPS FAIL: what follows is as old as the last good one, 12.3 s"
    assert render.status({**STATUS, "step_age_s": 0.06}) == render.status(STATUS)


def test_status_shows_phases_sleepers_wishes_and_what_is_asked() -> None:
    outlet = STATUS["outlet"] | {
        "phases": [[231.2, 15.9, 3676.0], [229.0, 16.0, 3664.0], [230.4, 15.8, 3640.0]],
        "notification": "Pause in 42 s",
        "asleep": True,
    }
    paused = [{"id": "0102030405060708", "evccid": "WMIV1234567890ABCDEX", "since_utc_s": 1.705e9}]
    lines = render.status({**STATUS, "outlet": outlet, "paused": paused, "driver": WISHES})
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24
    text = "\n".join(lines)
    for said in ("231 V 15.9 A   229 V 16.0 A", "asked     Pause in 42 s", "asleep    0102030405060708", "target 80 %"):
        assert said in text


def test_a_back_office_negotiates_delivers_and_withdraws(daemon: str, capsys: pytest.CaptureFixture[str]) -> None:
    CALLS.clear()
    plan = ["3600:11000", "1800:0:5000"]
    for words in ([], ["negotiate", "--for", "30"], ["deliver", *plan, "--source", "csms"], ["withdraw"]):
        assert main(["offer", *words, "--socket", daemon]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "offer     csms negotiates, 12 s left   a car waits since 3 s"
        assert all(len(line) <= 80 for line in lines)
    slots = [
        {"duration_s": 3600, "charge_w": 11_000.0, "discharge_w": 0.0},
        {"duration_s": 1800, "charge_w": 0.0, "discharge_w": 5000.0},
    ]
    assert [
        ("offer", {}),
        ("offer.negotiate", {"for_s": 30.0, "reason": "", "source": "technician"}),
        ("offer.deliver", {"slots": slots, "source": "csms"}),
        ("offer.withdraw", {"source": "technician"}),
    ] == CALLS
    for wrong in ("1", "a:1", "1:2:3:4"):
        with pytest.raises(SystemExit):
            main(["offer", "deliver", wrong, "--socket", daemon])
