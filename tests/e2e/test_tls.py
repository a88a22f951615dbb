"""The daemon as it comes is strict about TLS; a foreign client shows it."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from certs.profile import Role
from hil.bench import Bench, Setting
from hil.evcc_net import discover

OPENSSL = shutil.which("openssl")
HANDSHAKE_FAILURE = 40


async def _s_client(bench: Bench, port: int, groups: str, signatures: str) -> str:
    files = bench.pki.files(Role.VEHICLE)
    assert OPENSSL is not None
    argv = [
        OPENSSL, "s_client", "-connect", f"[::1]:{port}", "-tls1_3", "-groups", groups, "-sigalgs", signatures,
        "-cert", str(files.chain), "-key", str(files.key), "-cert_chain", str(files.chain),
    ]  # fmt: skip
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.STDOUT) as process:
        await bench.until(lambda: process.poll() is not None, "the end of s_client", 10.0)
        return process.communicate()[0].decode(errors="replace")


async def test_tls_is_strict_by_default(tmp_path: Path) -> None:
    if OPENSSL is None:
        pytest.skip("needs the openssl command line tool as foreign client")
    async with Bench(tmp_path, Setting(network="loopback")) as bench:
        await bench.start()
        assert "LAB SWITCH" not in bench.log()
        assert (await bench.call("status"))["lab"] == []
        bench.plug()
        found = await discover(bench.net_options())
        weak = await _s_client(bench, found.port, "P-256", "ECDSA+SHA512:ECDSA+SHA256")
        alert = re.search(r"alert number (\d+)", weak)
        assert alert, weak
        assert int(alert[1]) == HANDSHAKE_FAILURE
        await asyncio.sleep(0.2)
        strong = await _s_client(bench, found.port, "P-521", "ECDSA+SHA512")
        assert "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384" in strong, strong
        events = bench.folder / "state" / "events.jsonl"
        await bench.until(lambda: "tls-failed" in events.read_text(encoding="utf-8"), "the refusal in the event log")
        with pytest.raises(ConnectionError, match="with TLS"):
            await discover(bench.net_options(tls=False, attempts=2))


async def test_lab_switches_are_shown_on_the_console_in_status_and_in_the_journal(tmp_path: Path) -> None:
    async with Bench(tmp_path, Setting(network="loopback", lab=("lab-p256", "lab-slow-loop"))) as bench:
        await bench.start()
        for name in ("lab-p256", "lab-slow-loop"):
            assert f"LAB SWITCH {name} IS ON" in bench.log()
            assert name in (await bench.ctl("status")).stdout
        session = bench.plug_and_charge()
        record = await bench.until_status(lambda s: s["session"] is not None, "a session under the weak profile")
        assert record["lab"] == ["lab-p256", "lab-slow-loop"]
        listed = await bench.call("session.list")
        assert listed[0]["lab_switches"] == "lab-p256,lab-slow-loop"
        session.task.cancel()
