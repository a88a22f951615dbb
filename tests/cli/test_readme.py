"""What the README says about the codec is true: its Python runs, its commands print what it shows."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.cli.test_codec import XSD

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "README.md").read_text().split("\n## The codec by itself\n")[1].split("\n## ")[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


def test_the_python_example_runs() -> None:
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})


def test_the_commands_print_what_is_shown(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "ping.xsd").write_text(XSD)
    tool = f"{shlex.quote(sys.executable)} -m"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    sessions = blocks("console")
    assert len(sessions) == 2
    for session in sessions:
        steps = re.findall(r"^\$ (.*)\n((?:[^$].*\n)*)", session, re.MULTILINE)
        assert len(steps) >= 3
        script = "\n".join(command for command, _ in steps)
        script = script.replace("python -m", tool).replace("evsectl ", f"{tool} evse_controller.cli ")
        done = subprocess.run(["bash", "-ec", script], capture_output=True, text=True, check=False, cwd=tmp_path,
                              env=environment)
        assert done.stdout == "".join(output for _, output in steps), done.stderr
