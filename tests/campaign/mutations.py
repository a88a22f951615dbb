"""Removes defences one by one; each must turn its test red. A scaled run takes a sample by seed."""

from __future__ import annotations

import random

from tests.mutations.runner import load
from tests.mutations.runner import run as run_mutations


def run(scale: float, seed: int) -> int:
    mutations = load()
    count = max(3, round(len(mutations) * scale))
    sample = random.Random(seed).sample(mutations, min(count, len(mutations)))
    complaints = run_mutations(sample)
    assert not complaints, "\n".join(complaints)
    return len(sample)
