"""Our lab-p256 PKI in the folders and file names that `iso15118` reads its certificates from."""

from __future__ import annotations

import shutil
from pathlib import Path

from certs import LabPki, Role


def josev_pki(lab: LabPki, folder: Path) -> Path:
    """Write what the vehicle's TLS needs: the V2G root, its own chain and key (no password). Returns `folder`.

    Raises ValueError for a PKI of another profile: this vehicle's TLS can do no other curve than P-256.
    """
    if lab.profile != "lab-p256":
        raise ValueError(f"the independent vehicle needs a lab-p256 PKI, not {lab.profile}")
    certificates, keys = folder / "iso15118_2" / "certs", folder / "iso15118_2" / "private_keys"
    certificates.mkdir(parents=True, exist_ok=True)
    keys.mkdir(parents=True, exist_ok=True)
    vehicle = lab.files(Role.VEHICLE)
    shutil.copy(vehicle.chain, certificates / "oemCertChain.pem")
    shutil.copy(lab.certificate(Role.V2G_ROOT), certificates / "v2gRootCACert.pem")
    shutil.copy(vehicle.key, keys / "oemLeaf.key")
    (keys / "oemLeafPassword.txt").write_text("\n")
    return folder
