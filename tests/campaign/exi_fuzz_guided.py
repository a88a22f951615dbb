"""Coverage-guided mutations by atheris (libFuzzer for Python), in a process of their own.

The first octet of an input selects the schema. Half of the mutations are ours (bits, not octets, are what EXI is
made of), half libFuzzer's. `python -m tests.campaign.exi_fuzz_guided RESULT LIBFUZZER-OPTIONS... FOLDER` is the
process itself; inputs that cover something new stay in FOLDER.
"""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.campaign.exi_fuzz_oracle import Tally

LONGEST = 8192
MEMORY_MB = 1024
SLOWED = 8  # how much slower, generously, code runs that counts its own coverage
ROOT = Path(__file__).resolve().parent.parent.parent


def available() -> bool:
    """Whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


class Run:
    """The process, started at once; `result` waits for it."""

    def __init__(self, count: int, seed: int, folder: Path | None = None) -> None:
        self.count = count
        self._work = tempfile.TemporaryDirectory()
        work = Path(self._work.name)
        self._result = work / "result.json"
        self._folder = folder or work / "corpus"
        self._folder.mkdir(exist_ok=True)
        self._log = (work / "log").open("w+b")
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.campaign.exi_fuzz_guided", str(self._result),
                f"-atheris_runs={count}", f"-seed={seed}", f"-max_len={LONGEST}", f"-rss_limit_mb={MEMORY_MB}",
                "-timeout=600", "-len_control=0", "-print_final_stats=0", f"-artifact_prefix={work}/",
                str(self._folder),
            ],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
        )

    def result(self) -> Tally:
        """What the process found; AssertionError with its last words if it did not end well."""
        from evse_controller.messages import Schema
        from tests.campaign.exi_fuzz_oracle import Judge, Tally

        code = self._process.wait()
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")
        if code or not self._result.exists():
            words = [line for line in said.splitlines() if not line.startswith(("INFO", "#"))]
            raise AssertionError("\n".join([f"the coverage-guided process ended with {code}", *words[-25:]])[-8000:])
        report = json.loads(self._result.read_text(encoding="ascii"))
        tally = Tally(**report["tally"])
        if tally.executed < self.count:
            raise AssertionError(f"the coverage-guided process executed {tally.executed} of {self.count} frames")
        judge = Judge()
        schemas = {schema.name: schema for schema in Schema}
        for _, schema, frame in report["slow"]:
            judge.judge(schemas[schema], bytes.fromhex(frame))
        tally.slowest_s = judge.tally.slowest_s
        return tally

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()
        self._process.wait()
        self._log.close()
        self._work.cleanup()


def main(result: str, arguments: list[str]) -> None:
    """Fuzz; the tally goes to the file `result`."""
    import atheris

    with atheris.instrument_imports(include=["evse_controller.exi", "evse_controller.messages"]):
        from evse_controller.messages import Schema
        from evse_controller.messages.codec import coders

        for schema in Schema:
            coders(schema)
    from tests.campaign.exi_fuzz_corpus import read_corpus, select, selector
    from tests.campaign.exi_fuzz_mutate import mutate_bits
    from tests.campaign.exi_fuzz_oracle import Growth, Judge
    from tests.campaign.exi_vectors import read_vectors

    count = next(int(a.partition("=")[2]) for a in arguments if a.startswith("-atheris_runs="))
    folder = Path(arguments[-1])
    # The corpus goes on from the vectors; of these the shortest of each class is enough.
    shortest = {type(m): (m.SCHEMA, data) for m, data in sorted(read_vectors(), key=lambda one: -len(one[1]))}
    seeds = [*shortest.values(), *read_corpus()]
    for number, (schema, data) in enumerate(seeds):
        (folder / f"seed{number:05}").write_bytes(selector(schema) + data)
    frames = [data for _, data in seeds if 4 < len(data) <= LONGEST]
    judge = Judge(SLOWED)
    growth = Growth(judge, count)

    def one(data: bytes) -> None:
        schema, frame = select(data or b"\0")
        judge.judge(schema, frame)
        growth.judged(schema, frame)
        if judge.tally.executed == count:
            judge.tally.grown_blocks = growth.check()
            report = {"tally": asdict(judge.tally), "slow": judge.slow}
            Path(result).write_text(json.dumps(report), encoding="ascii")

    def mutator(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if len(data) < 6 or rng.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return (data[:1] + mutate_bits(rng, data[1:], frames))[:most]

    atheris.Setup([sys.argv[0], *arguments], one, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
