"""`python -m certs lab --out DIR [--profile strict|strict-ed448|lab-p256]`: make a lab PKI."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from certs.lab import make_lab
from certs.profile import PROFILES, Role, Subjects


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 done, 1 the folder or a file in it is unusable (told on stderr), 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m certs", description="V2G public key infrastructure")
    commands = parser.add_subparsers(dest="command", required=True)
    lab = commands.add_parser("lab", help="make a whole lab PKI (keys beside certificates: never for the field)")
    lab.add_argument("--out", required=True, metavar="DIR", help="folder to write to; made when missing")
    lab.add_argument("--profile", choices=tuple(PROFILES), default="strict")
    lab.add_argument("--evccid", default=Subjects.__dataclass_fields__["evccid"].default, help="CN of the vehicle leaf")
    options = parser.parse_args(arguments)
    try:
        pki = make_lab(options.out, options.profile, Subjects(evccid=options.evccid))
    except (ValueError, OSError) as error:
        print(f"certs: {error}", file=sys.stderr)
        return 1
    print(f"{'wrote' if pki.changed else 'kept'} lab PKI ({pki.profile}) in {pki.folder}")
    for role in Role:
        print(f"  {pki.certificate(role)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
