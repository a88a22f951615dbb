"""Who may charge: external identification (EIM), and the signatures of contracts (Plug & Charge)."""

from evse_controller.identity.eim import EimAuthorizer, EimTimes, KnownToken, Phase, Shown
from evse_controller.identity.signatures import XmlSignatures

__all__ = ["EimAuthorizer", "EimTimes", "KnownToken", "Phase", "Shown", "XmlSignatures"]
