"""Applies one mutation at a time to a copy of the tree and demands that the named test fails.

An entry: `file`, `find` (must stand exactly once in the file), `replace`, `test` (a pytest node id), `why`.
"""

from __future__ import annotations

import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TREE = ("evse_controller", "hal", "certs", "hil", "tests", "pyproject.toml", "README.md")


@dataclass(frozen=True)
class Mutation:
    room: str
    file: str
    find: str
    replace: str
    test: str
    why: str

    def __str__(self) -> str:
        return f"{self.room}: {self.why} ({self.file}; {self.test})"


def load(folder: Path | None = None) -> list[Mutation]:
    """All entries, checked: every text to find stands exactly once in its file."""
    found: list[Mutation] = []
    for path in sorted((folder or Path(__file__).parent).glob("*.toml")):
        with path.open("rb") as stream:
            data = tomllib.load(stream)
        for entry in data.get("mutation", []):
            mutation = Mutation(path.stem, **entry)
            text = (ROOT / mutation.file).read_text(encoding="utf-8")
            if text.count(mutation.find) != 1:
                raise ValueError(f"{path.name}: 'find' stands {text.count(mutation.find)} times, not once: {mutation}")
            found.append(mutation)
    return found


def _pytest(tree: Path, test: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, PYTHONPATH=str(tree), PYTHONDONTWRITEBYTECODE="1")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-x", "-q", "--no-header", test],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def run(mutations: Sequence[Mutation]) -> list[str]:
    """Returns a complaint for each defence whose removal no test noticed."""
    complaints: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for name in TREE:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, tree / name)
        # Compiled once, checked by the source's hash: a mutated file is compiled anew, whatever its size and time.
        compileall.compile_dir(tree, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
        for test in sorted({m.test for m in mutations}):
            before = _pytest(tree, test)
            if before.returncode != 0:
                complaints.append(f"{test} is red without any mutation:\n{before.stdout[-2000:]}{before.stderr[-500:]}")
        for mutation in mutations:
            path = tree / mutation.file
            original = path.read_text(encoding="utf-8")
            path.write_text(original.replace(mutation.find, mutation.replace), encoding="utf-8")
            after = _pytest(tree, mutation.test)
            path.write_text(original, encoding="utf-8")
            if after.returncode != 1:
                complaints.append(f"not noticed (pytest exit {after.returncode}): {mutation}\n{after.stdout[-600:]}")
    return complaints
