"""SessionSetup, AuthorizationSetup, Authorization: protocol.md B.3, B.4 and F.2 cases 14, 15, 22 to 32."""

from __future__ import annotations

import secrets

import pytest

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import Processing, ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.snapshot import Authorization
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.iso20.session import Iso20Session
from tests.secc.ev import SNAPSHOT, Bench, eim, every_request, header, pnc


def setup_id(offered: bytes = bytes(8)) -> tuple[ResponseCode, bytes]:
    session = Iso20Session(SeccConfig(), "p", secrets.token_bytes, 0.0)
    answer = session.handle(cm.SessionSetupReq(header(offered), "EV1"), SNAPSHOT, 0.0).response
    assert isinstance(answer, cm.SessionSetupRes)
    return answer.response_code, answer.header.session_id


def test_case_14_ids_are_new_non_zero_and_all_different() -> None:
    ids = {setup_id()[1] for _ in range(10_000)}
    assert len(ids) == 10_000
    assert bytes(8) not in ids
    assert {len(value) for value in ids} == {8}


def test_case_15_unknown_id_gets_a_new_session_with_another_id() -> None:
    first = (1).to_bytes(8, "big")  # exactly what the bench's generator draws first
    bench = Bench()
    answer = bench.ask(cm.SessionSetupReq(header(), "EV1"), first).response
    assert isinstance(answer, cm.SessionSetupRes)
    assert answer.response_code is ResponseCode.OK_NewSessionEstablished
    assert answer.header.session_id not in (first, bytes(8))
    assert answer.evseid == "NLEVCE1"


def test_a_broken_random_generator_gives_no_session() -> None:
    session = Iso20Session(SeccConfig(), "p", bytes, 0.0)
    reply = session.handle(cm.SessionSetupReq(header(), "EV1"), SNAPSHOT, 0.0)
    assert reply.response.response_code is ResponseCode.FAILED  # type: ignore[union-attr]
    assert reply.commands == ()


def test_session_opened_names_the_ev() -> None:
    bench = Bench().to("AuthorizationSetup")
    assert bench.commands == [c.SessionOpened("0000000000000001", "EV1", "ISO 15118-20 DC")]


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
