"""What surrounds the independent vehicle: its environment, its options, its inlet, and how its log is judged."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from certs import make_lab
from evse_controller.model.pilot import PilotState
from hil.peers import environment, options
from hil.peers.channel import InletClient, InletServer
from hil.peers.house import HouseResult
from hil.peers.pki import josev_pki
from hil.peers.run import judge
from tests.campaign.peers import Case, flaws
from tests.hil.fake_house import FakeInlet


def test_options_survive_the_command_line() -> None:
    wanted = options.PeerOptions("ev0", "/run/inlet", service="DC", control_mode=options.DYNAMIC, legs=((5, -1.5),))
    assert options.loads(wanted.dumps()) == wanted


def test_without_a_package_index_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(environment.PeerEnvironmentError, match="needs a package index once"):
        environment.peer_python(("no-such-distribution-of-ours==1",), tmp_path)
    folder = environment.environment_folder(("no-such-distribution-of-ours==1",), tmp_path)
    assert not (folder / "complete").exists()


def test_the_environment_is_made_once(tmp_path: Path) -> None:
    python = environment.peer_python(("pip",), tmp_path)
    marker = python.parent.parent / "complete"
    made = marker.stat().st_mtime_ns
    assert environment.peer_python(("pip",), tmp_path) == python
    assert marker.stat().st_mtime_ns == made


def test_the_peer_reaches_its_inlet_over_the_socket(tmp_path: Path) -> None:
    inlet = FakeInlet(outlet_v=379.0)

    async def run() -> None:
        server = InletServer(inlet, str(tmp_path / "inlet"))
        await server.start()
        client = await asyncio.to_thread(InletClient, str(tmp_path / "inlet"))
        assert (await asyncio.to_thread(lambda: client.ask(plug=True))).plugged
        now = await asyncio.to_thread(lambda: client.ask(pilot="C", contactor=True))
        assert now.contactor_closed
        assert now.battery_voltage_v == inlet.battery_voltage_v
        client.close()
        await server.stop()

    asyncio.run(run())
    assert inlet.pilot is PilotState.C


def test_a_pki_of_another_curve_is_refused(tmp_path: Path) -> None:
    strict = make_lab(tmp_path / "strict", "strict")
    with pytest.raises(ValueError, match="lab-p256"):
        josev_pki(strict, tmp_path / "josev")


GOOD = """INFO    2026 - iso15118.shared.comm_session (9): SessionStopRes received
INFO    2026 - iso15118.shared.comm_session (9): Reason: Communication session terminated
INFO    2026 - iso15118.shared.comm_session (9): Sent SessionStopReq
"""


def test_a_good_end_is_recognised() -> None:
    result = judge(GOOD, 1.0)
    assert result.completed
    assert result.failure is None
    assert result.sent == ("SessionStopReq",)
    assert result.received == ("SessionStopRes",)


@pytest.mark.parametrize("line", [
    "INFO x: Reason: TimeoutError occurred. Waited for 2 s after sending last message",
    "INFO x: Negative response code FAILED_SequenceError received with message X",
    "Traceback (most recent call last):",
])
def test_the_first_complaint_is_the_failure(line: str) -> None:
    result = judge(f"INFO a\n{line}\nmore\n", 1.0)
    assert not result.completed
    assert result.failure == line


RENEGOTIATED = """INFO x: {"EVSEStatus": {"NotificationMaxDelay": 60, "EVSENotification": "ServiceRenegotiation"}}
INFO    2026 - iso15118.shared.comm_session (9): Sent SessionStopReq
INFO    2026 - iso15118.shared.comm_session (9): SessionStopRes received
INFO    2026 - x (9): Reason: FaultyStateImplementationError occurred while processing message
"""


def test_a_service_renegotiation_is_judged_by_what_this_vehicle_can_do() -> None:
    assert judge(RENEGOTIATED, 1.0, renegotiates=True).completed
    assert not judge(GOOD, 1.0, renegotiates=True).completed
    assert not judge(RENEGOTIATED, 1.0).completed
    refused = RENEGOTIATED.replace("SessionStopRes received\n", "")
    assert not judge(refused, 1.0, renegotiates=True).completed


def test_a_log_that_only_stops_is_a_failure() -> None:
    assert judge("INFO a\n", 1.0, timed_out=True).failure == "no end in time"
    assert judge("INFO a\n", 1.0).failure == "ended without a word"


@pytest.mark.parametrize(("place", "key", "complaint"), [
    ("plant", "meter_in_wh", "journal: charged_wh"),
    ("plant", "set_point_discharged_wh", "set-points: discharged_wh"),
    ("record", "discharged_wh", "journal: discharged_wh"),
])
def test_meter_journal_and_set_points_must_agree(place: str, key: str, complaint: str) -> None:
    seen = {
        "plant": {"meter_in_wh": 9_000.0, "meter_out_wh": 8_000.0,
                  "set_point_charged_wh": 9_100.0, "set_point_discharged_wh": 8_100.0, "can_frames": 1000},
        "record": {"charged_wh": 9_000.0, "discharged_wh": 8_000.0},
    }
    result = HouseResult(judge(GOOD, 1.0), seen["plant"], seen["record"], "")
    assert result.disagreements() == []
    seen[place][key] += 1_500.0
    assert any(sentence.startswith(complaint) for sentence in result.disagreements())


WELL = {
    "highest_w": 7_000.0, "lowest_w": -5_000.0, "contactor_closed": False, "objections": [], "can_frames": 1000,
    "meter_in_wh": 9_000.0, "meter_out_wh": 8_000.0,
    "set_point_charged_wh": 9_000.0, "set_point_discharged_wh": 8_000.0,
}
RECORD = {
    "charged_wh": 9_000.0, "discharged_wh": 8_000.0, "end_kind": "terminated",
    "service": "DC_BPT", "control_mode": "scheduled",
}
SELECTED = """INFO x - iso15118.shared.exi_codec (248): Message to encode (ns=X): {"ServiceSelectionReq": {"Header": \
{"SessionID": "A8"}, "SelectedEnergyTransferService": {"ServiceID": 6, "ParameterSetID": 1}}}
"""
LOOPED = """INFO x - iso15118.shared.exi_codec (248): Message to encode (ns=X): {"DC_ChargeLoopReq": {"Header": \
{"SessionID": "A8"}, "BPT_Scheduled_DC_CLReqControlMode": {"EVTargetCurrent": {"Exponent": -1, "Value": 200}}}}
"""
RECEIVED = "INFO    2026 - iso15118.shared.comm_session (9): DC_ChargeLoopRes received\n"
IN_LOOP = SELECTED + LOOPED + RECEIVED + GOOD


@pytest.mark.parametrize(("plant", "record", "why"), [
    ({"lowest_w": -50.0}, {}, "never discharged"),
    ({"highest_w": 50.0}, {}, "never charged"),
    ({"contactor_closed": True}, {}, "the contactor stayed closed"),
    ({"objections": ["fed-after-owner-died"]}, {}, "the referee objects"),
    ({"meter_in_wh": 20_000.0}, {}, "disagree"),
    ({}, {"end_kind": "failed"}, "ended otherwise"),
    ({}, {"discharged_wh": 0.0}, "knows of no energy given back"),
    ({}, {"service": "DC"}, "the journal has another service"),
    ({}, {"control_mode": "dynamic"}, "the journal has another control mode"),
])
def test_flaws_are_found(plant: dict[str, object], record: dict[str, object], why: str) -> None:
    case = Case("DC_BPT", options.SCHEDULED, tls=False)
    assert flaws(case, HouseResult(judge(IN_LOOP, 1.0), WELL, RECORD, "")) == []
    found = flaws(case, HouseResult(judge(IN_LOOP, 1.0), WELL | plant, RECORD | record, ""))
    assert any(why in flaw for flaw in found)


@pytest.mark.parametrize(("said", "instead", "why"), [
    ('"ServiceID": 6', '"ServiceID": 2', "its log selects another service"),
    (SELECTED, "", "its log selects another service"),
    ("BPT_Scheduled_DC_CLReqControlMode", "BPT_Dynamic_DC_CLReqControlMode", "loops of another control mode"),
    ("BPT_Scheduled_DC_CLReqControlMode", "Scheduled_DC_CLReqControlMode", "loops of another control mode"),
    (LOOPED, "", "loops of another control mode"),
    (LOOPED, LOOPED + LOOPED.replace("Scheduled", "Dynamic"), "loops of another control mode"),
])
def test_a_case_is_of_the_service_and_control_mode_that_it_names(said: str, instead: str, why: str) -> None:
    """By the peer's own log: a Dynamic case in which Scheduled was selected proves nothing."""
    case = Case("DC_BPT", options.SCHEDULED, tls=False)
    found = flaws(case, HouseResult(judge(IN_LOOP.replace(said, instead), 1.0), WELL, RECORD, ""))
    assert any(why in flaw for flaw in found)


def test_a_session_that_its_own_log_does_not_complete_is_a_flaw() -> None:
    case = Case("DC_BPT", options.SCHEDULED, tls=False)
    assert flaws(case, HouseResult(judge("INFO a\n", 1.0), WELL, RECORD, ""))
    assert flaws(case, HouseResult(judge(GOOD, 1.0), WELL, RECORD, ""))  # no loop in it
