"""AuthorizationSetup and Authorization by EIM: protocol.md B.4 and F.2 cases 22, 24 to 26, 31, 32."""

from __future__ import annotations

from typing import Any

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.snapshot import Authorization
from evse_controller.secc.config import SeccConfig
from tests.secc.ev import Bench, eim, every_request, header, pnc


def test_case_22_eim_only_has_its_own_block_and_no_challenge() -> None:
    answer = Bench().to("AuthorizationSetup").say(cm.AuthorizationSetupReq(header()))
    assert answer.authorization_services == [cm.Authorization.EIM]
    assert answer.eim_asres_authorization_mode is not None
    assert answer.pnc_asres_authorization_mode is None
    assert answer.certificate_installation_service is False


def test_case_24_pending_is_ongoing_then_finished() -> None:
    bench = Bench().to("Authorization")
    bench.set(authorization=Authorization.PENDING)
    for _ in range(5):
        answer = bench.after(1.0).say(eim())
        assert answer.response_code is ResponseCode.OK
        assert answer.evse_processing is Processing.Ongoing_WaitingForCustomerInteraction
        assert bench.state == "Authorization"
    bench.set(authorization=Authorization.ACCEPTED)
    answer = bench.say(eim())
    assert (answer.response_code, answer.evse_processing) == (ResponseCode.OK, Processing.Finished)
    assert bench.state == "ServiceDiscovery"
    assert len(bench.commands_of(c.AuthorizationRequested)) == 1


def test_case_25_rejection_is_finished_with_a_warning_and_may_be_retried() -> None:
    bench = Bench().to("Authorization")
    bench.set(authorization=Authorization.REJECTED)
    answer = bench.say(eim())
    assert answer.response_code is ResponseCode.WARNING_EIMAuthorizationFailure
    assert answer.evse_processing is Processing.Finished
    assert bench.state == "Authorization"
    # The old rejection, still in the snapshot, is no answer to the new attempt.
    answer = bench.after(0.1).say(eim())
    assert (answer.response_code, answer.evse_processing) == (
        ResponseCode.OK,
        Processing.Ongoing_WaitingForCustomerInteraction,
    )
    assert len(bench.commands_of(c.AuthorizationRequested)) == 2
    bench.set(authorization=Authorization.ACCEPTED)
    assert bench.after(0.1).say(eim()).evse_processing is Processing.Finished
    assert bench.state == "ServiceDiscovery"


def test_second_rejection_is_told_too() -> None:
    bench = Bench().to("Authorization")
    bench.set(authorization=Authorization.REJECTED)
    bench.say(eim())
    bench.after(0.1).say(eim())
    assert bench.after(0.5).say(eim()).response_code is ResponseCode.WARNING_EIMAuthorizationFailure


@pytest.mark.parametrize(("begun_s", "failed"), [(299.5, False), (300.0, True)])
def test_tries_do_not_follow_each_other_for_ever(begun_s: float, failed: bool) -> None:
    """A driver may look for the right card for five minutes; a vehicle that insists is let go."""
    bench = Bench().to("Authorization")
    bench.set(authorization=Authorization.REJECTED)
    bench.say(eim())
    assert bench.after(begun_s - 0.5).say(eim()).evse_processing is Processing.Ongoing_WaitingForCustomerInteraction
    answer = bench.after(0.5).say(eim())
    assert answer.response_code is (ResponseCode.FAILED if failed else ResponseCode.WARNING_EIMAuthorizationFailure)
    assert (bench.state == "Ended") is failed


def test_an_acceptance_is_never_too_late_and_a_last_try_has_its_whole_time() -> None:
    bench = Bench().to("Authorization")
    bench.set(authorization=Authorization.REJECTED)
    bench.say(eim())
    bench.after(290.0).set(authorization=Authorization.PENDING)
    bench.say(eim())
    assert bench.after(50.0).say(eim()).response_code is ResponseCode.OK
    bench.set(authorization=Authorization.ACCEPTED)
    assert bench.say(eim()).response_code is ResponseCode.OK
    assert bench.state == "ServiceDiscovery"


def test_a_choice_that_was_not_offered_is_not_repeated_for_ever() -> None:
    bench = Bench().to("Authorization")
    assert bench.say(pnc()).response_code is ResponseCode.WARNING_AuthorizationSelectionInvalid
    assert bench.after(300.0).say(pnc()).response_code is ResponseCode.FAILED


def test_case_26_pnc_is_refused_with_a_warning_and_eim_works_then() -> None:
    bench = Bench().to("Authorization")
    answer = bench.say(pnc())
    assert answer.response_code is ResponseCode.WARNING_AuthorizationSelectionInvalid
    assert bench.state == "Authorization"
    assert bench.commands_of(c.AuthorizationRequested) == []
    assert bench.say(eim()).response_code is ResponseCode.OK


@pytest.mark.parametrize(("waited_s", "failed"), [(54.9, False), (55.0, True)])
def test_case_31_endless_ongoing_fails_at_its_edge(waited_s: float, failed: bool) -> None:
    bench = Bench().to("Authorization")
    bench.set(authorization=Authorization.PENDING)
    bench.say(eim())
    answer = bench.after(waited_s).say(eim())
    assert (answer.response_code is ResponseCode.FAILED) is failed


def test_case_32_certificate_installation_is_a_sequence_error_without_key_material() -> None:
    bench = Bench().to("Authorization")
    request = next(r for r in every_request() if isinstance(r, cm.CertificateInstallationReq))
    answer = bench.say(request)
    assert answer.response_code is ResponseCode.FAILED_SequenceError
    assert answer.signed_installation_data.secp521_encrypted_private_key == bytes(94)
    assert answer.signed_installation_data.dh_public_key == bytes(133)


def test_a_pending_eim_is_told_as_configured() -> None:
    found = Bench(config=SeccConfig(eim_pending_waits_for_customer=False)).to("Authorization")
    found.set(authorization=Authorization.PENDING)
    assert found.say(eim()).evse_processing is Processing.Ongoing


def test_an_eim_refusal_is_told_within_its_time() -> None:
    """The answer to the first request after the refusal, which is due within 1.5 s as every AuthorizationRes."""
    found = Bench().to("Authorization")
    found.set(authorization=Authorization.PENDING)
    found.say(eim())
    found.after(0.25).set(authorization=Authorization.REJECTED)
    reply = found.ask(eim())
    answer: Any = reply.response
    assert answer.response_code is ResponseCode.WARNING_EIMAuthorizationFailure
    assert reply.event is not None
    assert reply.event.performance_s == 1.5
