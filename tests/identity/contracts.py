"""A lab verifier of contracts: says what it was told to say, and remembers what it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from evse_controller.messages.generated import common_messages as cm
from evse_controller.model.contract import ContractAnswer, ContractChain, NoInstallation, Verdict


@dataclass
class LabContracts:
    """None in `answer` or `installation` is "not decided yet"."""

    answer: ContractAnswer | None = field(default_factory=lambda: ContractAnswer(Verdict.ACCEPTED, "DEABCC123456789"))
    installation: cm.CertificateInstallationRes | NoInstallation | None = None
    providers: Sequence[str] = ()
    installs: bool = False
    asked: list[ContractChain] = field(default_factory=list)
    install_asked: list[cm.CertificateInstallationReq] = field(default_factory=list)

    def contract(self, session_id: str, chain: ContractChain, utc_s: float) -> ContractAnswer | None:
        self.asked.append(chain)
        return self.answer

    def install(
        self, session_id: str, request: cm.CertificateInstallationReq, utc_s: float
    ) -> cm.CertificateInstallationRes | NoInstallation | None:
        self.install_asked.append(request)
        return self.installation
