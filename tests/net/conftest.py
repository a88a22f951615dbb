from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from certs import LabPki, make_lab

PkiMaker = Callable[[str], LabPki]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> PkiMaker:
    """One lab PKI per profile for the whole run."""
    made: dict[str, LabPki] = {}
    base: Path = tmp_path_factory.mktemp("pki")

    def make(profile: str = "strict") -> LabPki:
        if profile not in made:
            made[profile] = make_lab(base / profile, profile)
        return made[profile]

    return make
