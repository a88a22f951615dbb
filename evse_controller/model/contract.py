"""What is said about contracts (Plug & Charge): the chain in question, the verifier's answer, a signature's check."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Grammar(enum.Enum):
    """With which EXI grammar the signed octets of SignedInfo were made; sources disagree, cars do too."""

    STANDALONE = "standalone"  # the XML signature schema alone, as the standard's annex
    COMBINED = "combined"  # the message's schema set


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """`fault` None: the signature is good, and `grammar` says how it was made. The text repeats nothing of the EV's."""

    fault: str | None
    grammar: Grammar | None = None


@dataclass(frozen=True, slots=True)
class ContractChain:
    """Certificates in DER form as the EV sent them, each 1 to 1600 octets; `subs`: 1 to 3, from the leaf upwards."""

    leaf: bytes
    subs: tuple[bytes, ...]


class Verdict(enum.Enum):
    """What a verifier found out about a contract. The value is the reason in events."""

    ACCEPTED = "contract accepted"
    EXPIRES_SOON = "contract accepted, it expires soon"
    EXPIRED = "contract certificate expired"
    NOT_YET_VALID = "contract certificate not yet valid"
    REVOKED = "contract certificate revoked"
    INVALID = "contract certificate chain not valid"
    PROVIDER_UNKNOWN = "provider of the contract unknown"
    REFUSED = "contract refused"

    @property
    def accepted(self) -> bool:
        return self in (Verdict.ACCEPTED, Verdict.EXPIRES_SOON)


@dataclass(frozen=True, slots=True)
class ContractAnswer:
    """`contract_id`: the eMAID of an accepted contract, personal. `reason` stands in events: no eMAID, no secret."""

    verdict: Verdict
    contract_id: str = ""
    reason: str = ""


class NoCertificate(enum.Enum):
    """Why a vehicle gets no contract certificate. The value is the reason in events."""

    NO_CERTIFICATE = "no certificate available"
    NO_CONTRACT = "no contract for this vehicle"
    EXPIRED = "provisioning certificate expired"
    NOT_YET_VALID = "provisioning certificate not yet valid"
    REVOKED = "provisioning certificate revoked"
    INVALID = "provisioning certificate chain not valid"


@dataclass(frozen=True, slots=True)
class NoInstallation:
    """`reason` stands in events: no secret."""

    why: NoCertificate
    reason: str = ""
