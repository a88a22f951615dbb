"""The mutation list stays true to the code: every entry's text stands exactly once in its file."""

from __future__ import annotations

from tests.mutations.runner import ROOT, load


def test_every_mutation_applies_and_names_an_existing_test_file() -> None:
    for mutation in load():
        path, _, name = mutation.test.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert name, mutation
        assert name.rpartition("::")[2].partition("[")[0] in text, mutation
