"""What the demo prints: plain lines for a pipe, the same with a little emphasis for a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

_LOOP = "DC_ChargeLoopReq"


def clock(utc_s: float) -> str:
    return time.strftime("%H:%M", time.gmtime(utc_s))


class Show:
    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bold = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
        self._loops = 0
        self._last = ""

    def _print(self, line: str) -> None:
        if not self._quiet:
            print(line, flush=True)

    def note(self, text: str) -> None:
        self._print(f"      {text}")

    def event(self, utc_s: float, text: str) -> None:
        self._print(f"{clock(utc_s)} {self._bold[0]}* {text}{self._bold[1]}")

    def exchange(self, utc_s: float, exchange: Mapping[str, Any]) -> None:
        """Each message once; repeats of the same request are counted in the state lines."""
        if exchange["request"] == self._last and exchange["code"] == "OK":
            self._loops += 1
            return
        self._last = exchange["request"]
        self._print(f"{clock(utc_s)}   {exchange['request']:<34} {exchange['code']:<28} {exchange['ms']:6.1f} ms")

    def state(self, status: Mapping[str, Any], plant: Mapping[str, Any]) -> None:
        power_kw = plant["power_w"] / 1000
        way = "charging" if power_kw > 0.05 else "discharging" if power_kw < -0.05 else status["outlet"]["phase"]
        rules = status["limits"]["discharge" if power_kw < -0.05 else "charge"]
        limit = f"{rules['value'] / 1000:.1f} kW by {rules['source']}" if rules else "-"
        repeats = f"  ({self._loops} more {self._last})" if self._loops else ""
        self._loops = 0
        self._print(
            f"{clock(status['utc_s'])} {way:<12} {power_kw:+6.1f} kW  SoC {plant['soc']:4.1f} %"
            f"  grid {plant['grid_w'] / 1000:+5.1f} kW (building {plant['building_w'] / 1000:4.1f})"
            f"  price {status['price']['buy']:.3f}  limit {limit}{repeats}"
        )


def summary_lines(result: Mapping[str, Any]) -> list[str]:
    record, session = result["record"], result["session"]
    settlement = record["settlement"]
    lines = [
        "",
        f"Session {record['session_id']}  {record['service']} {record['control_mode']}  ended: {record['end_kind']}",
        f"  {session['messages']} messages, round trip as the car saw it p50 {session['round_trip_p50_ms']:.1f} ms,"
        f" p99 {session['round_trip_p99_ms']:.1f} ms",
    ]
    if session["tls"][0]:
        lines.append(f"  TLS 1.3 mutual, {session['tls'][0]}, {session['tls'][1]}")
    if result["lab"]:
        lines.append(f"  LAB SWITCHES ON: {', '.join(result['lab'])}")
    if result["cut"]:
        seen = result["cut"].get("obeyed_s")
        lines.append(
            f"  site cut to {result['cut']['limit_w'] / 1000:.1f} kW"
            + (f": obeyed, seen within {seen:.2f} s" if seen is not None else ": NOT obeyed")
        )
    lines.append(f"  the driver wanted {result['target_soc']:.0f} %, the car left with {result['soc']:.1f} %")
    lines.append("Energy to the car and from it, Wh:")
    lines += [f"  {v['name']:<20} {v['charged_wh']:>9.0f} {v['discharged_wh']:>9.0f}" for v in result["views"]]
    if settlement:
        lines.append(
            f"Cost {settlement['cost']:.2f} {settlement['currency']}; charging at once would have cost"
            f" {settlement['baseline_cost']:.2f}: saved {settlement['saving']:.2f}"
        )
    latency = result["latency_ms"]
    if latency:
        lines.append(
            f"evsed: {latency['count']} answers computed in p50 {latency['p50']:.2f} ms, p99 {latency['p99']:.2f} ms;"
            f" resident memory {result['memory_mib']:.1f} MiB; CAN bus peak load {result['peak_bus_load']:.0%}"
        )
    lines.append(f"Files in {result['folder']}: journal.db, events.jsonl, v2g.pcapng, evse.toml")
    lines += [f"PROBLEM: {problem}" for problem in result["problems"]]
    if result["problems"] and result["stalled_s"] > 0.0:
        lines.append(
            f"The machine was overloaded: the simulated devices stood still for {result['stalled_s']:.2f} s,"
            " which looks like devices that fell silent"
        )
    if not result["problems"]:
        lines.append("All views agree; nobody objected.")
    return lines
