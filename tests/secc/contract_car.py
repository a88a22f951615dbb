"""An EV with a contract, in front of a station that may verify it."""

from __future__ import annotations

from typing import Any

from evse_controller.identity import XmlSignatures
from evse_controller.messages.base import Schema
from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ResponseCode
from evse_controller.model import commands as c
from evse_controller.model.snapshot import Authorization
from evse_controller.secc.config import SeccConfig
from evse_controller.secc.reply import Reply
from evse_controller.secc.surroundings import Peer, Surroundings
from hil.evcc.signer import Holder, sign
from tests.identity.contracts import LabContracts
from tests.secc.ev import Bench, eim, header

EMAID = "DEABCC123456789"
VEHICLE = Peer(bytes(64), "WMIV1234567890ABCDEX")
SUB = b"\x30\x03\x02\x01\x05"


def around(contracts: LabContracts, peer: Peer = VEHICLE, p256: bool = False) -> Surroundings:
    return Surroundings(peer=peer, signatures=XmlSignatures(p256), contracts=contracts)


class Car(Bench):
    """A bench whose EV has a contract. `challenge` is what the station gave it."""

    challenge: bytes
    contracts: LabContracts

    def offered(self) -> cm.AuthorizationSetupRes:
        self.to("AuthorizationSetup")
        answer: cm.AuthorizationSetupRes = self.say(cm.AuthorizationSetupReq(header()))
        if answer.pnc_asres_authorization_mode is not None:
            self.challenge = answer.pnc_asres_authorization_mode.gen_challenge
        return answer

    def request(self, key: Holder, challenge: bytes | None = None) -> cm.AuthorizationReq:
        """Not signed yet; with the header as it will be sent."""
        chain = cm.ContractCertificateChain(key.certificate, cm.SubCertificates([SUB]))
        mode = cm.PnC_AReqAuthorizationMode("id1", self.challenge if challenge is None else challenge, chain)
        return cm.AuthorizationReq(header(), cm.Authorization.PnC, pnc_areq_authorization_mode=mode)

    def signed(
        self, key: Holder, challenge: bytes | None = None, by: Holder | None = None, grammar: Schema = Schema.XMLDSIG
    ) -> cm.AuthorizationReq:
        request = self.request(key, challenge)
        assert request.pnc_areq_authorization_mode is not None
        sign(request, "PnC_AReqAuthorizationMode", request.pnc_areq_authorization_mode, by or key, grammar)
        return request


def car(config: SeccConfig | None = None, p256: bool = False, **contracts: Any) -> Car:
    """A car that has been offered Plug & Charge."""
    lab = LabContracts(**contracts)
    found = Car(config=config or SeccConfig(), around=around(lab, p256=p256))
    found.set(authorization=Authorization.PENDING)
    found.contracts = lab
    found.offered()
    return found


def event_text(reply: Reply) -> str:
    assert reply.event is not None
    return reply.event.reason or ""


def assert_not_granted(found: Car, code: ResponseCode) -> None:
    """Neither a contract nor power nor a step forward; and EIM works as if nothing had been."""
    assert found.commands_of(c.ContractAccepted) == []
    assert found.session._data.contract_der is None
    if code >= ResponseCode.FAILED:
        assert found.state == "Ended"
        return
    assert found.state == "Authorization"
    found.set(authorization=Authorization.ACCEPTED)
    assert found.say(eim()).response_code is ResponseCode.OK
    assert found.state == "ServiceDiscovery"
