"""Commands that ask the daemon. Each prints plain lines that fit 80 columns, or with --json what the daemon said."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from evse_controller.cli import render
from evse_controller.cli.client import Client


def _put(args: argparse.Namespace, result: Any, lines: list[str]) -> None:
    print(json.dumps(result) if args.json else "\n".join(map(render.printable, lines)), flush=True)


def status(args: argparse.Namespace, client: Client) -> int:
    result = client.call("status")
    _put(args, result, render.status(result))
    return 0


def watch(args: argparse.Namespace, client: Client) -> int:
    if not args.json:
        print(render.WATCH_HEADER)
    for number, result in enumerate(client.watch("status", args.period), start=1):
        _put(args, result, [render.watch_line(result)])
        if number == args.count:
            break
    return 0


def session(args: argparse.Namespace, client: Client) -> int:
    if args.action == "list":
        result = client.call("session.list", {"limit": args.limit})
        _put(args, result, render.sessions(result))
        return 0
    if args.action != "show":
        return _ask(args, client)
    result = client.call("session.show", {"id": args.id.upper()})
    _put(args, result, render.session(result))
    return 0


def _ask(args: argparse.Namespace, client: Client) -> int:
    """Something is asked of the car; what it makes of it shows in its session."""
    params = {"reason": args.reason} if hasattr(args, "reason") else {}
    if args.action == "renegotiate":
        params["what"] = "service" if args.service else "schedule"
    if getattr(args, "token", None) is not None:
        params["token"] = _token(args.token)
    result = client.call(f"session.{args.action}", params)
    said = result.get("said") or result.get("reason") or "asked"
    _put(args, result, [f"{args.action}: {said}"])
    return 0


def authorize(args: argparse.Namespace, client: Client) -> int:
    """What a card says is never printed."""
    params = {"token": _token(args.token)} | ({} if args.outlet is None else {"outlet": args.outlet})
    result = client.call("authorize", params)
    _put(args, result, [f"authorize: {result['said']}"])
    return 0


def _token(given: str) -> str:
    return sys.stdin.readline().strip() if given == "-" else given


def driver(args: argparse.Namespace, client: Client) -> int:
    given = {"departure": args.departure, "target_soc": args.target, "minimum_soc": args.minimum}
    if args.clear and any(value is not None for value in given.values()):
        print("evsectl: driver --clear forgets everything: it goes with no other option", file=sys.stderr)
        return 2
    if args.clear:
        result = client.call("driver.clear")
    elif any(value is not None for value in given.values()):
        result = client.call("driver.set", {key: value for key, value in given.items() if value is not None})
    else:
        result = client.call("driver")
    _put(args, result, render.driver(result))
    return 0


def offer(args: argparse.Namespace, client: Client) -> int:
    given = {
        "negotiate": ("for_s", "reason", "source"),
        "deliver": ("slots", "source"),
        "withdraw": ("source",),
    }.get(args.action, ())
    method = f"offer.{args.action}" if args.action else "offer"
    result = client.call(method, {key: getattr(args, key) for key in given})
    _put(args, result, render.offer(result))
    return 0


def limits(args: argparse.Namespace, client: Client) -> int:
    if args.action == "set":
        client.call(
            "limits.set",
            {
                "direction": args.direction,
                "power_w": args.power_w,
                "ttl_s": args.ttl_s,
                "source": args.source,
                "reason": args.reason,
            },
        )
    elif args.action == "clear":
        client.call("limits.clear", {"source": args.source})
    result = client.call("limits")
    _put(args, result, render.limits(result))
    return 0


def faults(args: argparse.Namespace, client: Client) -> int:
    if args.action == "clear":
        client.call("faults.clear", {"code": args.code})
    result = client.call("faults")
    _put(args, result, render.faults(result))
    return 1 if result["active"] else 0


def stop(args: argparse.Namespace, client: Client) -> int:
    result = client.call("stop", {"reason": args.reason})
    _put(args, result, [f"stopping: {result['reason']}"])
    return 0
