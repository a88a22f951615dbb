"""Arguments, dispatch and exit codes of `evsectl`.

Exit codes: 0 done; 1 a check failed or nothing was found; 2 wrong usage or unreadable input; 3 no daemon at the
socket; 4 refused by the daemon; 5 no permission for the socket; 6 no answer in time.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from evse_controller import __version__

DEFAULT_SOCKET = "/run/evse/control.sock"
OK, FAILED, USAGE, UNREACHABLE, REFUSED, PERMISSION, TIMEOUT = range(7)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="machine-readable output")
    common.add_argument("--socket", default=argparse.SUPPRESS, help="the daemon's control socket (or EVSE_SOCKET)")
    common.add_argument("--timeout", type=float, default=argparse.SUPPRESS, help="seconds to wait for an answer (5)")
    parser = argparse.ArgumentParser(prog="evsectl", description="Look at and steer a charger.", parents=[common])
    parser.add_argument("--version", action="version", version=f"evsectl {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str, group: Any = commands) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = group.add_parser(name, help=text, description=text, parents=[common])
        return made

    add("status", "one screen: outlet, session, limits, faults")
    watch = add("watch", "a status line a second, until interrupted")
    watch.add_argument("--period", type=float, default=1.0, help="seconds between lines (0.1 to 60)")
    watch.add_argument("--count", type=int, default=0, help="stop after so many lines (0: never)")

    _sessions(add)

    limits = add("limits", "every limit, its source and expiry, and which one rules").add_subparsers(
        dest="action", metavar="ACTION"
    )
    set_limit = add("set", "impose a limit on the site (lower takes effect at once)", limits)
    set_limit.add_argument("direction", choices=("import", "export"))
    set_limit.add_argument("power_w", type=float, help="watts, >= 0")
    set_limit.add_argument("--for", dest="ttl_s", type=float, required=True, metavar="SECONDS", help="until it expires")
    set_limit.add_argument("--source", default="technician", help="who asks; one limit a source and direction")
    set_limit.add_argument("--reason", default="set by evsectl")
    clear_limit = add("clear", "withdraw the limits of a source", limits)
    clear_limit.add_argument("source")

    faults = add("faults", "active and latched faults, and what to check first").add_subparsers(
        dest="action", metavar="ACTION"
    )
    add("clear", "clear a latched fault after its cause is gone", faults).add_argument("code")

    card = add("authorize", "present a token, as a card would be: it starts a session, or stops its own")
    card.add_argument("token", help="the token; - reads it from standard input, where no other user sees it")
    card.add_argument("--outlet", help="at which outlet of the charger")
    stop = add("stop", "end the running session in order")
    stop.add_argument("--reason", default="stopped by technician")
    _driver(add)
    _offer(add)

    _offline(add)

    config = add("config", "configuration files").add_subparsers(dest="action", metavar="ACTION", required=True)
    add("check", "say what is wrong in a configuration file, and where", config).add_argument("file")
    return parser


def _sessions(add: Callable[..., argparse.ArgumentParser]) -> None:
    session = add("session", "sessions in the journal, and what may be asked of the one that runs").add_subparsers(
        dest="action", metavar="ACTION", required=True
    )
    listing = add("list", "the newest sessions", session)
    listing.add_argument("--limit", type=int, default=20)
    show = add("show", "one session with its events", session)
    show.add_argument("id", nargs="?", default="", help="id or its beginning; none: the newest")
    for name, text in SESSION_ACTIONS.items():
        action = add(name, text, session)
        action.add_argument("--reason", default=argparse.SUPPRESS)
        if name == "renegotiate":
            action.add_argument("--service", action="store_true", help="its service, not only its schedule")
        if name == "start":
            action.add_argument("--token", help="whose session it is; - reads it from standard input")


SESSION_ACTIONS = {
    "stop": "end the running session in order, also one that sleeps",
    "start": "let the car that is plugged in (next) charge, as a start from afar",
    "pause": "ask the car to sleep; it may come back and go on",
    "wake": "wake a car that sleeps",
    "renegotiate": "ask the car for a new schedule",
    "standby-exit": "ask a car in standby to go on",
    "confirm-meter": "ask the car to confirm the meter",
}


def _driver(add: Callable[..., argparse.ArgumentParser]) -> None:
    driver = add("driver", "what the driver wants of this stay; without options: what is known")
    driver.add_argument("--departure", metavar="TIME", help="07:30 (the charger's clock), 07:30Z, or ISO 8601")
    driver.add_argument("--target", type=int, metavar="PERCENT", help="state of charge at departure")
    driver.add_argument("--minimum", type=int, metavar="PERCENT", help="state of charge that is kept in any case")
    driver.add_argument("--clear", action="store_true", help="forget it, the car's own wishes count")


def _offer(add: Callable[..., argparse.ArgumentParser]) -> None:
    offer = add("offer", "who else plans for this outlet: a back office that negotiates, or its plan").add_subparsers(
        dest="action", metavar="ACTION"
    )
    negotiate = add("negotiate", "let cars wait for a plan (energy.wait_for_back_office_s at most)", offer)
    negotiate.add_argument("--for", dest="for_s", type=float, required=True, metavar="SECONDS", help="until it is over")
    negotiate.add_argument("--reason", default="")
    deliver = add("deliver", "the plan that our own plans stay inside from now on", offer)
    deliver.add_argument("slots", nargs="+", metavar="SECONDS:CHARGE_W[:DISCHARGE_W]", type=_office_slot)
    withdraw = add("withdraw", "neither negotiation nor plan any more", offer)
    for parser in (negotiate, deliver, withdraw):
        parser.add_argument("--source", default="technician", help="who plans")


def _office_slot(text: str) -> dict[str, float]:
    try:
        seconds, charge_w, *rest = text.split(":")
        (discharge_w,) = rest or ("0",)
        return {"duration_s": int(seconds), "charge_w": float(charge_w), "discharge_w": float(discharge_w)}
    except ValueError:
        raise argparse.ArgumentTypeError(f"must look like 3600:11000 or 3600:0:5000, is {text!r}") from None


_SCHEMAS = """schemas:
  sap, din, iso2, common, ac, dc, acdp, wpt, xmldsig, or a namespace. Those that
  you generated from schema files of your own go by their namespace, and are
  found in the folders of the environment variable EVSE_CONTROLLER_SCHEMAS.
"""
_DECODE = f"""{_SCHEMAS}
examples:
  evsectl decode 01fe80010000000480400040
  evsectl decode --schema sap --strict 80400040
  evsectl decode --json capture.pcapng
  evsectl decode --fragment --schema iso2 message.exi

A V2GTP frame (01FE...) tells its schema by the payload type, and 0x8001 by the
second byte of the message. What deviates from the schema and is read
nevertheless is named on standard error; --strict refuses it."""
_ENCODE = f"""{_SCHEMAS}
examples:
  evsectl encode '{{"supportedAppProtocolRes":
      {{"ResponseCode": "OK_SuccessfulNegotiation", "SchemaID": 1}}}}'
  evsectl decode --json 01fe80010000000480400040 | evsectl encode --frame -
  evsectl encode --schema iso2 --format binary message.json > message.exi
  evsectl encode --fragment SignedInfo message.json

The schema is that of --schema, else the one that `evsectl decode --json` noted,
else the element's name tells it (V2G_Message is of two protocols)."""


def _offline(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands that need no daemon but their input."""
    decode = add("decode", "V2G messages as JSON, offline: of EXI, V2GTP frames or a pcapng capture")
    decode.add_argument("input", help="hex or base64 digits, a file of them or of bytes, or - for standard input")
    decode.add_argument("--schema", metavar="SCHEMA", help="of EXI without V2GTP header")
    decode.add_argument("--format", choices=("auto", "hex", "base64", "binary"), default="auto", help="of the input")
    decode.add_argument("--strict", action="store_true", help="refuse what deviates from the schema")
    decode.add_argument("--fragment", action="store_true", help="the input is a fragment that a signature covers")
    encode = add("encode", "JSON messages as EXI, offline")
    encode.add_argument("input", help="JSON, a file with it, or - for standard input")
    encode.add_argument("--schema", metavar="SCHEMA", help="if neither the input nor the element's name tells it")
    encode.add_argument("--format", choices=("hex", "base64", "binary"), default="hex", help="of the output")
    encode.add_argument("--frame", action="store_true", help="put the V2GTP header in front")
    encode.add_argument("--fragment", metavar="ELEMENT", help="this element alone, as a signature covers it")
    for parser, text in ((decode, _DECODE), (encode, _ENCODE)):
        parser.epilog = text
        parser.formatter_class = argparse.RawDescriptionHelpFormatter


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    args.json = getattr(args, "json", False)
    args.socket = getattr(args, "socket", None) or os.environ.get("EVSE_SOCKET", DEFAULT_SOCKET)
    args.timeout = getattr(args, "timeout", 5.0)
    try:
        return _dispatch(args)
    except BrokenPipeError:
        # the reader of our output (head, less) has seen enough; keep the interpreter's exit quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return OK


def _dispatch(args: argparse.Namespace) -> int:
    if args.command == "decode":
        from evse_controller.cli.decode import run as run_decode

        return run_decode(args)
    if args.command == "encode":
        from evse_controller.cli.encode import run as run_encode

        return run_encode(args)
    if args.command == "config":
        from evse_controller.cli.check import run as run_check

        return run_check(args)
    from evse_controller.cli import online
    from evse_controller.cli.client import Client, DaemonUnreachable, Refused

    handlers: dict[str, Callable[[argparse.Namespace, Client], int]] = {
        "status": online.status,
        "watch": online.watch,
        "session": online.session,
        "limits": online.limits,
        "faults": online.faults,
        "stop": online.stop,
        "authorize": online.authorize,
        "driver": online.driver,
        "offer": online.offer,
    }
    try:
        client = Client(args.socket, args.timeout)
        try:
            return handlers[args.command](args, client)
        finally:
            client.close()
    except DaemonUnreachable as error:
        denied = isinstance(error.__cause__, PermissionError)
        return fail(str(error), PERMISSION if denied else UNREACHABLE)
    except Refused as error:
        return fail(str(error), REFUSED)
    except TimeoutError:
        return fail(f"no answer from {args.socket} within {args.timeout:g} s", TIMEOUT)


def fail(text: str, code: int) -> int:
    """One line to standard error, and the exit code."""
    print(f"evsectl: {text}", file=sys.stderr)
    return code
