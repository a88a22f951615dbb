"""Runs the demo: processes, the story's events, what is shown while it happens, and the summary at its end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from certs import make_lab
from certs.profile import Role
from evse_controller.cli.client import Client, DaemonUnreachable, Refused
from hil.demo.show import Show, summary_lines
from hil.demo.story import Story, write_config
from hil.demo.views import METER_CLASS, View, battery_view, disagreements
from hil.netns import Link, best_network

_START_TIMEOUT_S = 15.0
_TOLD_EVENTS = ("authorization", "schedule", "direction", "fault")
_BUS_LEAD_S = 0.2  # control time by which set-points lead the power, summed over the day; long at the demo's clock
_TICK_S = 0.1
_SOUND_WAIT_S = 5.0  # control time for which the car waits for a station without faults; then it comes all the same
_NOTHING_W = 100.0
_RUSH_S = 60.0  # the departure goes over the wire in whole seconds, several times
_SOC_TOLERANCE = 2.0  # % below what the driver wanted, at 720 world seconds a second: a ramp then takes an hour
_FLOOR_W, _FLOOR_S = 22_000.0, 0.0136  # what views may differ beside their classes: full power for a part of a step


class DemoFailed(Exception):
    """A process of the demo did not start or died; the text says which and where its log is."""


class Demo:
    def __init__(self, story: Story, args: argparse.Namespace, folder: Path) -> None:
        self.story = story
        self.args = args
        self.folder = folder
        self.show = Show(quiet=args.json)
        self.result: dict[str, Any] = {}
        self.latest: dict[str, dict[str, Any]] = {}
        self._ended = asyncio.Event()
        self._sound = False
        self._session_id: str | None = None
        self._cut: dict[str, Any] = {}
        self._events: IO[str] | None = None

    def run(self) -> int:
        network = best_network()
        if network.note:
            self.show.note(network.note)
        if network.kind == "namespaces":
            with Link() as link:
                here = {"interface": link.evse.interface, "sdp_port": 15118}
                there = {"interface": link.ev.interface, "sdp_port": 15118}
                return asyncio.run(self._live(here, there, link))
        place = {"interface": network.interface} if network.interface else {"host": "::1"}
        return asyncio.run(self._live({**place, "sdp_port": 15118}, {**place, "sdp_port": 15118}, None))

    # -- processes --------------------------------------------------------------------------------------------------

    async def _live(self, here: Mapping[str, Any], there: Mapping[str, Any], link: Link | None) -> int:
        profile = "lab-p256" if "lab-p256" in self.args.lab else "strict"
        pki = make_lab(self.folder / "pki", profile)
        secc, vehicle = pki.files(Role.SECC), pki.files(Role.VEHICLE)
        tls = {"chain": str(secc.chain), "key": str(secc.key), "trust": [str(path) for path in pki.trust_of_secc]}
        anchor_s = time.monotonic() + 1.0
        config = write_config(self.story, self.args, self.folder, here, tls, anchor_s)
        settings = {
            "story": dataclasses.asdict(self.story),
            "anchor_s": anchor_s,
            "ports": str(self.folder / "dev"),
            "network": dict(there),
            "tls": None
            if "lab-tcp" in self.args.lab
            else {
                "profile": profile,
                "chain": str(vehicle.chain),
                "key": str(vehicle.key),
                "trust": [str(path) for path in pki.trust_of_vehicle],
            },
        }
        site = _site(config)
        self.result["site"] = {
            "import_limit_w": site["import_limit_w"],
            "export_limit_w": site.get("export_limit_w", 0),
        }
        settings |= self.result["site"]
        (self.folder / "world.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
        async with contextlib.AsyncExitStack() as stack:
            world = await self._start(
                stack, "world", ["-m", "hil.demo.world", str(self.folder / "world.json")], link and link.ev.command
            )
            await self._expect(world, b'"ready"', "world")
            evsed = await self._start(
                stack, "evsed", ["-m", "evse_controller.app", "--config", str(config)], link and link.evse.command
            )
            ready = await self._expect(evsed, b" ready", "evsed")
            self.show.note(ready.removeprefix("evsed: "))
            client = await asyncio.to_thread(Client, str(self.folder / "control.sock"), 5.0)
            reader = asyncio.create_task(self._read_world(world))
            watcher = asyncio.create_task(self._watch(client))
            try:
                await self._tell_story(world, evsed, client)
            finally:
                reader.cancel()
                watcher.cancel()
            await self._collect(world, evsed, client, reader)
            client.close()
        return self._judge()

    async def _start(
        self, stack: contextlib.AsyncExitStack, name: str, argv: list[str], wrap: Any
    ) -> asyncio.subprocess.Process:
        command = [sys.executable, "-X", "faulthandler", *argv]
        log = stack.enter_context((self.folder / f"{name}.log").open("ab"))
        process = await asyncio.create_subprocess_exec(
            *(wrap(command) if wrap else command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=1 << 20,
            start_new_session=True,  # Ctrl-C is ours: daemon and car are then ended in order, not all at once
        )
        stack.push_async_callback(_end, process)
        return process

    async def _expect(self, process: asyncio.subprocess.Process, marker: bytes, name: str) -> str:
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while line := await process.stdout.readline():
                    if marker in line:
                        return line.decode().strip()
        except TimeoutError:
            raise DemoFailed(
                f"{name} is not ready after {_START_TIMEOUT_S:g} s, see {self.folder / name}.log"
            ) from None
        log = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip()
        raise DemoFailed(f"{name} ended at its start:\n{log or 'it said nothing'}")

    # -- the story --------------------------------------------------------------------------------------------------

    async def _tell_story(
        self, world: asyncio.subprocess.Process, evsed: asyncio.subprocess.Process, client: Client
    ) -> None:
        plugged = cut = restored = False
        cut_at_s, plug_due_s = 0.0, float("inf")
        while not self._ended.is_set():
            await asyncio.sleep(_TICK_S)
            for name, process in (("world", world), ("evsed", evsed)):
                if process.returncode is not None:
                    raise DemoFailed(f"{name} ended with {process.returncode}, see {self.folder / name}.log")
            utc_s = self.latest.get("plant", {}).get("utc_s", 0.0)
            if utc_s >= self.story.plug:
                plug_due_s = min(plug_due_s, time.monotonic())
            if not plugged and time.monotonic() >= plug_due_s + (0.0 if self._sound else _SOUND_WAIT_S):
                plugged = True
                self.show.event(utc_s, "the car is plugged in")
                await _say(world, "plug")
            if plugged and not cut and utc_s >= self.story.cut:
                cut, cut_at_s = True, time.monotonic()
                await self._cut_site(world, client, utc_s)
            if cut and not restored and time.monotonic() >= cut_at_s + self.story.cut_ttl_s:
                restored = True
                self.show.event(utc_s, "the cut of the site's limit has expired")
                limits = self.result["site"]
                await _say(world, f"grid {limits['import_limit_w']} {limits['export_limit_w']}")

    async def _cut_site(self, world: asyncio.subprocess.Process, client: Client, utc_s: float) -> None:
        power_w = self.story.cut_import_w
        self.show.event(utc_s, f"the grid operator cuts the site's import limit to {power_w / 1000:.1f} kW")
        before_w = self.latest["plant"]["grid_w"]
        client.call(
            "limits.set",
            {
                "direction": "import",
                "power_w": power_w,
                "ttl_s": self.story.cut_ttl_s,
                "source": "grid-operator",
                "reason": "congestion",
            },
        )
        self._cut = {"utc_s": utc_s, "limit_w": power_w, "before_w": before_w, "asked_s": time.monotonic()}
        await _say(world, f"grid {power_w} {self.result['site']['export_limit_w']}")

    async def _read_world(self, world: asyncio.subprocess.Process) -> None:
        assert world.stdout is not None
        while line := await world.stdout.readline():
            message = json.loads(line)
            what = message.pop("what")
            self.latest[what] = message
            if what == "exchange":
                self.show.exchange(self.latest.get("plant", {}).get("utc_s", self.story.start), message)
            elif what == "connected":
                self.show.event(self.latest["plant"]["utc_s"], f"connected: {message['text']}")
            elif what == "plant":
                self._note_cut(message)
            elif what == "session":
                self._ended.set()

    def _note_cut(self, plant: Mapping[str, Any]) -> None:
        """Obeyed when the connection is within the limit, or when all that is left of it is not the car's."""
        if not self._cut or "obeyed_s" in self._cut:
            return
        within = plant["grid_w"] <= self._cut["limit_w"]
        if within or plant["power_w"] < _NOTHING_W:
            self._cut["obeyed_s"] = time.monotonic() - self._cut["asked_s"]
            move = f"grid {self._cut['before_w'] / 1000:.1f} -> {plant['grid_w'] / 1000:.1f} kW"
            if self._cut["before_w"] <= self._cut["limit_w"]:
                text = f"the cut does not bite: {move}"
            elif within:
                text = f"the cut is obeyed: {move}, seen {self._cut['obeyed_s']:.2f} s later"
            else:
                text = f"the cut is obeyed: {move}, none of it the car's, seen {self._cut['obeyed_s']:.2f} s later"
            self.show.event(plant["utc_s"], text)

    async def _watch(self, client: Client) -> None:
        """The daemon's own view, about once a second."""
        while True:
            status = client.call("status")
            if "plant" in self.latest:
                self.show.state(status, self.latest["plant"])
            self._sound = not status["faults"] and not any(device["problem"] for device in status["devices"])
            if status["session"] is not None:
                self._session_id = status["session"]["id"]
            self._tell_events()
            await asyncio.sleep(1.0)

    def _tell_events(self) -> None:
        """What the daemon's event log says of needs, schedule, directions and faults, as it comes."""
        if self._events is None:
            path = self.folder / "events.jsonl"
            if not path.exists():
                return
            self._events = path.open(encoding="utf-8")
        while line := self._events.readline():
            event = json.loads(line)
            if event["kind"] in _TOLD_EVENTS:
                self.show.event(event["utc_s"], event["text"])

    # -- the end ----------------------------------------------------------------------------------------------------

    async def _collect(
        self,
        world: asyncio.subprocess.Process,
        evsed: asyncio.subprocess.Process,
        client: Client,
        reader: asyncio.Task[None],
    ) -> None:
        await asyncio.sleep(1.5)  # the meter's last registers travel to the journal
        try:
            shown = client.call("session.show", {"id": self._session_id or ""})
            status = client.call("status")
        except (DaemonUnreachable, Refused) as error:
            raise DemoFailed(f"no session record: {error}") from error
        self.result["record"] = shown["session"]
        self.result["latency_ms"] = status["latency_ms"]
        self.result["lab"] = status["lab"]
        self.result["memory_mib"] = _memory_mib(evsed.pid)  # the namespace helper execs, so this is the daemon
        await _say(world, "quit")
        assert world.stdout is not None
        with contextlib.suppress(asyncio.CancelledError):
            await reader
        while line := await world.stdout.readline():
            message = json.loads(line)
            self.latest[message.pop("what")] = message
        evsed.terminate()
        await evsed.wait()
        self.result["evsed_exit"] = evsed.returncode

    def _judge(self) -> int:
        record, totals, session = self.result["record"], self.latest.get("totals"), self.latest["session"]
        if totals is None:
            raise DemoFailed(f"the world ended without its totals, see {self.folder / 'world.log'}")
        meter = View("meter registers", totals["meter_charged_wh"], totals["meter_discharged_wh"], METER_CLASS)
        journal = View("journal", record["charged_wh"], record["discharged_wh"], METER_CLASS)
        battery = battery_view(totals["battery_in_wh"], totals["battery_out_wh"], totals["cable_wh"])
        bus = View(
            "CAN set-points",
            totals["set_point_charged_wh"],
            totals["set_point_discharged_wh"],
            METER_CLASS,
        )
        floor_wh = _FLOOR_W * _FLOOR_S * self.story.speed / 3600.0
        problems = disagreements(meter, (journal, battery), floor_wh)
        problems += disagreements(meter, (bus,), _FLOOR_W * _BUS_LEAD_S * self.story.speed / 3600.0)
        problems += totals["objections"]
        if not session["completed"]:
            problems.append(f"the car's session did not complete: {session['reason']}")
        elif (record["ended_utc_s"] or 0.0) < self.story.departure - _RUSH_S:
            problems.append(f"the car's session ended before its departure: {record['end_reason']}")
        if self._cut and "obeyed_s" not in self._cut:
            problems.append("the cut of the site's limit was not obeyed while it held")
        if totals["soc"] < self.story.target_soc - _SOC_TOLERANCE * max(1.0, self.story.speed / 720.0):
            problems.append(f"the driver wanted {self.story.target_soc:.0f} %, the car left with {totals['soc']:.1f} %")
        if self.result["evsed_exit"] != 0:
            problems.append(f"evsed ended with {self.result['evsed_exit']}")
        self.result |= {
            "views": [dataclasses.asdict(view) for view in (meter, journal, battery, bus)],
            "session": session,
            "cut": self._cut,
            "soc": totals["soc"],
            "target_soc": self.story.target_soc,
            "peak_bus_load": totals["peak_bus_load"],
            "problems": problems,
            "stalled_s": totals["stalled_s"],
            "folder": str(self.folder),
        }
        if self.args.json:
            print(json.dumps(self.result))
        else:
            print("\n".join(summary_lines(self.result)), flush=True)
        return 1 if problems else 0


def _site(config: Path) -> dict[str, Any]:
    import tomllib

    site: dict[str, Any] = tomllib.loads(config.read_text(encoding="utf-8"))["site"]
    return site


async def _say(process: asyncio.subprocess.Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")
    await process.stdin.drain()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 12)
        except TimeoutError:
            process.kill()
            await process.wait()


def _memory_mib(pid: int) -> float:
    """Resident memory now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
