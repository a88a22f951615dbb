"""An installed wheel carries byte-code, and starts from it: nothing is compiled when a session begins.

`run` builds the wheel as a packager does, installs it into a fresh environment without its dependencies (messages,
coders and the offline commands need none), and counts what it held: every module with its byte-code, the import of
what a DC session needs, `evsectl decode`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("evse_controller", "hal", "certs", "hil")
DC_SESSION = {"app_protocol", "common_messages", "common_types", "dc", "xmldsig"}
# Prints the milliseconds of the import, the generated modules loaded, and what Python had to compile for it.
_IMPORT = """
import importlib.machinery, json, sys, time
compiled = []
SourceLoader = importlib.machinery.SourceFileLoader
genuine = SourceLoader.source_to_code
def counted(self, data, path, **options):
    compiled.append(str(path))
    return genuine(self, data, path, **options)
SourceLoader.source_to_code = counted
began = time.perf_counter()
from evse_controller.messages import Schema
from evse_controller.messages.codec import coders
for schema in (Schema.APP_PROTOCOL, Schema.ISO20_COMMON, Schema.ISO20_DC):
    coders(schema)
took_ms = (time.perf_counter() - began) * 1e3
prefix = "evse_controller.messages.generated."
loaded = [name[len(prefix):] for name in sys.modules if name.startswith(prefix)]
print(json.dumps({"took_ms": took_ms, "loaded": loaded, "compiled": compiled}))
"""


def _run(command: list[str | Path], cwd: Path, **variables: str) -> str:
    """Standard output of a command in an environment without settings of ours."""
    foreign = ("PYTHON", "PIP_NO_COMPILE", "PIP_TARGET", "PIP_PREFIX", "EVSE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment | variables)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip()[-1500:]}")
    return done.stdout


def build(work: Path) -> Path:
    """The wheel, built from a copy so that the checkout stays as it is. Needs the build back end (a package index)."""
    source = work / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    _run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", work, source], work)
    (wheel,) = work.glob("*.whl")
    return wheel


def install(wheel: Path, work: Path) -> Path:
    """A fresh environment with the wheel, installed by pip as by default; the path of its Python."""
    venv.create(work / "venv", with_pip=False)
    python = work / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python]
    _run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], work)
    return python


def check_byte_code(python: Path) -> int:
    """Every installed module of ours has byte-code for this Python; how many there are."""
    (site,) = (python.parents[1] / "lib").glob("python*/site-packages")
    tag = sys.implementation.cache_tag
    sources = [path for package in PACKAGES for path in (site / package).rglob("*.py")]
    bare = [path for path in sources if not (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc").is_file()]
    assert not bare, f"without byte-code: {[str(path.relative_to(site)) for path in bare]}"
    names = {path.stem for path in sources if path.parent.name == "generated"}
    assert names >= DC_SESSION, f"modules are missing in the wheel: {DC_SESSION - names}"
    return len(sources)


def check_imports(python: Path, work: Path) -> int:
    """A DC session loads its modules only, compiles none of them, and is loaded several times faster for it."""
    took_ms: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(5):
        for kind, variables in (("with", {}), ("without", {"PYTHONPYCACHEPREFIX": str(work / f"none{number}")})):
            result = json.loads(_run([python, "-B", "-c", _IMPORT], work, **variables))
            assert set(result["loaded"]) == DC_SESSION, result["loaded"]
            if kind == "with":
                assert not result["compiled"], f"compiled at import: {result['compiled']}"
            took_ms[kind].append(result["took_ms"])
    fast, slow = min(took_ms["with"]), min(took_ms["without"])
    print(f"wheel: what a DC session needs is imported in {fast:.0f} ms (median {median(took_ms['with']):.0f}), "
          f"without byte-code in {slow:.0f} ms")
    assert slow >= 3 * fast, "byte-code makes no difference, so it is not used"
    return 10


def check_command(python: Path, work: Path) -> int:
    """The offline commands run from the wheel alone."""
    evsectl = python.with_name("evsectl")
    form = {"supportedAppProtocolRes": {"ResponseCode": "Failed_NoNegotiation"}}
    frame = _run([evsectl, "encode", "--frame", json.dumps(form)], work).strip()
    assert json.loads(_run([evsectl, "decode", frame], work)) == form
    return 2


def run(scale: float, seed: int) -> int:
    """The campaign; it is small and always runs whole."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        python = install(build(work), work)
        return check_byte_code(python) + check_imports(python, work) + check_command(python, work)
