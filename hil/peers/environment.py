"""The independent vehicle's own Python environment: made once, kept in the user's cache, never mixed with ours.

`iso15118` pins old releases of cryptography and pydantic that must not reach the product, and forgets to declare
`aiofile`. The folder's name carries a hash of the requirements and of the interpreter, so a change makes a new one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = ("iso15118==0.31.2", "aiofile==3.9.0")
_BUILD_TIMEOUT_S = 600


class PeerEnvironmentError(RuntimeError):
    """The environment could not be made; the text carries pip's last words and what to do."""


def cache_folder() -> Path:
    """Where environments live: $XDG_CACHE_HOME or ~/.cache, in `evse-controller`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "evse-controller"


def environment_folder(requirements: tuple[str, ...] = REQUIREMENTS, cache: Path | None = None) -> Path:
    """The folder for these requirements under this interpreter, made or not."""
    identity = "\n".join((*requirements, sys.version, sys.base_prefix))
    return (cache or cache_folder()) / f"josev-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def peer_python(requirements: tuple[str, ...] = REQUIREMENTS, cache: Path | None = None) -> Path:
    """The peer's interpreter; makes its environment when there is none yet (once, under a lock, about 20 s).

    Raises PeerEnvironmentError when pip fails, for example without a package index.
    """
    folder = environment_folder(requirements, cache)
    folder.parent.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    complete = folder / "complete"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if complete.exists():
            return python
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)], requirements)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, *requirements], requirements)
        complete.write_text("\n".join(requirements) + "\n")
    return python


def _run(command: list[str], requirements: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerEnvironmentError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-4:])
        raise PeerEnvironmentError(
            f"the environment of the independent vehicle ({', '.join(requirements)}) could not be made; it needs a "
            f"package index once, afterwards it is kept in {cache_folder()}.\n{last}"
        )


if __name__ == "__main__":
    print(peer_python())
