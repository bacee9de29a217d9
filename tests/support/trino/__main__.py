"""``python -m tests.support.trino "SELECT 1"`` asks Trino; ``--keep`` lets it run until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys

from tests.support.trino.client import TrinoFailed
from tests.support.trino.server import TrinoAbsent, shared


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.trino", description=__doc__)
    parser.add_argument("statements", nargs="*")
    parser.add_argument("--keep", action="store_true", help="let Trino run until Ctrl-C")
    chosen = parser.parse_args()
    try:
        server = shared()
    except TrinoAbsent as absent:
        print(absent, file=sys.stderr)
        return 1
    for sql in chosen.statements:
        try:
            answer = server.ask(sql)
        except TrinoFailed as error:
            print(error)
            continue
        print("\t".join(f"{column.name} {column.type}" for column in answer.columns))
        for row in answer.rows:
            print("\t".join(str(getattr(cell, "written", cell)) for cell in row))
    if chosen.keep:
        print(f"Trino runs at {server.url}; Ctrl-C ends it")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main())
