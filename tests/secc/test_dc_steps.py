"""Cable check, pre-charge, welding detection: protocol.md B.8, E.3 and F.2 cases 46, 47, 60."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated import dc
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.messages.rational import rational_nearest as n
from evse_controller.messages.rational import rational_value as value
from evse_controller.model import commands as c
from evse_controller.model.pilot import PilotState
from evse_controller.model.snapshot import Step
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.reply import Reply
from tests.secc.ev import Bench, header, loop, power_delivery, stop
from tests.secc.ev_ac import AcBench


def cable() -> dc.DC_CableCheckReq:
    return dc.DC_CableCheckReq(header())


def pre_charge(target: float = 400.0, processing: Processing = Processing.Ongoing) -> dc.DC_PreChargeReq:
    return dc.DC_PreChargeReq(header(), processing, n(5.0), n(target))


def welding(processing: Processing = Processing.Ongoing) -> dc.DC_WeldingDetectionReq:
    return dc.DC_WeldingDetectionReq(header(), processing)


def test_case_46_cable_check_polls_and_finishes_with_one_hardware_test() -> None:
    bench = Bench().to("CableCheck")
    for _ in range(20):
        answer = bench.after(0.25).say(cable())
        assert (answer.response_code, answer.evse_processing) == (ResponseCode.OK, Processing.Ongoing)
        bench.set(cable_check=Step.RUNNING)
    bench.set(cable_check=Step.DONE)
    assert bench.say(cable()).evse_processing is Processing.Finished
    assert bench.state == "PreCharge"
    assert len(bench.commands_of(c.CableCheckRequested)) == 1


def test_case_46_isolation_fault_fails_and_stops_energy() -> None:
    bench = Bench().to("CableCheck")
    bench.say(cable())
    bench.set(cable_check=Step.FAILED)
    reply = bench.after(0.1).ask(cable())
    assert reply.response.response_code is ResponseCode.FAILED  # type: ignore[union-attr]
    assert [type(command) for command in reply.commands] == [c.EnergyStop, c.SessionEnded]


def test_result_of_an_earlier_cable_check_is_not_believed() -> None:
    bench = Bench().to("CableCheck")
    bench.set(cable_check=Step.DONE)
    assert bench.say(cable()).evse_processing is Processing.Ongoing
    assert bench.after(0.1).say(cable()).evse_processing is Processing.Ongoing
    bench.set(cable_check=Step.RUNNING)
    assert bench.after(0.1).say(cable()).evse_processing is Processing.Ongoing
    bench.set(cable_check=Step.DONE)
    assert bench.after(5.0).say(cable()).evse_processing is Processing.Finished


@pytest.mark.parametrize(("waited_s", "failed"), [(33.9, False), (34.0, True)])
def test_cable_check_total_time_at_its_edge(waited_s: float, failed: bool) -> None:
    bench = Bench().to("CableCheck")
    bench.say(cable())
    bench.set(cable_check=Step.RUNNING)
    assert (bench.after(waited_s).say(cable()).response_code is ResponseCode.FAILED) is failed


@pytest.mark.parametrize(("waited_s", "failed"), [(1.4, False), (1.5, True)])
def test_cable_check_needs_pilot_c_within_1_5_s(waited_s: float, failed: bool) -> None:
    bench = Bench().to("CableCheck")
    bench.set(pilot=PilotState.B)
    bench.say(cable())
    assert (bench.after(waited_s).say(cable()).response_code is ResponseCode.FAILED) is failed


def test_case_47_pre_charge_reports_the_measured_voltage_not_the_target() -> None:
    bench = Bench().to("PreCharge")
    bench.set(present_voltage_v=123.4)
    answer = bench.say(pre_charge(400.0))
    assert value(answer.evse_present_voltage) == pytest.approx(123.4)
    (asked,) = bench.commands_of(c.PreChargeRequested)
    assert (asked.target_voltage_v, asked.ev_present_voltage_v) == (400.0, 5.0)


@pytest.mark.parametrize(("target", "clamped"), [(-20.0, 0.0), (900.0, 450.0)])
def test_pre_charge_target_is_clamped_to_what_was_negotiated(target: float, clamped: float) -> None:
    bench = Bench().to("PreCharge")
    assert bench.say(pre_charge(target)).response_code is ResponseCode.OK
    assert bench.commands_of(c.PreChargeRequested)[0].target_voltage_v == clamped


@pytest.mark.parametrize(("waited_s", "failed"), [(9.9, False), (10.0, True)])
def test_pre_charge_time_at_its_edge(waited_s: float, failed: bool) -> None:
    bench = Bench().to("PreCharge")
    bench.say(pre_charge())
    assert (bench.after(waited_s).say(pre_charge()).response_code is ResponseCode.FAILED) is failed


def test_failed_pre_charge_fails() -> None:
    bench = Bench().to("PreCharge")
    bench.say(pre_charge())
    bench.set(precharge=Step.FAILED)
    assert bench.after(0.5).say(pre_charge()).response_code is ResponseCode.FAILED


@pytest.mark.parametrize(
    ("state", "request_"), [("PreCharge", pre_charge()), ("WeldingDetection", welding()), ("ChargeLoop", loop())]
)
def test_no_measurement_is_never_answered_with_a_made_up_voltage(state: str, request_: Any) -> None:
    bench = Bench().to(state)
    bench.set(present_voltage_v=None)
    assert bench.say(request_).response_code is ResponseCode.FAILED


def cable_check_again(**changes: Any) -> Bench:
    bench = Bench().to("PreCharge")
    bench.set(**changes)
    return bench


def test_cable_check_may_be_asked_once_more_until_pre_charge_and_tests_nothing_anew() -> None:
    bench = cable_check_again()
    before = len(bench.commands)
    for _ in range(2):
        answer = bench.after(0.125).say(dc.DC_CableCheckReq(header()))
        assert (answer.response_code, answer.evse_processing) == (ResponseCode.OK, Processing.Finished)
        assert (bench.state, len(bench.commands)) == ("PreCharge", before)
    bench.say(pre_charge())
    assert bench.say(dc.DC_CableCheckReq(header())).response_code is ResponseCode.FAILED_SequenceError


@pytest.mark.parametrize(
    ("waited_s", "changes"),
    [(60.0, {}), (0.125, {"cable_check": Step.FAILED}), (1.5, {"pilot": PilotState.B})],
    ids=["live for ever", "failed since", "pilot B"],
)
def test_cable_check_once_more_holds_no_outlet_live(waited_s: float, changes: dict[str, Any]) -> None:
    bench = cable_check_again(**changes)
    assert bench.after(waited_s).say(dc.DC_CableCheckReq(header())).response_code is ResponseCode.FAILED
    assert bench.commands_of(c.EnergyStop)


def test_pre_charge_repeats_until_the_first_start_and_not_after() -> None:
    bench = Bench().to("PreCharge")
    bench.say(pre_charge(processing=Processing.Finished))
    assert bench.state == "PowerDelivery"
    assert bench.say(pre_charge(processing=Processing.Finished)).response_code is ResponseCode.OK
    bench.say(power_delivery(processing=Processing.Ongoing))
    assert bench.say(pre_charge()).response_code is ResponseCode.FAILED_SequenceError


def test_welding_detection_polls_and_reports_the_measured_voltage() -> None:
    bench = Bench().to("WeldingDetection")
    for voltage in (380.0, 60.0, 3.2):
        bench.set(present_voltage_v=voltage)
        assert value(bench.say(welding()).evse_present_voltage) == pytest.approx(voltage)
        assert bench.state == "WeldingDetection"
    assert bench.say(welding(Processing.Finished)).response_code is ResponseCode.OK
    assert bench.state == "SessionStop"


@pytest.mark.parametrize(("waited_s", "failed"), [(59.9, False), (60.0, True)])
@pytest.mark.parametrize("processing", [Processing.Ongoing, Processing.Finished])
def test_welding_detection_does_not_last_for_ever(processing: Processing, waited_s: float, failed: bool) -> None:
    bench = Bench().to("WeldingDetection")
    bench.set(pilot=PilotState.B)
    for _ in range(3):
        assert bench.say(welding(processing)).response_code is ResponseCode.OK
    assert (bench.after(waited_s).say(welding(processing)).response_code is ResponseCode.FAILED) is failed


def test_welding_detection_is_optional() -> None:
    assert Bench().to("WeldingDetection").say(stop()).response_code is ResponseCode.OK


@pytest.mark.parametrize("request_", [welding(), stop()], ids=["welding", "stop"])
def test_case_60_pilot_still_c_after_stop(request_: Any) -> None:
    bench = Bench().to("WeldingDetection")
    bench.set(pilot=PilotState.C)
    assert bench.after(1.5).say(request_).response_code is ResponseCode.FAILED


def test_case_60_welding_detection_is_answered_while_the_pilot_may_still_follow() -> None:
    bench = Bench().to("WeldingDetection")
    bench.set(pilot=PilotState.C)
    assert bench.after(1.4).say(welding()).response_code is ResponseCode.OK


@pytest.mark.parametrize("kind", [Bench, AcBench])
@pytest.mark.parametrize("follows", [True, False])
def test_case_60_session_stop_waits_for_a_pilot_that_may_still_follow(kind: type[Bench], follows: bool) -> None:
    bench = kind().to("ChargeLoop")
    bench.say(power_delivery(cm.ChargeProgress.Stop))
    bench.set(pilot=PilotState.C)
    before = len(bench.commands)
    reply: Reply | None = bench.after(0.125).ask(stop())
    asked_s = bench.now_s
    assert reply is not None
    assert (reply.response, bench.session.pending) == (None, True)
    while reply is None or reply.response is None:
        assert len(bench.commands) == before  # nothing ends while the answer is held
        bench.after(0.125)
        if follows and bench.now_s - asked_s > 0.5:
            bench.set(pilot=PilotState.B)
        reply = bench.session.on_timer(bench.now_s, bench.snapshot)
    answer: Any = reply.response
    assert answer.response_code is (ResponseCode.OK if follows else ResponseCode.FAILED)


@pytest.mark.parametrize("request_", [welding(), stop()], ids=["welding", "stop"])
def test_case_60_pilot_b_after_stop_is_right(request_: Any) -> None:
    bench = Bench().to("WeldingDetection")
    bench.set(pilot=PilotState.B)
    assert bench.after(20.0).say(request_).response_code is ResponseCode.OK


def test_pilot_checks_can_be_relaxed() -> None:
    bench = Bench(SeccConfig(check_pilot=False)).to("WeldingDetection")
    assert bench.after(20.0).say(welding()).response_code is ResponseCode.OK


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (cm.ChargingSession.Pause, ResponseCode.FAILED_PauseNotAllowed),
        (cm.ChargingSession.ServiceRenegotiation, ResponseCode.FAILED_NoServiceRenegotiationSupported),
        (cm.ChargingSession.Terminate, ResponseCode.OK),
    ],
)
def test_case_59_session_stop_kinds_where_nothing_else_is_offered(kind: cm.ChargingSession, code: ResponseCode) -> None:
    bench = Bench(SeccConfig(service_renegotiation=False)).to("SessionStop")
    assert bench.say(stop(kind)).response_code is code
    assert len(bench.commands_of(c.SessionEnded)) == 1


@pytest.mark.parametrize("state", ["PowerDelivery", "ChargeLoop", "Standby", "ScheduleRenegotiation", "Renegotiated"])
@pytest.mark.parametrize("accepted", [True, False])
def test_case_60_session_stop_where_energy_may_flow(state: str, accepted: bool) -> None:
    """Sources disagree (protocol.md 0.2): accepted after a safe shutdown, or a sequence error, as configured."""
    bench = Bench(SeccConfig(session_stop_in_loop=accepted)).to(state)
    code = bench.say(stop()).response_code
    assert code is (ResponseCode.OK if accepted else ResponseCode.FAILED_SequenceError)
    assert [type(command) for command in bench.commands[-2:]] == [c.EnergyStop, c.SessionEnded]


def test_the_evs_termination_text_is_kept() -> None:
    bench = Bench().to("ChargeLoop")
    bench.say(cm.SessionStopReq(header(), cm.ChargingSession.Terminate, "E42", "battery\nhot"))
    assert "'E42', 'battery\\nhot'" in bench.commands_of(c.SessionEnded)[0].reason
