"""EIM: tap before or after plug, rejection and retry, one tap opens one session."""

from __future__ import annotations

from evse_controller.identity import EimAuthorizer
from evse_controller.identity.eim import TAP_VALID_S
from evse_controller.model.snapshot import Authorization


def test_free_vend_accepts_everyone() -> None:
    assert EimAuthorizer(True, ()).state(0.0) is Authorization.ACCEPTED


def test_tap_after_plug() -> None:
    eim = EimAuthorizer(False, ["04A1"])
    eim.asked()
    assert eim.state(0.0) is Authorization.PENDING
    assert eim.present("04A1", 1.0)
    assert eim.state(1.1) is Authorization.ACCEPTED


def test_tap_before_plug_counts_for_a_minute_and_for_one_session() -> None:
    eim = EimAuthorizer(False, ["04A1"])
    eim.present("04A1", 0.0)
    eim.asked()
    assert eim.state(TAP_VALID_S) is Authorization.ACCEPTED
    eim.session_ended()
    eim.asked()
    assert eim.state(TAP_VALID_S) is Authorization.PENDING


def test_a_tap_expires() -> None:
    eim = EimAuthorizer(False, ["04A1"])
    eim.present("04A1", 0.0)
    eim.asked()
    assert eim.state(TAP_VALID_S + 0.1) is Authorization.PENDING


def test_unknown_token_rejects_and_a_known_one_then_works() -> None:
    eim = EimAuthorizer(False, ["04A1"])
    eim.asked()
    assert not eim.present("FFFF", 0.0)
    assert eim.state(0.1) is Authorization.REJECTED
    eim.told()
    assert eim.state(0.2) is Authorization.PENDING
    eim.present("04A1", 1.0)
    assert eim.state(1.0) is Authorization.ACCEPTED
