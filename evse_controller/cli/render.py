"""The daemon's answers as plain text: at most 80 columns, no colour, no control codes, for any serial console."""

from __future__ import annotations

import time
from typing import Any

STEP_LATE_S = 0.5
"""Control steps come every 50 ms; without a good one for so long the screen says it."""

WATCH_HEADER = "UTC      phase        pilot    V      A      kW  SoC  limits kW   session"


def printable(line: str) -> str:
    """What a car sent (its EVCCID, say) must not steer the terminal: control characters become `?`."""
    return "".join(c if c.isprintable() else "?" for c in line)


def utc(seconds: float | None) -> str:
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def number(value: float | None, form: str = ".1f") -> str:
    return "-" if value is None else format(value, form)


def _kw(value: float | None) -> str:
    return "-" if value is None else f"{value / 1000:.2f} kW"


def _ruling(way: str, limit: dict[str, Any] | None) -> list[str]:
    """How much, who says so, and on a line of its own why: reasons are long, consoles are narrow."""
    if limit is None:
        return [f"{way:<9} -"]
    return [f"{way:<9} up to {_kw(limit['value'])} by {limit['source']}", f"          ({limit['reason']})"]


def status(s: dict[str, Any]) -> list[str]:
    o = s["outlet"]
    lines = [
        f"evsed {s['version']}   {utc(s['utc_s'])} UTC{'' if s['utc_trusted'] else ' (not trusted)'}"
        f"   up {s['uptime_s']:.0f} s",
    ]
    age_s = s.get("step_age_s")
    if age_s is not None and age_s > STEP_LATE_S:
        lines.append(f"CONTROL STEPS FAIL: what follows is as old as the last good one, {age_s:.1f} s")
    if s["lab"]:
        lines.append(f"LAB SWITCHES ON: {', '.join(s['lab'])}")
    lines += [
        f"outlet    {s['evseid']}   phase {o['phase']}{' / ' + o['step'] if o['step'] else ''}",
        f"pilot     {o['pilot']}   contactors {o['contactor']}   isolation {number(o['isolation_kohm'], '.0f')} kOhm",
        *_output(o),
        *_ruling("charge", s["limits"]["charge"]),
        *_ruling("discharge", s["limits"]["discharge"]),
    ]
    if s.get("authorization"):
        lines.append(f"authorise {s['authorization']}")
    if s["session"] is None:
        lines.append("session   none")
    else:
        e = s["session"]
        lines += [
            f"session   {e['id']}   {e['state']}   since {utc(e['started_utc_s'])}",
            f"          EV {e['evccid']}   {e['service'] or '-'}   {e['control_mode'] or '-'}"
            f"   SoC {number(e['soc'], '.0f')} %",
            f"          charged {e['charged_wh'] / 1000:.3f} kWh   discharged {e['discharged_wh'] / 1000:.3f} kWh",
        ]
    lines += _asked(s)
    if s["price"] is not None:
        lines.append(
            f"price     buy {s['price']['buy']:.4f}   sell {s['price']['sell']:.4f} {s['price']['currency']}/kWh"
        )
    lines += [f"device    {d['name']}: {d['problem']}" for d in s["devices"] if d["problem"]]
    lines += [f"FAULT     {f['code']}: {f['cause']}" for f in s["faults"]] or ["faults    none"]
    return [line[:80] for line in lines]


def _output(o: dict[str, Any]) -> list[str]:
    """What comes out: of a DC outlet one line, of an AC outlet its phases, too."""
    power = f"{_kw(o['power_w'])}   set-point {_kw(o['setpoint_w'])}"
    if not o.get("phases"):
        return [f"output    {number(o['voltage_v'])} V   {number(o['current_a'], '.2f')} A   {power}"]
    phases = "   ".join(f"{v:.0f} V {a:.1f} A" for v, a, _ in o["phases"])
    return [f"output    {power}", f"          {phases}"]


def _asked(s: dict[str, Any]) -> list[str]:
    """What is asked of the car, told of the driver, and who sleeps."""
    lines = []
    if s["outlet"].get("stopped"):
        lines.append(f"STOPPED   {s['outlet']['stopped']}; until unplugged, a card, or session start")
    if s["outlet"].get("notification"):
        lines.append(f"asked     {s['outlet']['notification']}")
    wishes = s.get("driver") or {}
    if any(value is not None for value in wishes.values()):
        lines += driver(wishes)
    office = s.get("offer") or {}
    if office.get("negotiating") or office.get("plan"):
        lines += offer(office)
    for each in s.get("paused", ()):
        asleep = "asleep" if s["outlet"].get("asleep") else "paused"
        lines.append(f"{asleep:<9} {each['id']}   EV {each['evccid']}   since {utc(each['since_utc_s'])}")
    return lines


def driver(r: dict[str, Any]) -> list[str]:
    """What the driver wants, and whether cars are told of it."""
    if not any(r[key] is not None for key in ("departure_utc_s", "target_soc", "minimum_soc")):
        return ["driver    said nothing: the car's own wishes count"]
    lines = [
        f"driver    leaves {utc(r['departure_utc_s'])}   target {number(r['target_soc'], '.0f')} %"
        f"   minimum {number(r['minimum_soc'], '.0f')} %"
    ]
    if r.get("heard") is False:
        lines.append("          the car goes by its own departure and target; the minimum is kept here in any case")
    return lines


def offer(r: dict[str, Any]) -> list[str]:
    """Who else plans for this outlet, and who waits for it."""
    lines, negotiating, plan = [], r["negotiating"], r["plan"]
    if negotiating:
        waits = "no car waits" if r["car_waits_s"] is None else f"a car waits since {r['car_waits_s']:.0f} s"
        lines.append(f"offer     {negotiating['source']} negotiates, {negotiating['ends_in_s']:.0f} s left   {waits}")
    if plan:
        lines.append(
            f"offer     inside the plan of {plan['source']}   until {utc(plan['ends_utc_s'])}"
            f"   up to {_kw(plan['most_charge_w'])}"
        )
    return lines or ["offer     nobody else plans for this outlet"]


def watch_line(s: dict[str, Any]) -> str:
    o, e = s["outlet"], s["session"]
    charge, discharge = s["limits"]["charge"], s["limits"]["discharge"]
    limit = f"{number(charge and charge['value'] / 1000)}/{number(discharge and discharge['value'] / 1000)}"
    power = None if o["power_w"] is None else o["power_w"] / 1000
    soc = None if e is None else e["soc"]
    line = (
        f"{time.strftime('%d %H:%M', time.gmtime(s['utc_s']))} {o['phase']:<13.13}{o['pilot']:<2.2}"
        f"{number(o['voltage_v']):>7}{number(o['current_a'], '.1f'):>7}{number(power, '.2f'):>8}"
        f"{number(soc, '.0f'):>5} {limit:>11}  {e['id'][:8] if e else '-'}"
    )
    return (line + (f" FAULT {s['faults'][0]['code']}" if s["faults"] else ""))[:80]


def sessions(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["id                started (UTC)        charged  discharged  end"]
    for r in rows:
        lines.append(
            f"{r['session_id']:<17.16} {utc(r['started_utc_s'])} {r['charged_wh'] / 1000:>7.3f} kWh"
            f" {r['discharged_wh'] / 1000:>6.3f} kWh  {r['end_kind'] or 'running'}"
        )
    return lines if rows else ["no sessions"]


def session(r: dict[str, Any]) -> list[str]:
    record, settlement = r["session"], r["session"].get("settlement")
    lines = [
        f"session   {record['session_id']}   {record['protocol']}   {record['service'] or '-'}"
        f"   {record['control_mode'] or '-'}",
        f"EV        {record['evccid']}" + (f"   LAB {record['lab_switches']}" if record["lab_switches"] else ""),
        f"time      {utc(record['started_utc_s'])} to {utc(record['ended_utc_s'])} UTC",
        f"end       {record['end_kind'] or 'running'}: {record['end_reason'] or ''}",
        f"energy    charged {record['charged_wh'] / 1000:.3f} kWh, discharged {record['discharged_wh'] / 1000:.3f} kWh"
        f"   meter {record['meter_id'] or '-'}",
        f"registers import {number(record['import_start_wh'], '.0f')} to {number(record['import_last_wh'], '.0f')} Wh,"
        f" export {number(record['export_start_wh'], '.0f')} to {number(record['export_last_wh'], '.0f')} Wh",
    ]
    if settlement:
        lines.append(
            f"cost      {settlement['cost']:.2f} {settlement['currency']}, charging at once"
            f" {settlement['baseline_cost']:.2f}, saved {settlement['saving']:.2f}"
        )
    lines += [
        f"confirmed {utc(c['confirmed_utc_s'])}   {c['charged_wh']} Wh in, {c['discharged_wh']} Wh out"
        f"   {'signed' if c['signed'] else 'not signed'}"
        for c in r.get("confirmations", ())
    ]
    lines.append("")
    if r["events_left_out"]:
        lines.append(f"({r['events_left_out']} earlier events left out; they are in the journal)")
    return lines + _events(r["events"])


def _events(events: list[dict[str, Any]]) -> list[str]:
    """One line an event; repeats of the same (a charge loop) become one line that counts them."""
    lines: list[str] = []
    repeats = 0
    for number, event in enumerate(events):
        following = events[number + 1] if number + 1 < len(events) else None
        if number and _same(event, events[number - 1]):
            repeats += 1
            if following is None or not _same(event, following):
                lines.append(f"{'':14} {event['at_s']:>10.3f} {'':10} ... {repeats} more of these until here")
                repeats = 0
            continue
        lines.append(
            f"{utc(event['at_utc_s'])[5:]} {event['at_s']:>10.3f} {event['kind']:<10.10} {event['text']}"[:160]
        )
    return lines


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(one["kind"] == other["kind"] and one["text"] == other["text"])


def limits(r: dict[str, Any]) -> list[str]:
    lines = ["direction  limit        source          expires    reason"]
    for limit in r["limits"]:
        mark = "*" if limit["rules"] else " "
        expires = "-" if limit["expires_in_s"] is None else f"{limit['expires_in_s']:.0f} s"
        row = f"{mark}{limit['direction']:<9} {_kw(limit['value']):>10}   {limit['source']:<15.15} {expires:>7}"
        lines.append(f"{row}    {limit['reason']}"[:80])
    lines.append("* = rules now" + ("; a site input is stale: failsafe share" if r["stale"] else ""))
    return lines


def faults(r: dict[str, Any]) -> list[str]:
    lines = []
    for f in r["active"]:
        lines += [
            f"{f['code']} ({f['severity']}{', latched' if f['latching'] else ''}) from {f['source']}",
            f"    {f['cause']}",
        ]
        lines.append(f"    first check: {f['first_check']}")
    return lines or ["no faults"]
