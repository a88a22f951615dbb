"""Who a session asks about contracts and signatures. None of it is here: the session takes what it is given.

Everything answers at once. None is "not decided yet": the EV is told Ongoing, and the same question is put again when
it polls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from evse_controller.messages.base import Message, Node
from evse_controller.model.contract import ContractAnswer, ContractChain, NoInstallation, SignatureCheck

if TYPE_CHECKING:
    from evse_controller.messages.generated.common_messages import (
        CertificateInstallationReq,
        CertificateInstallationRes,
    )


class Signatures(Protocol):
    """Checks XML signatures over EXI fragments."""

    def verify(self, message: Message, signed: Node, certificate_der: bytes) -> SignatureCheck:
        """Whether the signature in the header covers `signed`, an element of the message, and nothing else.

        With the key of this certificate, which the EV sent too: whether it is to be trusted is another question.
        """

    def covers(self, message: Message, signed: Node) -> str | None:
        """What is wrong with the signature in the header that can be seen without the signer's key; None: nothing."""


class ContractVerifier(Protocol):
    """Decides about contracts: chains, revocation, providers, and what the back office says of them."""

    @property
    def providers(self) -> Sequence[str]:
        """SupportedProviders as the EV is told, at most 128 of 80 characters; empty: it is told nothing of them."""

    @property
    def installs(self) -> bool:
        """Whether contract certificates can be got for vehicles: offers CertificateInstallation."""

    def contract(self, session_id: str, chain: ContractChain, utc_s: float) -> ContractAnswer | None:
        """May this contract charge? The EV has proven that it holds the leaf's key."""

    def install(
        self, session_id: str, request: CertificateInstallationReq, utc_s: float
    ) -> CertificateInstallationRes | NoInstallation | None:
        """The back office's answer as it is to be relayed: signed material with its signature in the header.

        The EV has proven that it holds the key of its provisioning certificate. The header's session id and time are
        replaced, the response code is kept when it is one of the OK family.
        """
