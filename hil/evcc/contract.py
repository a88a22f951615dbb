"""What a vehicle with a contract does: Plug & Charge, well signed or forged, and asking for a contract certificate."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from evse_controller.messages.generated import common_messages as cm
from evse_controller.messages.generated.common_types import ListOfRootCertificateIDs, MessageHeader
from evse_controller.messages.generated.xmldsig import X509IssuerSerial
from hil.evcc.signer import Holder, sign

_SUB = b"\x30\x03\x02\x01\x05"


class Forgery(enum.Enum):
    """How a vehicle tries to charge by a contract that is not its own."""

    OTHER_KEY = "signs with a key that is not the contract's"
    OWN_CHALLENGE = "signs a challenge that it made itself, as one that repeats an old session would"
    UNSIGNED = "sends no signature"
    ALTERED = "alters what it has signed"


@dataclass(frozen=True)
class Contract:
    """`key`: the contract's; `thief`: who signs in its place with OTHER_KEY. `provisioning`: the key of the vehicle's
    maker, with which it asks for a contract certificate first, where the station offers that."""

    key: Holder
    forgery: Forgery | None = None
    thief: Holder | None = None
    provisioning: Holder | None = None

    def authorization(self, header: MessageHeader, challenge: bytes) -> cm.AuthorizationReq:
        """The request by contract; its signature goes into the header."""
        said = bytes(len(challenge)) if self.forgery is Forgery.OWN_CHALLENGE else challenge
        chain = cm.ContractCertificateChain(self.key.certificate, cm.SubCertificates([_SUB]))
        mode = cm.PnC_AReqAuthorizationMode("id1", said, chain)
        request = cm.AuthorizationReq(header, cm.Authorization.PnC, pnc_areq_authorization_mode=mode)
        if self.forgery is not Forgery.UNSIGNED:
            by = self.thief if self.forgery is Forgery.OTHER_KEY and self.thief is not None else self.key
            sign(request, "PnC_AReqAuthorizationMode", mode, by)
        if self.forgery is Forgery.ALTERED:
            mode.contract_certificate_chain.sub_certificates = cm.SubCertificates([_SUB, _SUB])
        return request

    def installation(self, header: MessageHeader) -> cm.CertificateInstallationReq:
        """The request for a contract certificate, signed with the maker's key."""
        assert self.provisioning is not None
        chain = cm.SignedCertificateChain("id1", self.provisioning.certificate)
        roots = ListOfRootCertificateIDs([X509IssuerSerial("CN=root", 1)])
        request = cm.CertificateInstallationReq(header, chain, roots, 1)
        sign(request, "OEMProvisioningCertificateChain", chain, self.provisioning)
        return request
