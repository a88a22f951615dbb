"""`make mutations`: all of them, or those whose room is named."""

from __future__ import annotations

import sys

from tests.mutations.runner import load, run


def main() -> int:
    wanted = set(sys.argv[1:])
    mutations = [m for m in load() if not wanted or m.room in wanted]
    complaints = run(mutations)
    for complaint in complaints:
        print(complaint)
    print(f"mutations: {len(mutations) - len(complaints)} passed, {len(complaints)} failed")
    return 1 if complaints or not mutations else 0


if __name__ == "__main__":
    sys.exit(main())
