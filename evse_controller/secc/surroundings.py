"""What a session may ask of the house around it: who the vehicle is, which sessions are paused, who checks
signatures and contracts.

Everything here is given with the connection and answers at once; a session never waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evse_controller.model.commands import PausedSession
from evse_controller.secc.contracts import ContractVerifier, Signatures


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of TLS; both None without a vehicle certificate.

    `certificate_sha512`: 64 octets over the DER form of the vehicle's leaf certificate.
    """

    certificate_sha512: bytes | None = None
    common_name: str | None = None


def _nothing_paused(session_id: str) -> PausedSession | None:
    return None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`paused` finds a paused session by its id (upper-case hex), and must be told by commands what is kept.

    Plug & Charge is offered where there are `signatures` and `contracts`, and a vehicle certificate.
    """

    peer: Peer = Peer()
    paused: Callable[[str], PausedSession | None] = _nothing_paused
    signatures: Signatures | None = None
    contracts: ContractVerifier | None = None


NOBODY = Surroundings()
"""No certificate, no paused session, nobody who could check a signature."""
