"""From its first heartbeat on the pilot board waits for the next: whatever the daemon still has to start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from evse_controller.app import daemon
from evse_controller.config import Config


class _Outlet:
    """Notes what happens to it."""

    log: list[str]

    def __init__(self, *_: object) -> None:
        self.station = SimpleNamespace(guard=lambda now_s: None)

    def step(self, now_s: float) -> None:
        self.log.append("heartbeat")


class _SlowServer:
    async def start(self) -> None:
        await asyncio.sleep(0.3)
        raise OSError("no such interface")


def test_imports_come_before_the_first_heartbeat_and_the_network_after_the_control_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    monkeypatch.setattr(_Outlet, "log", log, raising=False)
    monkeypatch.setattr(daemon, "load_protocols", lambda ac: log.append("imports"))
    monkeypatch.setattr(daemon, "Outlet", _Outlet)
    monkeypatch.setattr(daemon, "Journal", lambda *_: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(daemon, "build", lambda _: SimpleNamespace(drivers=[]))
    monkeypatch.setattr(daemon, "build_server", lambda *_: _SlowServer())
    config = SimpleNamespace(world=None, controller=SimpleNamespace(state_dir=tmp_path), secc=SimpleNamespace(ac=False))
    with pytest.raises(daemon.StartError, match="no such interface"):
        asyncio.run(daemon.Daemon(cast("Config", cast(Any, config))).run())
    assert log[0] == "imports"
    assert log.count("heartbeat") >= 4  # 20 Hz, while the network was being started
