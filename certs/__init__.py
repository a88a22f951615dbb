"""V2G public key infrastructure: certificate profiles as data, and a lab authority that makes a whole one on the spot.

Lab material only: `python -m certs lab --out DIR` writes roots, sub-CAs, the station's and the vehicle's leaf. The
private keys of the authorities lie beside their certificates (mode 0600), which no real PKI would do.
"""

from certs.lab import LabPki, RoleFiles, make_lab
from certs.profile import PROFILES, CertificateProfile, Role

__all__ = ["PROFILES", "CertificateProfile", "LabPki", "Role", "RoleFiles", "make_lab"]
